"""Rings of a reference run, stored beside it: the states, after some steps, of all runs at some distance from it.

A ring is identified by its reference, its number, and the numerics with which its probes were trained.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.files.atomic import store_whole
from render.files.stored import read_stored
from render.storage.references import Reference


@dataclass(frozen=True, eq=False)
class Ring:
    """The states, after `start` steps, of runs that start in a ring around the reference: polynomials of their place.

    start: the step, the end of a phase; 0 if no polynomial is good enough at the end of the first phase.
    leaves: the leaves of the state's differences and of the measure's sums. Each is the coefficients float64
    [term, ...] of one lane or, for a leaf that is not float64, the value [1, ...] of all runs. Empty if start is 0.
    """

    start: int
    leaves: tuple[np.ndarray, ...]


def save(ring: Ring, reference: Reference, number: int, numerics: Mapping[str, str | int]) -> None:
    """Store a ring atomically beside its reference, if the reference is stored."""
    path = _path(reference, number, numerics)
    if path is not None:
        buffer = io.BytesIO()
        arrays = {f"leaf_{i}": leaf for i, leaf in enumerate(ring.leaves)}
        content = np.concatenate([leaf.ravel().view(np.uint8) for leaf in ring.leaves]) if ring.leaves else np.empty(0)
        digest = hashlib.sha256(content.tobytes()).hexdigest()
        meta = json.dumps({"start": ring.start, "sha256": digest, "numerics": dict(numerics)})
        np.savez(buffer, allow_pickle=False, meta=np.array(meta), **arrays)
        store_whole(path, buffer.getvalue())


def load(reference: Reference, number: int, numerics: Mapping[str, str | int]) -> Ring | None:
    """Return a ring that is stored beside its reference; None if there is none, or if the file is damaged."""
    path = _path(reference, number, numerics)
    if path is None:
        return None
    try:
        with np.load(io.BytesIO(read_stored(path)), allow_pickle=False) as file:
            meta = json.loads(str(file["meta"]))
            leaves = tuple(file[f"leaf_{i}"] for i in range(len(file.files) - 1))
        content = np.concatenate([leaf.ravel().view(np.uint8) for leaf in leaves]) if leaves else np.empty(0)
        intact = hashlib.sha256(content.tobytes()).hexdigest() == meta["sha256"]
        return Ring(int(meta["start"]), leaves) if intact and meta["numerics"] == dict(numerics) else None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def kept(reference: Reference, numerics: Mapping[str, str | int]) -> dict[int, Ring]:
    """Return all rings that are stored beside a reference, by number."""
    path = _path(reference, 0, numerics)
    numbers = [int(file.stem) for file in sorted(path.parent.glob("*.npz"))] if path is not None else []
    return {number: ring for number in numbers if (ring := load(reference, number, numerics)) is not None}


def _path(reference: Reference, number: int, numerics: Mapping[str, str | int]) -> Path | None:
    """Return the file of a ring, in a folder of its reference and its numerics."""
    if reference.kept_in is None:
        return None
    digest = hashlib.sha256(json.dumps(dict(numerics), sort_keys=True).encode()).hexdigest()[:12]
    return reference.kept_in / f"{reference.key}-rings" / digest / f"{number}.npz"
