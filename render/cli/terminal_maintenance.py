"""The output of doctor, clean and store in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from render import scene
from render.backends.local import LocalBackend
from render.cli import messages
from render.machine import sizes
from render.problem import Problem, own_model
from render.tools import inventory, merging
from render.tools.doctor import Finding
from render.tools.inventory import Kept

_MARKS = {"ok": ("ok", None), "note": ("note", "yellow"), "bad": ("BAD", "red")}


def show_finding(finding: Finding) -> None:
    """Print one of doctor's findings."""
    mark, style = _MARKS[finding.state]
    text = f"{mark:4}  {finding.what:8}  {finding.found}"
    if finding.advice:
        text += f"\n{'':16}{finding.advice}"
    messages.result("finding", text, style=style, **asdict(finding))


def show_cleaned(files: Sequence[Path], size_bytes: int) -> None:
    """Print the files, and folders of segments, that were removed."""
    for path in files:
        messages.result("removed", str(path), path=str(path))
    gone = f"{len(files)} partial files and folders removed, {sizes.in_words(size_bytes)}."
    left = gone if files else "Nothing was left behind."
    messages.emit("cleaned", left, files=len(files), bytes=size_bytes)


def show_store(store: Path, scenes: Sequence[str]) -> None:
    """Print what a store keeps, the largest first."""
    kept = _listed(store, scenes)
    rows = [("scene", "levels", "tiles", "size", "problem / numerics", "")]
    for one in kept:
        messages.result("kept", "", **_facts(one))
        levels = f"{one.levels[0]} to {one.levels[1]}" if one.levels else "none"
        where = f"{one.problem} / {one.folder.name}"
        rows.append((_title(one), levels, f"{one.tiles:,}", sizes.in_words(one.size_bytes), where, _state(one)))
    messages.show_table(rows, wide=True)
    total = sum(one.size_bytes for one in kept)
    messages.emit("total", f"{sizes.in_words(total)} in {store}.", bytes=total, folders=len(kept))


def show_verified(store: Path, scenes: Sequence[str], *, repair: bool) -> bool:
    """Read every tile of a store, or of some scenes, and print what is wrong. Return whether all are intact."""
    damaged = checked = 0
    for one in _chosen(store, scenes):
        with messages.working(f"reading {one.tiles:,} tiles of {_title(one)}"):
            for fault in inventory.verify(one, remove=repair):
                checked += 1
                if fault is not None:
                    damaged += 1
                    messages.result("damaged", fault, fault=fault)
    removed = " They are removed, and will be trained again when a film needs them." if repair and damaged else ""
    advice = "" if repair or not damaged else " --repair removes them; films train them again in any case."
    messages.emit(
        "verified", f"{checked:,} tiles read, {damaged} damaged.{removed}{advice}", tiles=checked, damaged=damaged
    )
    return damaged == 0 or repair


def show_pruned(store: Path, scenes: Sequence[str], *, yes: bool) -> None:
    """Remove samples of other numerics, or all of some scenes; with yes=False only list them."""
    chosen = [one for one in _chosen(store, scenes) if scenes or one.differs]
    for one in chosen:
        reason = one.differs or "asked for"
        done = "removed" if yes else "would be removed"
        text = f"{done}: {_title(one)}, {one.tiles:,} tiles, {sizes.in_words(one.size_bytes)} ({reason})"
        messages.result("pruned" if yes else "prunable", text, **_facts(one))
        if yes:
            inventory.remove(one)
    total = sum(one.size_bytes for one in chosen)
    if not chosen:
        text = f"Nothing to prune: everything in {store} is of this kernel and processor."
    elif yes:
        text = f"{sizes.in_words(total)} freed."
    else:
        text = (
            f"{sizes.in_words(total)} would be freed. Add --yes to do it; training them again takes as long as it took."
        )
    messages.emit("total", text, bytes=total, removed=yes)


def show_merged(other: Path, store: Path) -> bool:
    """Take over another store; return whether nothing was left out."""
    with messages.working("merging") as tell:
        merged = merging.merge(
            other, store, lambda now: tell(f"{now.added:,} tiles added, {now.known:,} known, {now.repaired:,} repaired")
        )
    for fault in merged.faults:
        messages.result("left_out", fault, fault=fault)
    text = (
        f"{merged.added:,} tiles added, {merged.known:,} were here already, {merged.repaired:,} damaged ones replaced; "
        f"{merged.runs:,} reference runs and exact runs added; {len(merged.faults):,} left out."
    )
    facts = asdict(merged) | {"faults": len(merged.faults)}
    messages.emit("merged", text, **facts)
    return not merged.faults


def _listed(store: Path, scenes: Sequence[str]) -> list[Kept]:
    known = [*(scene.load(name) for name in scenes), *inventory.known_scenes()]

    def numerics_of(problem: Problem) -> dict[str, str | int]:
        return LocalBackend(problem).numerics  # nothing is trained, so that no code needs to be trusted

    return inventory.listed(store, known, numerics_of)


def _chosen(store: Path, scenes: Sequence[str]) -> list[Kept]:
    """Return what a store keeps of some scenes, or all of it."""
    keys = {scene.load(name).problem.key for name in scenes}
    return [one for one in _listed(store, scenes) if not keys or one.problem in keys]


def _title(one: Kept) -> str:
    if one.scenes:
        return ", ".join(dict.fromkeys(one.scenes))
    description = one.describes
    axes = " x ".join(str(description[side]["name"]) for side in ("x", "y"))
    return f"({_kind(description)}, {description['steps']} steps, {axes})"


def _kind(description: dict[str, Any]) -> str:
    """Return a word for what a problem trains: a network's activation, the name of a user's file, or a system."""
    system = str(description.get("system"))
    return system.partition("#")[0] if own_model.is_own(system) else str(description.get("activation", system))


def _state(one: Kept) -> str:
    return f"other: {one.differs}" if one.differs else "in use"


def _facts(one: Kept) -> dict[str, Any]:
    return asdict(one) | {"folder": str(one.folder)}
