"""The tiles that a film needs, in the order in which it needs them, and their cost. Nothing is trained here.

The plan follows from the path's geometry and the quality alone, never from frames, seconds or a store, so another
frame rate or another timing needs the same tiles, and a frame rendered alone uses the tiles it uses in the film.

Let lambda be the continuous level of a view (one lattice spacing = one pixel). Level L is *complete* wherever
lambda + 1 + log2(detail) >= L: the view is then covered by samples at `detail` samples per pixel or more. Deeper
levels that the path completes later are already used where they lie inside an earlier, wider view: a frame is
sharp where the camera goes.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, KeysView, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from render.deep import targets
from render.film import depth
from render.film.slices import Slices
from render.geometry import patches
from render.geometry.camera import Path
from render.geometry.float64_limits import TRUSTED_WIDTH_DECADES
from render.geometry.patches import Patches, PatchRange
from render.geometry.tiles import Tile, TileRange
from render.geometry.viewport import Window
from render.scene import Scene

# The path is examined this many times per octave. Between two such views, both nearly the same, the camera leaves
# their common bounding box by at most 1.2e-4 of its width (where a pan turns; measured on 300 random journeys): less
# than the one sample that a cover adds all around, if a frame has no more samples across than this. Twice as often
# brings it four times nearer.
_PER_OCTAVE = 16
_ACROSS = 4096

# Colour curves are taken from this many rows of samples of an anchor's view, or the fewest more that a level has.
_CURVE_ROWS = 64


@dataclass
class LevelPlan:
    """One level of a film: the stretches of path on which it is complete, and which patches it needs of which tiles."""

    complete: list[tuple[float, float]] = field(default_factory=list)
    ranges: list[PatchRange] = field(default_factory=list)
    patches: dict[Tile, Patches] = field(default_factory=dict)

    @property
    def tiles(self) -> KeysView[Tile]:
        """The level's tiles."""
        return self.patches.keys()

    def parts(self, area: PatchRange) -> list[PatchRange]:
        """Return where the level's patches lie in an area."""
        return [part for other in self.ranges if (part := area.intersection(other)) is not None]

    def planned(self, area: TileRange) -> np.ndarray:
        """Return which tiles of an area are the level's: bool [rows, columns]."""
        around = (area.intersection(other.tile_range) for other in self.ranges)
        return area.mask(part for part in around if part is not None)

    def distance(self, s: float) -> float:
        """Return the path length in octaves from s to the nearest place where the level is complete."""
        return min((max(a - s, s - b, 0.0) for a, b in self.complete), default=math.inf)


class Shown(NamedTuple):
    """The tiles of a frame: rectangles, with which of their tiles are planned (bool [rows, columns]), and some others.

    A frame shows thousands, and a film whose samples are all stored has no need to list them.
    """

    areas: list[tuple[TileRange, np.ndarray]]
    others: list[Tile]

    @property
    def number(self) -> int:
        """The number of tiles."""
        return sum(int(np.count_nonzero(planned)) for _, planned in self.areas) + len(self.others)

    def tiles(self, level: int | None = None) -> list[Tile]:
        """Return all of them, or those of one level."""
        listed = [
            tile
            for area, planned in self.areas
            if level in (None, area.level)
            for tile in (area.tiles() if planned.all() else itertools.compress(area.tiles(), planned.flat))
        ]
        return listed + [tile for tile in self.others if level in (None, tile.level)]


