"""Slices: the values that move besides the camera at some moments. A frame shows one slice, or two mixed as light."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from render.geometry.camera import Path
from render.geometry.tiles import Tile
from render.geometry.tracks import STEPS
from render.problem import Problem
from render.samples import CHANNELS, Field, value_after

# At this share of the way from one slice to the next, or less, only the first is shown: the rest is rounding.
_AT = 1e-9


class Slice(NamedTuple):
    """A picture of the plane. problem: index into `Slices.problems`. steps: after how many steps runs are shown."""

    problem: int
    steps: int


class _Stop(NamedTuple):
    """A problem on the way from one keyframe to the next. share: its place on that way, 0 to 1."""

    share: float
    problem: int


class Slices:
    """The slices of one film.

    Between two slices both are shown, each with its share, which changes evenly with what moves between keyframes.
    problems: what is trained, in order of first use; only one where no hyperparameter moves.
    """

    def __init__(self, problem: Problem, path: Path, most: int) -> None:
        """most: about how many problems there may be; every keyframe has one in any case."""
        self._path = path
        self._steps = next((track for track in path.tracks if track.name == STEPS), None)
        self._moved = tuple(track for track in path.tracks if track is not self._steps)
        self._last, self._rungs = problem.steps, [*problem.prefixes, problem.steps]
        self.problems: list[Problem] = []
        self._ways: list[list[_Stop]] = []
        if not self._moved:
            self.problems.append(problem)
            return
        count = max(len(self._moved[0].values) - 1, 1)
        lengths = [max(track.length(i) for track in self._moved) if len(path.marks) > 1 else 0.0 for i in range(count)]
        total = sum(lengths) or 1.0
        for i, length in enumerate(lengths):
            self._ways.append(self._way(problem, i, math.floor((most - 1) * length / total + _AT)))

    def _way(self, problem: Problem, i: int, count: int) -> list[_Stop]:
        """Return the problems on the way from keyframe i to the next, cut into so many equal parts, at least one."""
        if count == 0 and all(len(track.values) == 1 or track.length(i) == 0 for track in self._moved):
            return [_Stop(0.0, self._number(problem, i, 0.0))]
        stops: list[_Stop] = []
        for share in np.linspace(0.0, 1.0, max(1, count) + 1):
            number = self._number(problem, i, float(share))
            # An integer setting keeps its value for some stops; the first of these counts.
            if not stops or stops[-1].problem != number:
                stops.append(_Stop(float(share), number))
        return [*stops[:-1], stops[-1]._replace(share=1.0)] if len(stops) > 1 else stops

    def _number(self, problem: Problem, i: int, share: float) -> int:
        """Return the index of the problem at a share of the way from keyframe i to the next."""
        values = {track.name: track.between(i, share) for track in self._moved}
        if 0.0 < share < 1.0:  # rounded, so that a way back gives the same values
            values = {name: float(f"{value:.12g}") for name, value in values.items()}
        settings = {name: round(value) for name, value in values.items() if name in problem.row.settings}
        moved = problem.moved(values | settings)
        if moved not in self.problems:
            self.problems.append(moved)
        return self.problems.index(moved)

    # ---- what a frame shows ------------------------------------------------------------------------------------

    def at(self, s: float) -> list[tuple[Slice, float]]:
        """Return the slices that a frame at s shows, each with its share; these add up to 1."""
        rungs = [(self._last, 1.0)]
        if self._steps is not None:
            rungs = _around(self._path.value(self._steps, s), self._rungs)
        return [(Slice(number, rung), a * b) for number, a in self._problems_at(s) for rung, b in rungs]

    def _problems_at(self, s: float) -> list[tuple[int, float]]:
        if not self._ways:
            return [(0, 1.0)]
        i, share = self._path.place(s)
        stops = self._ways[i]
        above = min(bisect.bisect_left([stop.share for stop in stops], share), len(stops) - 1)
        low, high = stops[max(above - 1, 0)], stops[above]
        between = (share - low.share) / (high.share - low.share) if high.share > low.share else 1.0
        if between > 1 - _AT:
            return [(high.problem, 1.0)]
        return [(low.problem, 1.0)] if between < _AT else [(low.problem, 1.0 - between), (high.problem, between)]

    def shown(self, *places: float) -> list[int]:
        """Return the indices of the problems that a frame shows which averages some places."""
        return [*dict.fromkeys(number for s in places for number, _ in self._problems_at(s))]

    def stretches(self, number: int) -> list[tuple[float, float]]:
        """Return the stretches of path on which a problem is shown, by their ends."""
        stretches = []
        for i, stops in enumerate(self._ways):
            begin, end = float(self._path.marks[i]), float(self._path.marks[min(i + 1, len(self._path.marks) - 1)])
            for k, stop in enumerate(stops):
                if stop.problem == number:
                    low = stops[k - 1].share if k else 0.0
                    high = stops[k + 1].share if k + 1 < len(stops) else 1.0
                    stretches.append((begin + low * (end - begin), begin + high * (end - begin)))
        return stretches or [(0.0, self._path.length)]

    def nearest(self, s: float) -> Slice:
        """Return the slice that has the largest share in a frame at s."""
        return max(self.at(s), key=lambda shown: shown[1])[0]

    def values(self, shown: Slice) -> dict[str, float]:
        """Return the values in a slice of what moves, by name."""
        problem = self.problems[shown.problem]
        known = dict(problem.fixed) | {name: value for name, value in problem.settings if type(value) is int}
        values = {track.name: float(known[track.name]) for track in self._moved}
        return values | ({STEPS: float(shown.steps)} if self._steps is not None else {})

    # ---- fields of slices, made from those of full runs ---------------------------------------------------------

    @property
    def channels(self) -> dict[str, np.dtype]:
        """Name and dtype of the channels that samples of every slice have."""
        return CHANNELS if self._steps is not None else self.problems[0].channels

    def reader(self, shown: Slice, fetch: Callable[..., Field]) -> Callable[[Tile], Field]:
        """Return what reads the fields of a slice. fetch: reads a tile, of the first problem or of `problem`."""
        of_problem = functools.partial(fetch, problem=shown.problem) if shown.problem else fetch
        return of_problem if self._steps is None else lambda tile: self.field(shown.steps, of_problem(tile))

    def field(self, steps: int, complete: Field) -> Field:
        """Return the field of runs after so many steps, given that of full runs."""
        return complete if steps == self._last else complete.after(steps)

    def value(self, steps: int, complete: Field) -> np.ndarray:
        """Return only the values of that field."""
        return complete.value if steps == self._last else complete.more[value_after(steps)]

    @property
    def steps(self) -> list[int]:
        """The numbers of steps after which frames may show runs."""
        return [self._last] if self._steps is None else self._rungs


def _around(steps: float, rungs: list[int]) -> list[tuple[int, float]]:
    """Return the rungs around a number of steps with their shares, or one rung if the number is at it."""
    above = min(bisect.bisect_left(rungs, steps), len(rungs) - 1)
    below = max(above - 1, 0)
    low, high = rungs[below], rungs[above]
    share = math.log(max(steps, low) / low) / math.log(high / low) if high > low else 1.0
    if share > 1 - _AT or high == low:
        return [(high, 1.0)]
    return [(low, 1.0)] if share < _AT else [(low, 1.0 - share), (high, share)]


class Shelf:
    """A cache for fields that are read once for every slice, limited to a number of bytes."""

    def __init__(self, fetch: Callable[..., Field], most_bytes: int) -> None:
        """fetch: as `Slices.reader` takes it. The shelf may be used in its place."""
        self._fetch, self._left = fetch, most_bytes
        self._kept: dict[tuple[int, Tile], Field] = {}
        self._turn, self._last_turn = 0, dict[tuple[int, Tile], int]()

    def begin_slice(self) -> None:
        """Begin to read another slice."""
        self._turn += 1

    def __call__(self, tile: Tile, problem: int = 0) -> Field:
        """Return the field of a tile of a problem."""
        key = problem, tile
        self._last_turn[key] = self._turn
        if (field := self._kept.get(key)) is not None:
            return field
        field = self._fetch(tile, problem=problem) if problem else self._fetch(tile)
        size = _bytes(field)
        if size > self._left:
            self._forget()
        if size <= self._left:
            self._kept[key] = field
            self._left -= size
        return field

    def _forget(self) -> None:
        """Make room by dropping tiles that neither this slice nor the last one has read: a zoom does not return to
        them.

        The others stay even if the cache is full: of tiles that are read in the same order again and again, the one
        that was kept longest is needed next.
        """
        for key in [key for key in self._kept if self._last_turn[key] < self._turn - 1]:
            self._left += _bytes(self._kept.pop(key))


def _bytes(field: Field) -> int:
    return sum(channel.nbytes for channel in field)
