"""Frames of a film that is still being made: small ones, from the samples that its stores hold so far.

A frame is finished if every level that it shows is stored. Otherwise it shows the deepest stored level that covers it,
in the colours of the last octave whose samples are stored: at first coarse, and sharper as the training goes on. While
the samples of the first octave's colours are being trained, colours come from a coarser level of that octave.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from render.film import passing
from render.film.job import Job
from render.film.painter import FramePainter
from render.film.plan import Plan
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Field

# Levels up to an octave finer than the pixels of a small picture are read. Finer ones would cost time and show nothing.
_FINER = 1.0

# A frame with fewer rows of samples than this is not shown.
_FEWEST_ROWS = 4


class Sharpness(NamedTuple):
    """The stored levels of which a frame can be made. levels: coarse to fine. rows: samples down the frame, of the
    deepest level that covers it.

    complete: whether these are all levels that the small picture shows, in the film's colours. coarse_colours: the
    level from which colours come where that is not the film's.
    """

    levels: tuple[int, ...]
    rows: float
    complete: bool
    coarse_colours: int | None = None


class EarlyFrames:
    """Makes small pictures of a job's frames, and trains nothing. Not thread-safe; the job may run at the same time."""

    def __init__(self, job: Job, width_px: int) -> None:
        """width_px: of the pictures, at most."""
        self._job = job
        self._stored = _Stored(job)
        self._plan = _SmallPlan(job.plan, width_px, self._stored)
        self._painter = FramePainter(self._plan, self._stored.fetch)

    def sharpness(self, number: int) -> Sharpness | None:
        """Return of what a frame can be made so far; None if too little is stored."""
        return self._plan.sharpness(self._place(number))

    def picture(self, number: int) -> np.ndarray:
        """Return a frame as uint8 [height, width, 3], as sharp as `sharpness` says. Raises what the store raises."""
        s, painter = self._place(number), self._painter
        if (sharp := self._plan.sharpness(s)) is not None and sharp.coarse_colours is not None:
            painter = FramePainter(self._plan.coloured_by(sharp.coarse_colours), self._stored.fetch)
        return painter.picture(s, passing=passing.around(self._plan, number))

    def _place(self, number: int) -> float:
        return self._plan.path.s_of_frame(number, self._job.scene.output.fps)


class _Stored:
    """The tiles of a job's problems that are in their stores. Tiles that were found are not looked up again."""

    def __init__(self, job: Job) -> None:
        self._stores = (job.store, *(kept.store for kept in job.others))
        self._wanted = job.plan.patches
        self._known: set[tuple[int, Tile]] = set()

    def holds(self, problem: int, tiles: list[Tile]) -> bool:
        """Return whether all that the film needs of some tiles is stored."""
        unknown = [tile for tile in tiles if (problem, tile) not in self._known]
        for tile, held in zip(unknown, self._stores[problem].held(unknown), strict=True):
            if self._wanted[tile] & ~held:
                return False
            self._known.add((problem, tile))
        return True

    def fetch(self, tile: Tile, problem: int = 0) -> Field:
        """Return the patches that the film needs of a stored tile."""
        try:
            return self._stores[problem].get(tile, self._wanted[tile])
        except Exception:
            self._known.discard((problem, tile))  # lost or damaged; the film's own training notices that as well
            raise