class Plan:
    """The tiles of a film (`order`: by first use) and, for any place on its path, those of its frame."""

    def __init__(self, scene: Scene) -> None:
        """Plan a scene at its output's quality. Raises DepthError where its precision ends."""
        self.scene = scene
        output = scene.output
        self.path: Path = scene.path(output)
        self.slices = Slices(scene.problem, self.path, output.slices)
        self._delta = 1 + math.log2(output.detail)
        self._rest_delta = 1 + math.log2(output.rest_detail)
        # Every complete level is used: a frame shows levels finer than its pixels, reduced, as far as they are complete
        # all over it, and where no level is, at least up to its pixels.
        self._shift = max(0.0, self._delta)
        self._rest_shift = max(self._shift, self._rest_delta)
        if scene.bifurcation is not None:
            self._without_tiles()
            return
        self._places = _places(self.path, 2 * output.detail * max(output.width_px, output.height_px))
        self.levels = self._complete_levels()
        self.anchors = [float(s) for s in np.arange(0.0, self.path.length, 1.0)] + [self.path.length]
        depth.refuse_too_deep(scene, max(self.levels), self.path)
        # Which tiles are followed by differences.
        self.targets = targets.find(scene, self.path, max(self.levels))
        for level, plan in self.levels.items():
            _add_covers(plan, level, self.path, self._places)
        self.first_level = min(self.levels)
        self._curves: dict[float, list[Tile]] = {}
        self.order = self._in_order_of_use()
        # What each problem needs: all of it, but where others are shown too.
        self.orders = [self.order]
        if len(self.slices.problems) > 1:
            numbers = range(len(self.slices.problems))
            self.orders = [self._in_order_of_use(self.slices.stretches(number)) for number in numbers]

    def _without_tiles(self) -> None:
        """Plan a bifurcation diagram, each frame of which is computed as it is shown: no tile is trained for it."""
        depth.refuse_too_deep_diagram(self.scene, self.path)
        self.levels, self.first_level = {0: LevelPlan([(0.0, self.path.length)])}, 0
        self.anchors = [0.0, self.path.length]
        self.targets, self._curves = targets.Targets(), {}
        self.order = []
        self.orders = [self.order]

    # ---- what a frame is made of -------------------------------------------------------------------------------

    def base_level(self, s: float) -> int:
        """Return the deepest level that is complete at s and not finer than a frame at s shows."""
        finest = math.floor(self._nominal_level(s))
        complete = [level for level, plan in self.levels.items() if plan.distance(s) == 0.0]
        return max([level for level in complete if level <= finest] or [min(complete)])

    def mix(self, s: float) -> list[tuple[int, float]]:
        """Return the levels of a frame at s, coarse to fine, with the weight of each over those before it.

        As in mip-mapping, level L fades in while the view's own level goes from L - 1 to L, so nothing pops.
        """
        base = self.base_level(s)
        nominal = self._nominal_level(s)
        finer = [(level, min(1.0, nominal - (level - 1))) for level in sorted(self.levels) if level > base]
        return [(base, 1.0)] + [(level, weight) for level, weight in finer if weight > 0.0]

    def _nominal_level(self, s: float) -> float:
        """Return the continuous level that a frame at s shows: the view's own, or finer where it is super-sampled.

        Where only rests are super-sampled, their finer levels fade in on the way there, an octave of path each.
        """
        to_rest = min(abs(s - rest) for rest in self.path.rests)
        return self.path.viewport(s).level + max(self._shift, self._rest_shift - to_rest)

    def curve_level(self, anchor: float) -> int:
        """Return the level whose samples give the colour curve of an anchor: coarse, but of enough rows."""
        view = self.path.viewport(anchor)
        base = self.base_level(anchor)
        enough = math.ceil(view.level + math.log2(_CURVE_ROWS / view.height_px))
        return max(self.first_level, min(base, enough))

    def curve_window(self, anchor: float) -> Window:
        """Return the samples that give the colour curve of an anchor."""
        return self.path.viewport(anchor).window(self.curve_level(anchor), 1)

    def anchors_at(self, s: float) -> tuple[float, float, float]:
        """Return the anchors around s and how far s is from the first to the second, 0 to 1."""
        i = min(int(s), len(self.anchors) - 2) if len(self.anchors) > 1 else 0
        a, b = self.anchors[i], self.anchors[min(i + 1, len(self.anchors) - 1)]
        return a, b, (s - a) / (b - a) if b > a else 0.0

    def tiles_at(self, s: float) -> list[Tile]:
        """Return the tiles that a frame at s is made and coloured from."""
        return self.shown_at(s).tiles()

    def shown_at(self, s: float, *more: float) -> Shown:
        """Return the same, unlisted; of a frame that averages several places, all of theirs."""
        if more:
            return Shown([], list(dict.fromkeys(tile for place in (s, *more) for tile in self.tiles_at(place))))
        view = self.path.viewport(s)
        areas = {level: view.cover(level) for level, _ in self.mix(s)}
        others = [
            tile for tile in self.curve_tiles_at(s) if tile.level not in areas or not areas[tile.level].holds(tile)
        ]
        return Shown([(area, self.levels[level].planned(area)) for level, area in areas.items()], others)

    def curve_tiles_at(self, s: float) -> list[Tile]:
        """Return the tiles that give the colours of a frame at s."""
        anchors = self.anchors if self.scene.look.equalise == "film" else self.anchors_at(s)[:2]
        return list(dict.fromkeys(tile for anchor in anchors for tile in self._curve_tiles(anchor)))

    @functools.cached_property
    def patches(self) -> dict[Tile, Patches]:
        """Which patches the film needs of each of its tiles: those that a frame somewhere on the path reads."""
        return {tile: wanted for plan in self.levels.values() for tile, wanted in plan.patches.items()}

    @functools.cached_property
    def samples(self) -> int:
        """Training runs of the whole film from an empty store; below a planned parent, three quarters of a patch."""
        return sum(map(self._samples_of, self.orders))

    def _samples_of(self, order: list[Tile]) -> int:
        planned = set(order)
        count = 0
        for tile in order:
            level, ix, iy = tile
            above = (level - 1, ix >> 1, iy >> 1)  # a plain tuple, equal to the parent: there are a hundred thousand
            wanted, taken_over = self.patches[tile], 0
            if above in planned and self.targets.inherits(tile):
                taken_over = patches.inherited(tile, self.patches[above]) & wanted
            count += patches.new_sample_count(wanted, taken_over)
        return count

    # ---- making the plan ---------------------------------------------------------------------------------------

    def _complete_levels(self) -> dict[int, LevelPlan]:
        depth = np.array([self.path.viewport(s).level for s in self._places])
        rest = np.isin(self._places, self.path.rests)
        reach = depth + np.where(rest, max(self._rest_delta, self._delta), self._delta)
        first = max(0, math.floor(float((depth + self._delta).min())))
        levels = {}
        for level in range(first, max(first, math.floor(float(reach.max()))) + 1):
            plan = levels[level] = LevelPlan()
            if level == first:
                # The coarsest level is complete everywhere: the pyramid starts there.
                plan.complete = [(0.0, self.path.length)]
                continue
            inside = depth + self._delta >= level
            stretches = [(float(s), float(s)) for s in self._places[(reach >= level) & ~inside]]
            turns = np.flatnonzero(np.diff(inside, prepend=False, append=False))
            for begin, end in turns.reshape(-1, 2):  # from one place up to another, without it
                a, b = float(self._places[begin]), float(self._places[end - 1])
                if begin > 0:
                    a = self._crossing(float(self._places[begin - 1]), a, level)
                if end < len(inside):
                    b = self._crossing(b, float(self._places[end]), level)
                stretches.append((a, b))
            for a, b in sorted(stretches):
                _extend(plan.complete, a, b)
        return levels

    def _crossing(self, outside: float, inside: float, level: int) -> float:
        """Return where between two places the level becomes (or ceases to be) complete, by bisection."""

        def complete(s: float) -> bool:
            return self.path.viewport(s).level + self._delta >= level

        a, b = outside, inside
        at_a = complete(a)
        for _ in range(40):
            middle = (a + b) / 2
            a, b = (middle, b) if complete(middle) == at_a else (a, middle)
        return b if not at_a else a

    def _curve_tiles(self, anchor: float) -> list[Tile]:
        if anchor not in self._curves:
            level = self.curve_level(anchor)
            area = self.path.viewport(anchor).cover(level)
            self._curves[anchor] = [tile for tile in area.tiles() if tile in self.levels[level].tiles]
        return self._curves[anchor]

    def _in_order_of_use(self, within: Sequence[tuple[float, float]] | None = None) -> list[Tile]:
        """Sort all tiles by the place on the path where a frame first needs them; coarse levels first.

        within: stretches of the path outside of which no frame needs any; None for the whole path.
        """

        def counts(begin: float, end: float) -> bool:
            return within is None or any(a <= end and begin <= b for a, b in within)

        order: dict[Tile, None] = {}
        seen: dict[int, list[TileRange]] = {}

        def use(area: TileRange) -> None:
            done = seen.setdefault(area.level, [])
            if any(other.contains(area) for other in done):
                return
            done.append(area)
            planned = self.levels[area.level].tiles
            order.update(dict.fromkeys(t for t in area.tiles() if t in planned and t not in order))

        pending = list(self.anchors)
        # Between two breaks no level begins or ceases to be complete: what both ends and the middle show is all.
        ends = [s for plan in self.levels.values() for stretch in plan.complete for s in stretch]
        places = [float(s) for s in np.unique(np.concatenate([self._places, ends]))]
        for here, ahead in zip(places, places[1:] or places, strict=False):
            # The curve ahead is blended in from the anchor behind on: a frame needs one anchor past it.
            areas = []
            while pending and (pending[0] <= ahead + 1.0 or self.scene.look.equalise == "film"):
                anchor = pending.pop(0)
                if counts(anchor - 1.0, anchor + 1.0):
                    areas.append(self.path.viewport(anchor).cover(self.curve_level(anchor)))
            views = self.path.viewport(here), self.path.viewport(ahead)
            shown = (here, (here + ahead) / 2, ahead) if counts(here, ahead) else ()
            for level in {level for s in shown for level, _ in self.mix(s)}:
                areas.append(views[0].cover(level).union(views[1].cover(level)))
            for area in sorted(areas):
                use(area)
        # What is left, if anything, no examined place shows: after everything else.
        for plan in self.levels.values() if within is None else ():
            order.update(dict.fromkeys(sorted(plan.tiles - order.keys())))
        return _parents_first(order)


