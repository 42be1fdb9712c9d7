"""Trains the samples of an analysis: tiles as a film trains them, and single points in the same store.

A tile lies in the ordinary store, so a film and an analysis of one scene never train a sample twice. Points that lie
on no lattice (random draws, shared points trained again) are kept in the same folder, under `points/`, by the digest
of their coordinates: the same command goes on where it was stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from render import backends
from render.backends import Backend, Batch
from render.deep import switch_search, targets
from render.deep.reference_search import ReportStep
from render.files.atomic import store_whole
from render.film import switch
from render.film.rendering import Progress, Report
from render.film.schedule import Switch, Training
from render.geometry.patches import ALL_WHOLE, WHOLE, Patches
from render.geometry.tiles import Tile, TileRange
from render.problem import Problem
from render.samples import CHANNELS, Field, Points
from render.scene import Scene
from render.storage import numerics
from render.storage.store import DirectoryStore, MemoryStore, TileStore, check_store, lacking

# How often a waiting analysis looks up to report progress, in seconds.
_TICK_S = 0.5

# Folder beside the tiles of the same problem and numerics.
_POINTS = "points"

# Points in one file: half a view of `precision`, so that two cores share it. A stop can lose half a second of training.
_CHUNK = 72


@dataclass(frozen=True)
class Subject:
    """A scene with a backend to train on, the store of its tiles, and a folder for single points.

    switch: where plain training gives way to differences from a reference run; None where it reaches all levels.
    """

    scene: Scene
    backend: Backend
    store: TileStore
    folder: Path
    switch: Switch | None = None

    @property
    def numerics(self) -> dict[str, str | int]:
        """Everything besides the problem that the samples depend on, those past float64 included."""
        return numerics.following(self.backend.numerics, self.switch.keys if self.switch else ())

    @property
    def problem(self) -> Problem:
        """The problem that is trained."""
        return self.scene.problem


def _here(problem: Problem) -> Backend:
    return backends.make("local", problem)


def prepare(
    scene: Scene,
    store_root: Path,
    make: Callable[[Problem], Backend] = _here,
    *,
    level: int = 0,
    report_step: ReportStep = lambda words: None,
    read_only: bool = False,
) -> Subject:
    """Return a scene with the backend that `make` gives for it, and its folder of the store, for tiles down to a level.

    report_step: called with the progress of the reference run that levels past float64 need, if the store has none.
    read_only: whether this is for a plan alone: nothing is written, and no reference run is made.
    """
    scene.check_plane("an analysis")
    if not read_only:
        check_store(store_root)
    plain = make(scene.problem)
    folder = DirectoryStore(store_root, scene.problem, plain.numerics, read_only=read_only).folder / _POINTS
    report = None if read_only else report_step
    if level:
        scene = switch_search.measured(scene, store_root, report)
    places = targets.find(scene, scene.path(scene.output), level)
    store, meeting = switch.prepare(scene.problem, places, store_root, plain, report, read_only=read_only)
    return Subject(scene, plain, store, folder, meeting)


def last_level(scene: Scene) -> int:
    """Return the level whose samples are as far apart as the pixels of the scene's narrowest view."""
    path = scene.path(scene.output)
    return math.floor(max(path.viewport(float(s)).level for s in path.marks))


def missing_samples(subject: Subject, tiles: Sequence[Tile]) -> int:
    """Return the training runs that the store lacks for some tiles."""
    return Training(subject.problem, tiles, subject.store, subject.backend, subject.switch).samples_total


def samples(subject: Subject, tiles: Sequence[Tile]) -> int:
    """Return the training runs of some tiles from an empty store: a sample that two levels share counts once."""
    return Training(subject.problem, tiles, MemoryStore(), subject.backend, subject.switch).samples_total


def missing_points(subject: Subject, x: np.ndarray, y: np.ndarray, *, backend: Backend | None = None) -> int:
    """Return how many of some points are to be trained. backend: as in `train_points`."""
    folder = _points_folder(subject, backend or subject.backend)
    return sum(x[p].size for p in _pieces(x) if _read(_path(folder, x[p], y[p]), x[p], y[p]) is None)


def time_points(backend: Backend, x: np.ndarray, y: np.ndarray) -> float:
    """Return the seconds that `train_points` trains some points for. Nothing is kept, and compiling does not count."""
    for _ in _train(backend, x, y, [slice(0, 1)]):
        pass
    started_s = time.perf_counter()
    for _ in _train(backend, x, y, _pieces(x)):
        pass
    return time.perf_counter() - started_s


def samples_of_stages(subject: Subject, stages: Iterable[Sequence[Tile]], store: TileStore) -> int:
    """Return the training runs of tiles that are trained stage by stage, from what a store holds at the beginning.

    A tile may take samples over from the tiles of the first stage and of the stage before, and no others: so that
    stages without end need no memory.
    """
    count, first, before = 0, frozenset[Tile](), frozenset[Tile]()
    for tiles in stages:
        foreseen = _Foreseen(store, first | before)
        count += Training(subject.problem, tiles, foreseen, subject.backend, subject.switch).samples_total
        before = frozenset(tiles)
        first = first or before
    return count


