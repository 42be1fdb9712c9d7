"""A backend that trains nothing: whoever hands it a batch did not keep the promise to train nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from render.backends import Batch
from render.samples import Field


class RefusingBackend:
    """Raises as soon as it gets a batch."""

    capacity = 1024
    workers = 1

    def __init__(self, numerics: Mapping[str, Any] | None = None) -> None:
        """numerics: of the samples that are there already."""
        self.numerics: dict[str, str | int] = dict(numerics or {})

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        """Yield nothing, or raise RuntimeError if there is work."""
        batch = next_batch()
        if batch is not None:
            raise RuntimeError(f"asked to train {len(batch.tiles)} tiles where nothing may be trained")
        yield from ()