def _parents_first(order: Iterable[Tile]) -> list[Tile]:
    """Return the same tiles, each right behind those of its ancestors that would come later.

    Where the camera pulls back, coarse tiles are first shown after fine ones below them; but a tile waits for its
    parent, so nothing may stand in front of what it waits for.
    """
    planned = set(order)
    done: dict[Tile, None] = {}
    for tile in order:
        level, ix, iy = tile
        above = (level - 1, ix >> 1, iy >> 1)  # a plain tuple, equal to the parent: there are a hundred thousand
        if above in done or above not in planned:
            done[tile] = None
            continue
        chain = [tile]
        while chain[-1].level > 0 and chain[-1].parent in planned and chain[-1].parent not in done:
            chain.append(chain[-1].parent)
        done.update(dict.fromkeys(reversed(chain)))
    return list(done)


def _places(path: Path, across: float) -> np.ndarray:
    """Return the path lengths at which the path is examined: evenly spaced, keyframes and rests included.

    across: the most samples that a level has along a frame's longer side when it becomes complete.
    """
    count = max(1, math.ceil(path.length * _PER_OCTAVE * math.sqrt(max(1.0, across / _ACROSS))))
    return np.unique(np.concatenate([np.linspace(0.0, path.length, count + 1), path.marks, path.rests]))


