"""The training of a film with several problems, one after the other, in the order in which frames need them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from render.film.schedule import Training
from render.geometry.tiles import Tile
from render.samples import Field


class Trainings:
    """The trainings of a film's problems, by index; most films have one.

    Devices train one problem at a time. The next one begins once the tiles of the first are complete, whichever tiles
    frames wait for.
    """

    def __init__(self, parts: Sequence[Training]) -> None:
        self._parts = tuple(parts)

    @property
    def samples_total(self) -> int:
        """The training runs that this render needs; those that were stored before do not count."""
        return sum(part.samples_total for part in self._parts)

    @property
    def samples_done(self) -> int:
        """How many of them are finished."""
        return sum(part.samples_done for part in self._parts)

    @property
    def repaired(self) -> list[str]:
        """Messages about tiles that were lost or damaged and are trained again."""
        return [message for part in self._parts for message in part.repaired]

    def missing(self, problem: int) -> frozenset[Tile]:
        """Return the tiles of a problem that the store lacked at the start."""
        return self._parts[problem].missing

    def observe(self, observer: Callable[[int, Tile, Field], None]) -> None:
        """Call an observer with every tile that is fetched: the index of its problem, the tile, and its field."""
        for number, part in enumerate(self._parts):
            part.observers.append(functools.partial(observer, number))

    def go_on(self) -> None:
        """Begin to train the first incomplete problem, unless one is being trained, and return at once."""
        if not any(part.is_running for part in self._parts):
            for part in self._parts:
                if part.samples_done < part.samples_total:
                    part.start()
                    return

    def wait_for(self, tiles: Mapping[int, Sequence[Tile]], timeout_s: float) -> bool:
        """Wait until the given tiles of problems are in the store; False after about timeout_s seconds.

        Raises the error that ended the training, or Stopped if it was stopped before these tiles were done.
        """
        for number, wanted in tiles.items():
            self.go_on()
            part = self._parts[number]
            if wanted and not part.wait_for(part.count_for(wanted), timeout_s):
                return False
        self.go_on()
        return True

    def fetch(self, tile: Tile, problem: int = 0) -> Field:
        """Return a finished tile of a problem; one that was lost or damaged in the store is trained again first."""
        return self._parts[problem].fetch(tile)

    def stop(self) -> None:
        """Finish and store the batches that are running, start no more, and wait for that."""
        for part in self._parts:
            part.stop()
