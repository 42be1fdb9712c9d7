"""The dimension of the boundary, octave by octave of a film, beside what the same estimators say of null models.

A window is a square of whole tiles: at every octave the one nearest to the camera's view and about as high as it.
Windows of one zoom nest as tiles do: a quarter of the samples of each are samples of the one above, and a film of the
scene uses all of them.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from render.analyse import estimators, null_models
from render.analyse.estimators import ESTIMATORS, Estimate
from render.analyse.subject import Subject, field_of, train_points, trained_tiles
from render.backends import single_points
from render.errors import RenderError
from render.film.rendering import Report
from render.geometry.axes import DEEPEST_LEVEL
from render.geometry.float64_limits import TRUSTED_WIDTH_DECADES
from render.geometry.tiles import SAMPLES, Tile, TileRange
from render.samples import Points
from render.scene import Scene
from render.storage import references
from render.storage.references import Reference

# Sides that can be asked for: whole tiles, a power of two, so that a half is a coarser window of the same samples.
SIDES = (64, 128, 256, 512, 1024)

# Samples of each window that are trained again, in other batches than those of their tiles.
_SHARED = 4

# Samples at the boundary of each window that are trained again with a hyperparameter one unit in the last place larger.
_NUDGED = 16

# Side of the square of samples whose dimension gives the spread within a window.
_PATCH = 32

# Dimensions in the panel titles of the published figure (Sohl-Dickstein 2024, arXiv:2402.06184), by the key of the
# problem that they belong to: a scene's name says nothing, and a changed problem has no published number.
PUBLISHED = {
    "2fc36aa7458bbfff": 1.17,  # linear
    "6e803c0e7b0fbc82": 1.20,  # relu
    "78996907e72d056f": 1.41,  # single
    "cd27b5d4b2e4847e": 1.55,  # minibatch
    "ed27c7037acbc6d9": 1.66,  # tanh
    "0f4e128fbb2bd2e9": 1.98,  # mean_lr
}


@dataclass(frozen=True)
class Level:
    """One window. width: in positions (decades on a log10 axis). share: of the samples, those that converged.

    estimates: by name of ESTIMATORS; None where no boundary crosses.
    null: model -> name of an estimator, or "published" -> dimension.
    halved: estimator -> side -> dimension of the same window from all, every second, every fourth ... of its samples.
    published: side -> local slopes of the published procedure. patches: dimensions by `box` of 32 x 32 samples each.
    new_detail: of the samples between those of the level above, the share that end unlike the one beside them.
    equal, again: of `again` shared points trained again, how many had the same bits.
    flipped, nudged: of `nudged` samples next to one that ended differently, how many end differently themselves where
    one unit in the last place is added to either hyperparameter. nudged is 0 where runs are followed by differences.
    """

    level: int
    width: float
    share: float
    estimates: dict[str, Estimate | None]
    null: dict[str, dict[str, float | None]]
    halved: dict[str, dict[int, float | None]]
    published: dict[int, list[float]]
    patches: list[float]
    new_detail: float
    equal: int
    again: int
    flipped: int = 0
    nudged: int = 0

    @property
    def has_boundary(self) -> bool:
        """Return whether a boundary crosses the window."""
        return self.estimates["box"] is not None


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, the quartiles around it, and how many numbers there are."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Result:
    """All windows of a film, coarse to fine, and the published number of the same problem, if there is one.

    last_plain_level: the last level that was trained plainly; None if all were.
    """

    scene: str
    problem: str
    side: int
    unit: str
    levels: tuple[Level, ...]
    published: float | None
    trusted_width: float
    last_plain_level: int | None = None

    def trusted(self) -> list[Level]:
        """Return the windows that a boundary crosses and whose training computes well: by float64, or differences."""
        return [level for level in self.levels if level.has_boundary and self._well_computed(level)]

    def _well_computed(self, window: Level) -> bool:
        return window.width > self.trusted_width or (
            self.last_plain_level is not None and window.level > self.last_plain_level
        )

    def dimension(self, name: str) -> Spread | None:
        """Return an estimator's dimension over the trusted windows."""
        return spread([e.dimension for level in self.trusted() if (e := level.estimates[name])])

    def null(self, model: str, name: str) -> Spread | None:
        """Return what an estimator says of a null model, over the same windows."""
        return spread([v for level in self.trusted() if (v := level.null[model][name]) is not None])

    def rounding(self) -> tuple[int, int]:
        """Return how many samples at the boundary one unit in the last place sends to another outcome, and of how many.

        Both are sums over the trusted windows. The share is that of the boundary that float64 does not decide.
        """
        levels = self.trusted()
        return sum(level.flipped for level in levels), sum(level.nudged for level in levels)

    def by_side(self, name: str) -> dict[int, Spread]:
        """Return the dimension at each resolution of the same windows, coarse first; "published" is a name too."""
        spreads = {}
        for side in sides(self.side):
            if name == "published":
                values = [v for level in self.trusted() for v in level.published[side]] if side >= SIDES[0] else []
            else:
                values = [v for level in self.trusted() if (v := level.halved[name][side]) is not None]
            if (row := spread(values)) is not None:
                spreads[side] = row
        return spreads


