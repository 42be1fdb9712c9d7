"""The cost and the contents of each frame of a render: a row of numbers for each, for a table beside the film."""

from __future__ import annotations

import contextlib
import csv
import io
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import numpy as np

from render.film.plan import Plan, Shown
from render.film.trainings import Trainings
from render.geometry.tiles import Tile
from render.picture import palettes
from render.samples import NO_SAMPLE, Field

# The luminance of red, green and blue light (IEC 61966-2-1).
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class FrameFacts:
    """A row of the log.

    frame: its number. time_s: its second in the film. octaves: path length so far. width: of the view, in decades (or
    units, on a linear x axis). seconds: time since the frame before, waiting for training included. samples_trained:
    training runs that finished in that time. tiles: how many tiles the frame is made of. tiles_stored: how many of them
    were in the store when the render began. boundary_density: share of pairs of neighbouring samples of which one
    converged and the other did not, over the tiles of the frame's coarsest level. mean_luminance: of the picture, 0 to
    1, as light (WCAG's relative luminance); 0 where no picture is made.
    """

    frame: int
    time_s: float
    octaves: float
    width: float
    seconds: float
    samples_trained: int
    tiles: int
    tiles_stored: int
    boundary_density: float
    mean_luminance: float


class FrameLog:
    """Measures frames as they are made. It observes the tiles that are fetched for them, and reads no others."""

    def __init__(self, plan: Plan, training: Trainings) -> None:
        self._plan = plan
        self._training = training
        self._edges: dict[tuple[int, Tile], dict[int, float]] = {}
        training.observe(self._observe)
        self._seen_s, self._seen_samples = time.monotonic(), 0

    def _observe(self, problem: int, tile: Tile, field: Field) -> None:
        """Note the boundary density of a tile, after every number of steps that a frame may show."""
        if (problem, tile) not in self._edges:
            slices = self._plan.slices
            known = field.status != NO_SAMPLE
            densities = {steps: boundary_density(slices.value(steps, field) < 0, known) for steps in slices.steps}
            self._edges[problem, tile] = densities

    def row(self, frame: int, s: float, shown: Shown, mean_luminance: float = 0.0) -> FrameFacts:
        """Return the row of the frame at path length s, made of these tiles; its cost is counted from the last call."""
        now_s, samples = time.monotonic(), self._training.samples_done
        level = self._plan.base_level(s)
        nearest, problems = self._plan.slices.nearest(s), self._plan.slices.shown(s)
        edges_of_tiles = (self._edges.get((nearest.problem, tile)) for tile in shown.tiles(level))
        edges = [densities[nearest.steps] for densities in edges_of_tiles if densities is not None]
        missing = [self._training.missing(problem) for problem in problems]
        path, output = self._plan.path, self._plan.scene.output
        facts = FrameFacts(
            frame=frame,
            time_s=float(frame / output.fps),
            octaves=s,
            width=path.view(s).width * float(self._plan.scene.problem.x.span),
            seconds=now_s - self._seen_s,
            samples_trained=samples - self._seen_samples,
            tiles=shown.number * len(problems),
            tiles_stored=sum(
                sum(tile not in absent for tile in shown.tiles()) if absent else shown.number for absent in missing
            ),
            boundary_density=float(np.mean(edges)) if edges else 0.0,
            mean_luminance=mean_luminance,
        )
        self._seen_s, self._seen_samples = now_s, samples
        return facts


def boundary_density(converged: np.ndarray, known: np.ndarray) -> float:
    """Return the share of neighbouring samples, right or above, that differ.

    converged, known: bool [rows, columns]; a pair counts where both of its samples are known.
    """
    differ = pairs = 0
    for ends, way in ((converged, known), (converged.T, known.T)):
        both = way[1:] & way[:-1]
        differ += int(np.count_nonzero((ends[1:] != ends[:-1]) & both))
        pairs += int(np.count_nonzero(both))
    return differ / pairs if pairs else 0.0


def mean_luminance(picture: object) -> float:
    """Return the mean relative luminance (WCAG 2) of a picture, sRGB uint8 or uint16 [height, width, 3], 0 to 1.

    It is taken over every fourth pixel of every fourth row, which is within 0.001 of the mean over all. It is 0 for
    anything that is not a picture.
    """
    if not isinstance(picture, np.ndarray):
        return 0.0
    some = picture[::4, ::4] if min(picture.shape[:2]) >= 64 else picture
    linear = palettes.linear_from_srgb(some / np.iinfo(picture.dtype).max)
    return float((linear @ _LUMINANCE).mean())


def packed(rows: Iterable[FrameFacts]) -> np.ndarray:
    """Return rows as numbers: float64 [rows, columns], exact up to 2^53."""
    return np.array([astuple(row) for row in rows], dtype=float).reshape(-1, len(fields(FrameFacts)))


def unpacked(numbers: np.ndarray) -> list[FrameFacts]:
    """Return the rows that were packed as numbers."""
    return [_row(numbers) for numbers in numbers]


def read(text: str) -> dict[int, FrameFacts]:
    """Return the rows of a CSV by frame, the last one of each; incomplete lines are left out."""
    rows = {}
    for line in csv.reader(io.StringIO(text)):
        with contextlib.suppress(ValueError, TypeError):
            row = _row(line)
            rows[row.frame] = row
    return rows


def _row(values: Iterable[float] | Iterable[str]) -> FrameFacts:
    kinds = {"int": int, "float": float}
    return FrameFacts(*(kinds[str(field.type)](value) for field, value in zip(fields(FrameFacts), values, strict=True)))


def line(row: FrameFacts) -> str:
    """Return a row as a line of CSV, with its line end."""
    return ",".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in astuple(row)) + "\n"


def table(rows: Iterable[FrameFacts]) -> str:
    """Return rows as CSV, with the names of the columns in the first line."""
    return ",".join(field.name for field in fields(FrameFacts)) + "\n" + "".join(map(line, rows))
