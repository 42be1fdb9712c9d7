"""Everything that determines the pictures of a film as a text: films with the same text have the same pictures."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import render

# Libraries that make pictures from stored samples.
_DRAWN_WITH = ("numpy", "scipy", "numba", "llvmlite", "pillow", "cmap")


def of(provenance: Mapping[str, str], numbers: Sequence[int]) -> str:
    """Return a text of everything that determines the pictures of some frames of a film.

    It contains a digest of this package's code, because the version stays the same while the code is being changed.
    """
    from llvmlite import binding

    facts = {
        **provenance,
        "frames": [*numbers],
        "code": code(),
        "libraries": {name: metadata.version(name) for name in _DRAWN_WITH},
        "python": platform.python_version(),
        "processor": [platform.machine(), binding.get_host_cpu_name()],
    }
    return json.dumps(facts, sort_keys=True)


@functools.cache
def code() -> str:
    """Return a digest of this package's files."""
    root = Path(render.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