class _SmallPlan(Plan):
    """A film's plan with fewer pixels and only the stored levels, made from the film's plan, not from the scene."""

    def __init__(self, film: Plan, width_px: int, stored: _Stored) -> None:
        output = film.scene.output
        width = min(width_px, output.width_px)
        height = max(1, round(output.height_px * width / output.width_px))
        # As many samples of a level cover a small frame as cover a large one.
        detail = min(1.0, output.detail * output.width_px / width)
        self.__dict__.update(vars(film))
        self.scene = replace(film.scene, output=replace(output, width_px=width, height_px=height, detail=detail))
        self.path = self.scene.path(self.scene.output)
        self._film, self._stored = film, stored
        self._colour_level: int | None = None

    def coloured_by(self, level: int) -> _SmallPlan:
        """Return this plan with all colours from a level of the path's beginning."""
        other = copy.copy(self)
        other._colour_level, other.anchors = level, self.anchors[:1]
        return other

    def sharpness(self, s: float) -> Sharpness | None:
        """Return of what a frame at s can be made so far; None if too little is stored."""
        view = self.path.viewport(s)
        if self.scene.bifurcation is not None:  # no tile is trained for it
            return Sharpness((), view.height_px, complete=True)
        levels, complete = self._levels(s)
        rows = view.height * SAMPLES * 2.0 ** levels[0] if levels else 0.0
        if rows < _FEWEST_ROWS:
            return None
        if (anchors := self._held_anchors(s)) is None:
            first = self._levels(self.anchors[0])[0]
            return Sharpness(tuple(levels), rows, complete=False, coarse_colours=first[0]) if first else None
        return Sharpness(tuple(levels), rows, complete and anchors == super().anchors_at(s))

    def mix(self, s: float) -> list[tuple[int, float]]:
        """Return the levels of a frame at s that are stored, coarse to fine, with their weights as in the film."""
        weights = dict(super().mix(s))
        return [(level, weights.get(level, 1.0)) for level in self._levels(s)[0]]

    def anchors_at(self, s: float) -> tuple[float, float, float]:
        """Return the anchors around s whose samples are stored, or the last before them."""
        if self._colour_level is not None:
            return self.anchors[0], self.anchors[0], 0.0
        return self._held_anchors(s) or super().anchors_at(s)

    def curve_level(self, anchor: float) -> int:
        """Return the level that gives the colour curve of an anchor."""
        return self._film.curve_level(anchor) if self._colour_level is None else self._colour_level

    def _curve_tiles(self, anchor: float) -> list[Tile]:
        return self._film._curve_tiles(anchor)

    def _nominal_level(self, s: float) -> float:
        return min(self._film._nominal_level(s), self.path.viewport(s).level + _FINER)

    def _levels(self, s: float) -> tuple[list[int], bool]:
        """Return the levels stored all over a frame at s, coarse to fine, and whether they are all that it shows."""
        mix = [level for level, _ in super().mix(s)]
        problems = self.slices.shown(s)
        shown = []
        for level in mix:
            if not self._covers(s, level, problems):
                break
            shown.append(level)
        if shown:
            return shown, shown == mix
        coarser = (level for level in sorted(self.levels, reverse=True) if level < mix[0])
        covering = (level for level in coarser if self.levels[level].distance(s) == 0.0)
        return [level for level in covering if self._covers(s, level, problems)][:1], False

    def _covers(self, s: float, level: int, problems: list[int]) -> bool:
        parts = self.levels[level].parts(self.path.viewport(s).patches(level))
        tiles = list(dict.fromkeys(tile for part in parts for tile in part.tile_range.tiles()))
        return all(self._stored.holds(problem, tiles) for problem in problems)

    def _held_anchors(self, s: float) -> tuple[float, float, float] | None:
        first, second, share = super().anchors_at(s)
        problems = self.slices.shown(s)
        if self.scene.look.equalise == "film":
            return (first, second, share) if all(self._colours(a, problems) for a in self.anchors) else None
        if self._colours(first, problems):
            return (first, second if self._colours(second, problems) else first, share)
        before = (a for a in reversed(self.anchors) if a < first)
        last = next((a for a in before if self._colours(a, problems)), None)
        return None if last is None else (last, last, 0.0)

    def _colours(self, anchor: float, problems: list[int]) -> bool:
        """Return whether the samples for the colour curve of an anchor are stored."""
        return all(self._stored.holds(problem, self._curve_tiles(anchor)) for problem in problems)
