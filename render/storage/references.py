"""Reference runs: training runs in arbitrary precision, from which nearby runs are followed by their differences.

They are stored in the folder of their problem, because each costs seconds and serves every view around its place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.files.atomic import store_whole
from render.files.stored import read_stored
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Points

# Bits beyond those that the sample spacing needs. Rounding changes a run as if its place were moved by 2**-bits: with
# 96 more bits that is 1e-29 of the spacing. `reference_run` compares each run with one of more bits, and adds bits
# where the two differ.
MARGIN_BITS = 96


@dataclass(frozen=True, eq=False)
class Reference:
    """The states of one run, rounded to float64 from many more digits.

    x, y: exact hyperparameter values. bits: the precision of the arithmetic.
    error: the largest difference from the same run with 64 bits fewer, relative to the state's norm, over all steps.
    value: the problem's measure of the run; < 0 if it converged, as a good reference does.
    states: the leaves of the system's state, float64 or integers [stored steps + 1, 1, ...]: entry t is the state
    before step t. For a run that leaves the range of float64 only the steps before that are stored.
    kept_in: the folder of the store that contains it, if it is stored.
    """

    x: Fraction
    y: Fraction
    bits: int
    error: float
    value: float
    states: tuple[np.ndarray, ...]
    kept_in: Path | None = None

    @property
    def converged(self) -> bool:
        """Return whether other runs can be followed from it up to its last step."""
        return self.value < 0

    @property
    def steps(self) -> int:
        """The number of steps whose states are stored."""
        return len(self.states[0]) - 1

    @property
    def key(self) -> str:
        """The 12 hex digits that identify the reference by its place and its bits."""
        return hashlib.sha256(json.dumps(self._names()).encode()).hexdigest()[:12]

    def _names(self) -> dict[str, str | int]:
        return {"x": str(self.x), "y": str(self.y), "bits": self.bits}


def points(
    problem: Problem, tile: Tile, rows: np.ndarray, columns: np.ndarray, reference: Reference | None = None
) -> Points:
    """Return the points of samples of a tile; with a reference, with their differences from it.

    rows, columns: int [points], indices in the tile.
    """
    level, (first_x, first_y) = tile.level, tile.first_sample
    x, y = problem.x.values(level, first_x)[columns], problem.y.values(level, first_y)[rows]
    if reference is None:
        return Points(x, y)
    dx = problem.x.differences(level, first_x, reference.x)[columns]
    return Points(x, y, dx, problem.y.differences(level, first_y, reference.y)[rows])


def bits_for(spacing: float) -> int:
    """Return the bits of a reference for samples `spacing` apart (relative to the values), a multiple of 64."""
    return 64 * math.ceil((MARGIN_BITS + max(0.0, -math.log2(spacing))) / 64)


def save(reference: Reference, root: Path, problem: Problem) -> Reference:
    """Store a reference atomically, and return it with its folder."""
    buffer = io.BytesIO()
    meta = json.dumps(reference._names() | {"problem": problem.key, "error": reference.error, "value": reference.value})
    arrays = {f"state_{i}": leaf for i, leaf in enumerate(reference.states)}
    np.savez(buffer, allow_pickle=False, meta=np.array(meta), **arrays)
    folder = _folder(root, problem)
    store_whole(folder / f"{reference.key}.npz", buffer.getvalue())
    return dataclasses.replace(reference, kept_in=folder)


def load_all(root: Path, problem: Problem) -> list[Reference]:
    """Return the stored references of a problem. Damaged ones are left out, and made again when needed."""
    stored = []
    for path in sorted(_folder(root, problem).glob("*.npz")):
        try:
            with np.load(io.BytesIO(read_stored(path)), allow_pickle=False) as file:
                meta = json.loads(str(file["meta"]))
                states = tuple(file[f"state_{i}"] for i in range(len(file.files) - 1))
            place = Fraction(meta["x"]), Fraction(meta["y"])
            stored.append(Reference(*place, meta["bits"], meta["error"], meta["value"], states, path.parent))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            continue
    return stored


def _folder(root: Path, problem: Problem) -> Path:
    return root / problem.key / "references"