def _extend(intervals: list[tuple[float, float]], a: float, b: float) -> None:
    """Append [a, b] to a rising list of intervals, merging it with the last where they touch."""
    if intervals and a <= intervals[-1][1]:
        intervals[-1] = (intervals[-1][0], max(b, intervals[-1][1]))
    else:
        intervals.append((a, b))


def _add_covers(plan: LevelPlan, level: int, path: Path, places: np.ndarray) -> None:
    """Add every patch that a view on the level's complete stretches reads, between the examined places too."""
    for a, b in plan.complete:
        stops = [a, *(float(s) for s in places[(places > a) & (places < b)]), b]
        covers = [path.viewport(s).patches(level) for s in stops]
        for one, two in zip(covers, covers[1:] or covers, strict=False):
            area = one.union(two)  # two neighbouring views hardly differ: this holds every view in between
            if not any(other.contains(area) for other in plan.ranges):
                plan.ranges.append(area)
                area.add_to(plan.patches)


def depth_warning(plan: Plan) -> str | None:
    """Return a warning if the film goes where float64 training itself blurs the picture, else None."""
    problem = plan.scene.problem
    narrowest = min(plan.path.view(float(s)).width for s in plan.path.marks) * float(problem.x.span)
    if problem.x.scale != "log10" or narrowest >= TRUSTED_WIDTH_DECADES or plan.targets.places:
        return None
    return (
        f"The narrowest view is {narrowest:.1g} decades wide. Below about {TRUSTED_WIDTH_DECADES:.0e} decades, "
        "rounding inside the training runs starts to show: what looks like structure there may be noise."
    )
