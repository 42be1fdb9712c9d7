"""The numerics: everything besides its problem that the last bits of a sample depend on.

JAX is not imported where the processor is the only possible device. This saves a second and a half for a film whose
samples are all stored.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata

from render.geometry.tiles import SAMPLES
from render.machine import environment
from render.problem import Problem
from render.problem.catalogue import OWN_KERNEL

Numerics = dict[str, str | int]

# Increase this when a change alters results. Tiles of different versions are stored separately.
KERNEL_VERSION = 1

# The same for levels past float64 only. Since version 2 lanes start in rings.
DIFFERENCES_VERSION = 2

# The same for samples of the fused kernel.
FUSED_VERSION = 1

# Vector instructions that XLA uses, the widest of each architecture first, by NumPy's names.
_VECTORS = ("AVX512F", "AVX2", "SVE", "ASIMD")

# Variables and packages that make JAX look for other devices than the processor.
_CHOICES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "PJRT_NAMES_AND_LIBRARY_PATHS")
_PLUGINS = ("jax_plugins", "libtpu")


def of(backend: str, device: str, lanes: int, *, blas: bool = False) -> Numerics:
    """Return the numerics of a device.

    backend, device: JAX's names of its platform and its kind. lanes: the lanes of a block. blas: whether the problem
    uses NumPy's BLAS, see `asks_blas`. The numerics have "settings" only where the environment sets variables that can
    change bits: see `render.machine.environment`.
    """
    base: Numerics = {
        "kernel": KERNEL_VERSION,
        "lanes": lanes,
        "samples": SAMPLES,
        "jaxlib": metadata.version("jaxlib"),
        "backend": backend,
        "device": device,
        "machine": _processor() if backend == "cpu" else platform.machine(),
    }
    return base | environment.numerics(blas)


def fused(plain: Numerics) -> Numerics:
    """Return the numerics of samples of the fused kernel, given those that XLA's would have on the same device."""
    try:
        warp = metadata.version("warp-lang")
    except metadata.PackageNotFoundError:  # nothing is trained then, but stored samples are compared with this
        warp = "none"
    # A run waits for no other: it has a block of threads to itself.
    return {**plain, "lanes": 1, "fused": FUSED_VERSION, "warp": warp}


def following(plain: Mapping[str, str | int], references: Iterable[str]) -> Numerics:
    """Return the numerics of samples that are followed by differences, given the numerics of plain samples.

    references: keys of the reference runs. A folder of the store has one; a whole film may have more.
    """
    keys = "+".join(references)
    return {**plain, **({"differences": DIFFERENCES_VERSION, "reference": keys} if keys else {})}


def plain_part(described: Mapping[str, object]) -> dict[str, object]:
    """Return the numerics of the plain samples beside which followed ones lie; of plain samples, their own."""
    return {name: value for name, value in described.items() if name not in following({}, ["any"])}


def of_processor(problem: Problem) -> Numerics | None:
    """Return the numerics of this machine's processor; None where only JAX knows the device or the size of blocks."""
    lanes = problem.row.lanes
    return None if lanes is None or _may_find_accelerators() else of("cpu", "cpu", lanes, blas=asks_blas(problem))


def asks_blas(problem: Problem) -> bool:
    """Return whether a problem uses NumPy to multiply or decompose matrices: for its data, directions or channels."""
    settings = dict(problem.settings)
    if problem.row.kernel == OWN_KERNEL:  # a user's file may do anything
        return True
    return (
        problem.system in ("phases", "deep_linear")
        or settings.get("data") == "teacher"
        or settings.get("directions") == "random"
    )


def _may_find_accelerators() -> bool:
    chosen = any(os.environ.get(name) for name in _CHOICES)
    return chosen or any(importlib.util.find_spec(name) for name in _PLUGINS) or _has_plugins()


def _has_plugins() -> bool:
    return bool(metadata.entry_points(group="jax_plugins"))


def _processor() -> str:
    """Return the architecture and the widest vector instructions of this processor, such as "x86_64 AVX2".

    To JAX every processor is a "cpu", but the width of its vectors decides how XLA groups sums, and so the last bits.
    NumPy reads the features from the processor and the operating system.
    """
    features = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
    return f"{platform.machine()} {next((name for name in _VECTORS if features.get(name)), 'plain')}"
