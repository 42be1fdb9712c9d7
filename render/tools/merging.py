"""Taking over what another store keeps: nothing is copied that was not read and checked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from render.errors import DamagedTile, StoreError
from render.geometry import patches
from render.geometry.patches import Patches
from render.geometry.tiles import Tile
from render.problem import Problem, described
from render.samples import Field
from render.storage import exact_runs, first_steps, references
from render.storage.descriptions import read_toml
from render.storage.store import DirectoryStore, check_store
from render.tools import inventory


@dataclass
class Merged:
    """The result of a merge, in files of tiles.

    added: files with samples that this store lacked. known: files that it had, with the same bytes. repaired: files
    that it had, but damaged. runs: reference runs and exact runs that it lacked. faults: a sentence for each file that
    was not taken over.
    """

    added: int = 0
    known: int = 0
    repaired: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)


def merge(other: Path, root: Path, report: Callable[[Merged], None] = lambda merged: None) -> Merged:
    """Take over tiles, reference runs and exact runs of another store; every tile is read and its bytes are checked.

    What both stores have stays as it is here. Raises StoreError where a folder is no store.
    """
    if not os.path.isdir(other):  # False too where it may not be looked at
        raise StoreError(f"{other} must be a store, but there is no such folder, or it cannot be read.")
    if root.exists() and other.resolve() == root.resolve():
        raise StoreError(f"{other} is the store itself. Name another one, or this one with --store.")
    inner, outer = (other, root) if root.resolve() in other.resolve().parents else (root, other)
    if outer.resolve() in inner.resolve().parents:
        raise StoreError(f"{inner} must not lie inside of {outer}: what belongs to which would be lost. Move it out.")
    problems = sorted(other.glob("*/problem.toml"))
    if not problems:
        raise StoreError(f"{other} holds no samples: a store has folders with a problem.toml.")
    check_store(root)
    merged = Merged()
    for toml in problems:
        try:
            problem = described(read_toml(toml, "problem"))
        except (ValueError, StoreError) as fault:
            merged.faults.append(f"{toml.parent} was left out: {str(fault).rstrip('.')}.")
            continue
        if problem.key != toml.parent.name:
            merged.faults.append(f"{toml.parent} was left out: its problem.toml describes {problem.key}.")
            continue
        _runs(problem, other, root, merged)
        for numerics in sorted(toml.parent.glob("*/numerics.toml")):
            _tiles(problem, numerics, root, merged, report)
    return merged


def _tiles(problem: Problem, toml: Path, root: Path, merged: Merged, report: Callable[[Merged], None]) -> None:
    source = DirectoryStore.at(toml.parent)
    here = DirectoryStore(root, problem, source.numerics)
    if here.numerics_key != toml.parent.name:
        merged.faults.append(f"{toml.parent} was left out: its numerics.toml describes {here.numerics_key}.")
        return
    theirs = first_steps.read(toml.parent)
    if theirs is not None:
        try:
            first_steps.check(here.folder, theirs)
        except StoreError as fault:
            merged.faults.append(f"{toml.parent} was left out: {fault}")
            return
    for path in inventory.tile_files(toml.parent):
        try:
            _take(*source.address_of(path), source, here, merged)
        except KeyError:
            merged.faults.append(f"{path} was left out: it was removed while the store was read.")
        except (DamagedTile, ValueError) as fault:
            merged.faults.append(f"{path} was left out: {fault}")
        report(merged)


def _take(tile: Tile, kept: Patches, source: DirectoryStore, here: DirectoryStore, merged: Merged) -> None:
    """Take over what one file of the source keeps of a tile. kept: its patches."""
    offered = source.stored(tile, kept)
    for place in (here.path(tile), here.path(tile, kept)):
        if place.exists() and not place.is_file():
            raise DamagedTile(f"{place} must be a file, but it is a folder or a pipe. Remove it.")
    (held,) = here.held([tile])
    try:
        known = here.get(tile, held & kept) if held & kept else None
    except DamagedTile:
        here.put(tile, offered, kept)
        merged.repaired += 1
        return
    # The same problem, numerics and place: the same samples, bit for bit.
    if known is not None and not _same(known, offered, patches.samples(held & kept)):
        merged.faults.append(
            f"{source.path(tile, kept)} was left out: the tile here has other samples, although problem and "
            "numerics are the same. One of the two machines computes differently than it says; `render doctor` may "
            "know why."
        )
    elif kept & ~held:
        here.put(tile, offered, kept)
        merged.added += 1
    else:
        merged.known += 1


def _same(one: Field, other: Field, where: np.ndarray) -> bool:
    """Return whether two fields have the same bits at some samples; where: bool [SAMPLES, SAMPLES]."""
    theirs = other.channels()
    return all(values[where].tobytes() == theirs[name][where].tobytes() for name, values in one.channels().items())


def _runs(problem: Problem, other: Path, root: Path, merged: Merged) -> None:
    known = {reference.key for reference in references.load_all(root, problem)}
    for reference in references.load_all(other, problem):
        if reference.key not in known:
            references.save(reference, root, problem)
            merged.runs += 1
    for path in sorted((other / problem.key / "exact").glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
            x, y = exact_runs.point_of(content)
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as fault:
            why = f"it lacks {fault}" if isinstance(fault, KeyError) else str(fault)
            merged.faults.append(f"{path} was left out: it is damaged ({why}).")
            continue
        run = exact_runs.load(other, problem, x, y)
        if run is not None and exact_runs.load(root, problem, x, y) is None:
            exact_runs.save(run, root, problem)
            merged.runs += 1
