"""A backend that trains nothing: whoever hands it a batch did not keep the promise to train nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from render.backends import Batch
from render.fields import Field


class RefusingBackend:
    """Raises as soon as it gets a batch."""

    capacity = 1024
    workers = 1
    numerics: dict[str, str | int] = {}

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        """Yield nothing, or raise RuntimeError if there is work."""
        batch = next_batch()
        if batch is not None:
            raise RuntimeError(f"asked to train {len(batch.tiles)} tiles where nothing may be trained")
        yield from ()
