"""Settings for every test: two devices whatever the machine, and JAX at its strictest."""

import os

# Two devices, so that every test of the film or the backend also trains on several devices.
os.environ.setdefault("RENDER_CPU_DEVICES", "2")

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_silent_promotion() -> None:
    import jax

    import render.train  # noqa: F401 -- its settings come first

    jax.config.update("jax_numpy_dtype_promotion", "strict")
