"""A backend that trains nothing, for commands that work with stored samples alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from render.backends import Batch
from render.errors import StoreError
from render.samples import Field


class RefusingBackend:
    """Raises as soon as it gets a batch."""

    capacity = 1024
    workers = 1
    step_time_s = 0.0
    proof: ClassVar[dict[str, str]] = {}

    def __init__(self, numerics: Mapping[str, Any] | None = None) -> None:
        """numerics: those of the samples that the store already has."""
        self.numerics: dict[str, str | int] = dict(numerics or {})

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        """Yield nothing, or raise StoreError if there is work: tiles were there when the command began."""
        batch = next_batch()
        if batch is not None:
            raise StoreError(
                f"Samples of {batch.tiles[0]} must be trained again, since the store no longer has them undamaged, but "
                "this command trains nothing. Run `render video` at the same quality, which repairs the store, and "
                "then this command again."
            )
        yield from ()
