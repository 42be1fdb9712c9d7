"""A digest of the first steps of runs, kept with a folder's samples, so that no folder mixes two arithmetics.

The numerics name what is known to change the last bits of samples. Changes that no name shows (a NumPy that draws other
data, a C library with another tanh) show in the first steps of a block of runs. Their digest is stored with the first
sample, and compared whenever training adds to the folder.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import tomli_w

from render.errors import StoreError
from render.files import atomic
from render.storage import descriptions

FILE_NAME = "first_steps.toml"

# Of a proof: the digest. Its other entries are versions, which only explain.
DIGEST = "first steps"


def versions() -> dict[str, str]:
    """Return the versions of what a proof depends on, for a person who has to find out why it changed."""
    return {name: metadata.version(name) for name in ("jax", "numpy")} | {"C library": " ".join(platform.libc_ver())}


def read(folder: Path) -> dict[str, str] | None:
    """Return the proof of a folder; None if it has none, as folders of older versions, or if it is damaged."""
    try:
        content = descriptions.read_toml(folder / FILE_NAME, "proof")
    except (FileNotFoundError, StoreError):
        return None
    return {name: str(value) for name, value in content.items()} if isinstance(content.get(DIGEST), str) else None


def check(folder: Path, proof: Mapping[str, str]) -> None:
    """Compare the proof of what is trained now with that of a folder of samples, which gets it if it has none.

    proof: what `Backend.proof` gives; without a digest nothing is compared. Raises StoreError if the digests differ.
    """
    if DIGEST not in proof:
        return
    path = folder / FILE_NAME
    exists = path.exists()
    known = read(folder)
    if known is None:
        title = "# What the first steps of runs gave here. Written by render, which compares it: do not edit.\n"
        try:
            # A damaged file is replaced; one that another process makes at this moment is not.
            atomic.store_whole(path, (title + tomli_w.dumps(dict(proof))).encode(), replace=exists)
            return
        except FileExistsError:
            known = read(folder) or dict(proof)
    if known[DIGEST] == proof[DIGEST]:
        return
    changed = [
        f"{name} was {known.get(name, 'unknown')} and is {proof.get(name, 'unknown')}"
        for name in sorted({*known, *proof} - {DIGEST})
        if known.get(name) != proof.get(name)
    ]
    why = "; ".join(changed) or (
        "no version differs, so it may be a preloaded library, another processor, or a GPU whose kernels were chosen "
        "again"
    )
    raise StoreError(
        f"{folder} holds samples that were trained with another arithmetic: the first steps of runs give other bits "
        f"now ({why}). Samples of both must not be mixed. Use another --store, or go back to what it was."
    )
