"""Training: the only package that imports JAX. Settings that must precede every array are made here, once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

# One XLA device per core, each running its own blocks, is faster than one device whose operations are split over the
# cores: a block of 16 lanes is too small to share. So XLA's own threads inside a product are turned off (two cores, two
# devices: 6.2 us per step and sample, and 11.4 with them on).
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
os.environ["JAX_ENABLE_X64"] = "1"

import jax
import jax.numpy as jnp

from render.files import places


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _configure() -> None:
    update: Callable[[str, object], None] = jax.config.update
    update("jax_enable_x64", True)
    # RENDER_CPU_DEVICES lets a test, or a person who wants a core left free, choose another number.
    update("jax_num_cpu_devices", int(os.environ.get("RENDER_CPU_DEVICES", _cores())))
    # A compiled kernel is kept between runs (0.5 to 2 s become 0.1). Where it cannot be kept, doctor says so, and JAX
    # would warn of every kernel.
    cache = places.cache_folder("xla")
    update("jax_compilation_cache_dir", None if cache is None else str(cache))
    warnings.filterwarnings("ignore", "Error writing persistent compilation cache entry")
    update("jax_persistent_cache_min_compile_time_secs", 0.0)
    update("jax_persistent_cache_min_entry_size_bytes", -1)
    if jnp.zeros(()).dtype != jnp.float64:
        raise RuntimeError("JAX gives float32 although float64 was asked for: an array was made before render.train.")


_configure()