class _Foreseen:
    """A store as it will be once some more tiles are trained. It is asked what it holds, and no more."""

    def __init__(self, store: TileStore, trained: Set[Tile]) -> None:
        self._store, self._trained = store, trained
        self.get, self.put, self.has, self.check_proof = store.get, store.put, store.has, store.check_proof

    def held(self, tiles: Iterable[Tile]) -> list[Patches]:
        """Return which patches of each tile will be there."""
        tiles = list(tiles)
        now = zip(tiles, self._store.held(tiles), strict=True)
        return [WHOLE if tile in self._trained else patches for tile, patches in now]

    def missing(self, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches] = ALL_WHOLE) -> list[Tile]:
        """Return the tiles of which not all wanted patches will be there, in the order given."""
        return lacking(self, tiles, wanted)


@contextlib.contextmanager
def trained_tiles(subject: Subject, tiles: Sequence[Tile], report: Report) -> Iterator[Callable[[Tile], Field]]:
    """Train what the store lacks, in order, and give what reads one of the tiles; a damaged one is trained again.

    Whatever ends this early, batches under way are stored.
    """
    training = Training(subject.problem, tiles, subject.store, subject.backend, subject.switch)
    training.start()
    try:
        while not training.wait_for(len(tiles), _TICK_S):
            report(Progress(0, 0, training.samples_done, training.samples_total, tuple(training.repaired)))
        yield training.fetch
        report(Progress(0, 0, training.samples_done, training.samples_total, tuple(training.repaired)))
    finally:
        training.stop()


def field_of(fetch: Callable[[Tile], Field], area: TileRange) -> Field:
    """Return every channel [iy, ix] of all samples of an area of tiles."""
    rows = [[fetch(Tile(area.level, ix, iy)) for ix in range(area.x0, area.x1)] for iy in range(area.y0, area.y1)]
    return Field.from_channels(
        {name: np.block([[tile.channels()[name] for tile in row] for row in rows]) for name in rows[0][0].channels()}
    )


def train_points(
    subject: Subject, x: np.ndarray, y: np.ndarray, report: Report, *, backend: Backend | None = None
) -> Field:
    """Return the field [point] (CHANNELS only) of float64 hyperparameters x, y, training those not kept from before.

    backend: another one of the same problem, whose results are kept apart under its own numerics.
    """
    backend = backend or subject.backend
    folder = _points_folder(subject, backend)
    joined = Field.empty(x.shape)
    absent = []
    for piece in _pieces(x):
        kept = _read(_path(folder, x[piece], y[piece]), x[piece], y[piece])
        if kept is None:
            absent.append(piece)
        else:
            _fill(joined, piece, kept)
    total, done = sum(x[piece].size for piece in absent), 0
    for piece, trained in _train(backend, x, y, absent):
        _fill(joined, piece, trained)
        _write(_path(folder, x[piece], y[piece]), x[piece], y[piece], trained)
        done += trained.value.size
        report(Progress(0, 0, done, total))
    return joined


def _points_folder(subject: Subject, backend: Backend) -> Path:
    other = "" if backend is subject.backend else "-" + _digest(repr(sorted(backend.numerics.items())).encode())
    return subject.folder.with_name(f"{_POINTS}{other}")


def _train(backend: Backend, x: np.ndarray, y: np.ndarray, pieces: list[slice]) -> Iterator[tuple[slice, Field]]:
    waiting = iter([(Batch((), Points(x[piece], y[piece])), piece) for piece in pieces])
    places: dict[int, slice] = {}

    def next_batch() -> Batch | None:
        next_piece = next(waiting, None)
        if next_piece is None:
            return None
        batch, places[id(batch)] = next_piece
        return batch

    for batch, trained in backends.trained(backend.run(next_batch)):
        yield places[id(batch)], trained


def _pieces(x: np.ndarray) -> list[slice]:
    return [slice(i, i + _CHUNK) for i in range(0, x.size, _CHUNK)]


def _fill(joined: Field, piece: slice, part: Field) -> None:
    for name in CHANNELS:
        joined.channels()[name][piece] = part.channels()[name]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _path(folder: Path, x: np.ndarray, y: np.ndarray) -> Path:
    return folder / f"{_digest(x.tobytes() + y.tobytes())}.npz"


def _read(path: Path, x: np.ndarray, y: np.ndarray) -> Field | None:
    """Return stored results; None if there are none, or if the file is damaged (they are then computed again)."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            kept = {name: file[name] for name in ("x", "y", *CHANNELS)}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    same = np.array_equal(kept["x"], x) and np.array_equal(kept["y"], y)
    typed = all(kept[name].dtype == dtype and kept[name].shape == x.shape for name, dtype in CHANNELS.items())
    return Field.from_channels({name: kept[name] for name in CHANNELS}) if same and typed else None


def _write(path: Path, x: np.ndarray, y: np.ndarray, field: Field) -> None:
    content = io.BytesIO()
    channels: dict[str, Any] = {name: field.channels()[name] for name in CHANNELS}
    np.savez(content, x=x, y=y, **channels)
    store_whole(path, content.getvalue())
