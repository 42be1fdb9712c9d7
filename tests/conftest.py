"""Settings for every test: two devices whatever the machine, and JAX at its strictest."""

import gc
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

# Two devices, so that every test of the film or the backend also trains on several devices.
os.environ.setdefault("RENDER_CPU_DEVICES", "2")

# Commands that tests start find modules compiled, as a user's do, even where bytecode is switched off.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What starts in the background of a shell ignores Ctrl-C, and what nohup starts the end of a terminal; and so would the
# commands that tests start and stop.
if threading.current_thread() is threading.main_thread():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

import hypothesis
import pytest
from jaxtyping import install_import_hook

from render.machine import cores

# Shapes and dtypes that signatures of these rooms state are checked while tests run. Modules that name types of
# libraries which they load only when drawing cannot be checked so.
CHECKED = [
    "render.train",
    *(f"render.picture.{name}" for name in ("channels", "colour", "flash", "level_ends", "relief")),
]
install_import_hook(CHECKED, "typecheck.checked")

# Python would search all that JAX keeps for garbage after every 70,000 new objects. With so much more between searches
# a test of plans alone, start included, takes 3.4 s instead of 8.3 s (two cores of an AMD EPYC).
gc.set_threshold(50_000, 20, 20)

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


# ---- the quick level ------------------------------------------------------------------------------------------------

# The files of `make quick`: laws of pure functions. Tests in them that start a process, or train another system than
# the one below, are marked slow; that it is so is checked while they run.
QUICK = {
    *("annotate", "batch_splitting", "camera", "caption", "channels", "colour", "compose", "differences", "estimators"),
    *("flash", "lattice", "layers", "monotone", "overlay", "palettes", "plan", "resample", "scene", "selection"),
    *("systems", "tile_range"),
}
QUICK_SYSTEM = "mlp"

# What Python reports when a program starts another one (https://docs.python.org/3/library/audit_events.html).
_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec"}
_forbidden: list[str] | None = None  # what the running quick test did that it must not; None elsewhere


def _heard(event: str, arguments: tuple[object, ...]) -> None:
    if _forbidden is not None and event in _STARTS:
        _forbidden.append(f"started a process: {event} {arguments[:2]}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only laws of pure functions: no processes, one system")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: not part of the quick level, though its file is")
    here = pathlib.Path(__file__).parent
    if gone := sorted(name for name in QUICK if not (here / f"test_{name}.py").is_file()):
        raise pytest.UsageError(f"tests/conftest.py: QUICK names files that are not there: {', '.join(gone)}")
    if config.getoption("--quick"):
        sys.addaudithook(_heard)


def pytest_xdist_auto_num_workers() -> int | None:
    """Return one worker more than there are cores, since workers wait for the processes that tests start.

    Seven files with many processes took 147 s with three workers, and 156 s with two (two cores of an AMD EPYC).
    """
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores.allowed() + 1


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    name = collection_path.stem.removeprefix("test_")
    return True if config.getoption("--quick") and collection_path.suffix == ".py" and name not in QUICK else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test of the quick level that starts a process, or makes an engine for another system."""
    global _forbidden
    if not item.config.getoption("--quick"):
        return (yield)
    from render.train.engine import Engine

    plain = Engine.__init__

    def refuse(engine: Engine, problem: Any, *arguments: Any, **options: Any) -> None:
        if problem.system != QUICK_SYSTEM:
            forbidden.append(f"made an engine for {problem.system}")
        plain(engine, problem, *arguments, **options)

    forbidden = _forbidden = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__init__", refuse)
        try:
            result = yield
        finally:
            _forbidden = None
    assert not forbidden, f"Mark this test slow: a test of the quick level must not do this: {forbidden}."
    return result