def spread(values: list[float]) -> Spread | None:
    """Return median, quartiles and count; None if there are no values."""
    if not values:
        return None
    low, median, high = (float(v) for v in np.quantile(values, (0.25, 0.5, 0.75)))
    return Spread(median, low, high, len(values))


def sides(side: int) -> list[int]:
    """Return the resolutions at which a window is examined: side, side / 2, ... not below 32; coarse first."""
    return [side >> i for i in range(int(math.log2(side // 32)), -1, -1)]


def windows(scene: Scene, side: int, deepest: int | None = None) -> list[TileRange]:
    """Return the windows of a film, coarse to fine, one an octave of the camera's path from its last view upwards.

    side: samples along a side, one of SIDES. deepest: only so many of the last windows; None is all.
    """
    if side not in SIDES:
        raise RenderError(f"--side must be one of {', '.join(map(str, SIDES))} samples, not {side}.")
    if deepest is not None and deepest < 1:
        raise RenderError(f"--deepest must be at least 1 window, not {deepest}.")
    path, across = scene.path(scene.output), side // SAMPLES
    aspect = scene.output.height_px / scene.output.width_px
    deepest_level = DEEPEST_LEVEL if scene.output.precision == "auto" else scene.problem.deepest_level
    areas: dict[TileRange, None] = {}
    for octave in range(math.floor(path.length) + 1):
        view = path.view(path.length - octave)
        level = max(math.ceil(math.log2(across)), round(math.log2(across / (view.width * aspect))))
        if level <= deepest_level:
            x, y = (_first(centre, level, across) for centre in (view.x, view.y))
            areas[TileRange(level, x, x + across, y, y + across)] = None
    if not areas:
        raise RenderError(
            f"{scene.name}: {side} samples across its views are finer than float64 can tell apart. "
            'Use a smaller --side, or output.precision = "auto".'
        )
    return sorted(areas)[-deepest:] if deepest else sorted(areas)


def _first(centre: Fraction, level: int, across: int) -> int:
    """Return the first of `across` tiles whose middle is nearest to a unit coordinate, all of them in the plane."""
    nearest = math.floor(centre * (1 << level) - Fraction(across, 2) + Fraction(1, 2))
    return min(max(nearest, 0), (1 << level) - across)


def tiles_of(areas: list[TileRange]) -> list[Tile]:
    """Return all tiles of some windows, in their order, each once."""
    return list(dict.fromkeys(tile for area in areas for tile in area.tiles()))


def run(subject: Subject, side: int, deepest: int | None, report: Report) -> Result:
    """Train the windows of a film, or what the store lacks of them, and measure each."""
    areas = windows(subject.scene, side, deepest)
    with trained_tiles(subject, tiles_of(areas), report) as fetch:
        values = [field_of(fetch, area).value for area in areas]
    equal, rounded = _trained_again(subject, areas, values), _nudged(subject, areas, values)
    x = subject.problem.x
    levels = tuple(
        _measure(area, value < 0, float(x.span) * across_unit(area), equal[i], rounded[i])
        for i, (area, value) in enumerate(zip(areas, values, strict=True))
    )
    logarithmic = x.scale == "log10"
    return Result(
        scene=subject.scene.name,
        problem=subject.problem.key,
        side=side,
        unit="decades" if logarithmic else "units",
        levels=levels,
        published=PUBLISHED.get(subject.problem.key),
        trusted_width=TRUSTED_WIDTH_DECADES if logarithmic else 0.0,
        last_plain_level=subject.switch.targets.last_plain_level if subject.switch else None,
    )


def across_unit(area: TileRange) -> float:
    """Return the width of a window in units of the unit square."""
    return math.ldexp(area.x1 - area.x0, -area.level)


def _trained_again(subject: Subject, areas: list[TileRange], values: list[np.ndarray]) -> list[int]:
    """Train a few shared points of every window again, among others, and count those whose measure has the same bits.

    Shared points are those with even indices: they are samples of the level above too, and were copied from there if it
    was stored.
    """
    places: list[Points] = []
    known, runs = [], []
    for area, value in zip(areas, values, strict=True):
        chosen = np.random.default_rng(area.level).integers(0, value.shape[0] // 2, (_SHARED, 2)) * 2
        for row, column in chosen:
            place, reference = _point(subject, area, int(row), int(column))
            places.append(place)
            runs.append(reference)
            known.append(value[row, column])
    again = np.empty(len(places))
    for reference in (None, *(subject.switch.references if subject.switch else ())):
        members = np.flatnonzero([followed is reference for followed in runs])
        if not members.size:
            continue
        points = Points.join([places[i] for i in members])
        if reference is None:
            again[members] = train_points(subject, points.x, points.y, lambda _: None).value
            continue
        for piece, field in single_points.train(subject.backend, points, reference):
            again[members[piece]] = field.value
    same = (again.view(np.int64) == np.array(known).view(np.int64)).reshape(len(areas), _SHARED)
    return [int(n) for n in same.sum(axis=1)]


def _nudged(subject: Subject, areas: list[TileRange], values: list[np.ndarray]) -> list[tuple[int, int]]:
    """Return for each window how many samples at its boundary end differently one float64 further, and of how many.

    Samples are drawn from those whose right or upper neighbour ends differently. A sample counts if its outcome changes
    with either hyperparameter.
    """
    places: list[Points] = []
    known, windows = [], []
    for number, (area, value) in enumerate(zip(areas, values, strict=True)):
        mask = value < 0
        beside = np.argwhere((mask[:-1, :-1] != mask[1:, :-1]) | (mask[:-1, :-1] != mask[:-1, 1:]))
        for row, column in np.random.default_rng(area.level).permutation(beside)[:_NUDGED]:
            place, reference = _point(subject, area, int(row), int(column))
            if reference is None:
                places.append(place)
                known.append(mask[row, column])
                windows.append(number)
    if not places:
        return [(0, 0)] * len(areas)
    at, outcome = Points.join(places), np.array(known)
    right = train_points(subject, np.nextafter(at.x, np.inf), at.y, lambda _: None).value < 0
    up = train_points(subject, at.x, np.nextafter(at.y, np.inf), lambda _: None).value < 0
    nudged = np.bincount(windows, minlength=len(areas))
    flipped = np.bincount(windows, (right != outcome) | (up != outcome), minlength=len(areas))
    return [(int(a), int(b)) for a, b in zip(flipped, nudged, strict=True)]


def _point(subject: Subject, area: TileRange, row: int, column: int) -> tuple[Points, Reference | None]:
    """Return the point of a sample of a window, and its reference run; None where it is trained plainly."""
    (tile_x, i), (tile_y, j) = divmod(column, SAMPLES), divmod(row, SAMPLES)
    tile = Tile(area.level, area.x0 + tile_x, area.y0 + tile_y)
    reference = subject.switch.reference_of(tile) if subject.switch else None
    return references.points(subject.problem, tile, np.array([j]), np.array([i]), reference), reference


def measuring_s(side: int, count: int) -> float:
    """Return about how many seconds it takes to measure so many windows once they are trained, by one of noise.

    What is trained again for it is a hundredth of a window's runs, and is not counted.
    """
    noise = null_models.NULLS["noise"](side, 0.5, 0)
    area = TileRange(side // SAMPLES, 0, side // SAMPLES, 0, side // SAMPLES)

    def one_s() -> float:
        start_s = time.perf_counter()
        _measure(area, noise, 1.0, 0, (0, 0))
        return time.perf_counter() - start_s

    first_s = one_s()  # loads SciPy's part of it, which matters where a window takes milliseconds
    return count * (one_s() if first_s < 1.0 else first_s)


def _measure(area: TileRange, mask: np.ndarray, width: float, equal: int, rounded: tuple[int, int]) -> Level:
    side, share = mask.shape[0], float(mask.mean())
    coarse = {n: mask[:: side // n, :: side // n] for n in sides(side)}
    null = {model: _null(make(side, share, area.level)) for model, make in null_models.NULLS.items()}
    halved = {name: {n: _dimension(name, m) for n, m in coarse.items()} for name in ESTIMATORS}
    patches = [
        _dimension("box", mask[i : i + _PATCH, j : j + _PATCH])
        for i in range(0, side, _PATCH)
        for j in range(0, side, _PATCH)
    ]
    return Level(
        level=area.level,
        width=width,
        share=share,
        estimates={name: estimators.estimate(name, mask) for name in ESTIMATORS},
        null=null,
        halved=halved,
        published={n: _slopes(m) for n, m in coarse.items()},
        patches=[d for d in patches if d is not None],
        new_detail=_new_detail(mask),
        equal=equal,
        again=_SHARED,
        flipped=rounded[0],
        nudged=rounded[1],
    )


def _dimension(name: str, mask: np.ndarray) -> float | None:
    estimate = estimators.estimate(name, mask)
    return estimate.dimension if estimate else None


def _null(mask: np.ndarray) -> dict[str, float | None]:
    """Return what every estimator, and the published procedure, say of a null model."""
    slopes = _slopes(mask)
    published = {"published": float(np.median(slopes)) if slopes else None}
    return {name: _dimension(name, mask) for name in ESTIMATORS} | published


def _slopes(mask: np.ndarray) -> list[float]:
    slopes = estimators.published_slopes(estimators.edges(mask))
    return [float(v) for v in slopes[np.isfinite(slopes)]]


def _new_detail(mask: np.ndarray) -> float:
    """Return the share of samples with an odd index that end unlike the even-indexed one below and left of them."""
    coarse = np.repeat(np.repeat(mask[::2, ::2], 2, axis=0), 2, axis=1)
    return float((coarse != mask).sum() / (0.75 * mask.size))
