"""Settings for every test: two devices whatever the machine, and JAX at its strictest."""

import os
import signal
import threading

# Two devices, so that every test of the film or the backend also trains on several devices.
os.environ.setdefault("RENDER_CPU_DEVICES", "2")

# Commands that tests start find modules compiled, as a user's do, even where bytecode is switched off.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What starts in the background of a shell ignores Ctrl-C, and so would the commands that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import pytest
from jaxtyping import install_import_hook

# Shapes and dtypes that signatures of these rooms state are checked while tests run. Modules that name types of
# libraries which they load only when drawing cannot be checked so.
CHECKED = [
    "render.train",
    *(f"render.picture.{name}" for name in ("channels", "colour", "flash", "level_ends", "palettes", "relief")),
]
install_import_hook(CHECKED, "typecheck.checked")

# The same examples every time, so that a test fails for a change and not by luck; and neither a deadline nor a
# check of their speed, since whatever else the machine does must not decide a test.
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def _no_silent_promotion() -> None:
    import jax

    import render.train  # noqa: F401 -- its settings come first

    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
