"""A planned render as one value: what is trained, by which backends, and where it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import render
from render import scene as scenes
from render.backends import Backend
from render.film import selection, soundtrack
from render.film.plan import Plan
from render.film.schedule import Switch, Training
from render.film.trainings import Trainings
from render.geometry.tiles import Tile
from render.picture import typeface
from render.scene import Scene
from render.storage import numerics
from render.storage.store import TileStore
from render.storage.switches import Measured


class Kept(NamedTuple):
    """The backend that trains a problem, and the store of its tiles."""

    backend: Backend
    store: TileStore


@dataclass(frozen=True)
class Job:
    """A planned render: what is trained, by which backends, and where it is stored. `rendering.prepare` makes one.

    switch: from which levels on runs are followed by differences from reference runs; None if none are. measured: the
    measured precision of runs at the film's targets. others: backends and stores of the film's further problems, where
    hyperparameters move between keyframes.
    """

    quality: str
    plan: Plan
    backend: Backend
    store: TileStore
    switch: Switch | None = None
    measured: tuple[Measured, ...] = ()
    others: tuple[Kept, ...] = ()

    @property
    def scene(self) -> Scene:
        """The scene at the job's quality."""
        return self.plan.scene

    @property
    def frame_count(self) -> int:
        """The number of frames of the whole film."""
        return self.plan.path.frame_count(self.scene.output.fps)

    def frame_numbers(self, selections: Iterable[str | int]) -> list[int]:
        """Return the frames that texts like "120", "50%", "last", "t=12.5s" and "1,5,9..20" select, each once."""
        return selection.numbers(selections, self.frame_count, self.plan.path.duration_s)

    @property
    def numerics(self) -> dict[str, str | int]:
        """Everything besides the problem that the samples depend on, those past float64 included."""
        return numerics.following(self.backend.numerics, self.switch.keys if self.switch else ())

    def missing_samples(self, numbers: Sequence[int] | None = None) -> int:
        """Return how many training runs of the film, or of some of its frames, the store does not hold yet."""
        orders = self.plan.orders if numbers is None else needed(self.plan, self._moments(numbers))
        return self.trainings(orders).samples_total

    def trainings(self, orders: Sequence[Sequence[Tile]]) -> Trainings:
        """Return the trainings of tiles of every problem, each in order of first use. They are not started."""
        kept = (Kept(self.backend, self.store), *self.others)
        problems = self.plan.slices.problems
        # Where there are several problems, there is no switch: see `targets.may_have`.
        return Trainings(
            [
                Training(problem, order, one.store, one.backend, self.switch, self.plan.patches)
                for problem, order, one in zip(problems, orders, kept, strict=True)
            ]
        )

    def _moments(self, numbers: Iterable[int]) -> Iterator[float]:
        output = self.scene.output
        return (s for number in numbers for s in self.plan.path.moments(number, output.fps, output.shutter))

    def provenance(self, frame: int | None = None) -> dict[str, str]:
        """Return short texts from which the film, or one frame of it, can be made again."""
        output = self.scene.output
        texts = scenes.provenance(self.scene, self.quality, self.numerics) | {"render": render.__version__}
        if (font := typeface.find(output.caption, output.font)) != typeface.BUNDLED:
            texts["font"] = f"{font.name} {hashlib.sha256(font.read_bytes()).hexdigest()[:16]}"
        return texts | soundtrack.identity(self.scene) if frame is None else texts | {"frame": str(frame)}


def needed(plan: Plan, places: Iterable[float]) -> list[list[Tile]]:
    """Return the tiles of every problem that the frames at some places show, in the plan's order."""
    wanted: list[set[Tile]] = [set() for _ in plan.orders]
    for s in set(places):
        tiles = plan.tiles_at(s)
        for number in plan.slices.shown(s):
            wanted[number].update(tiles)
    return [[tile for tile in order if tile in asked] for order, asked in zip(plan.orders, wanted, strict=True)]
