"""The first signal stops a command cleanly, whichever signal it is; the second ends it at once."""

import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.helpers.waiting import held_after_tiles, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

# Stands for a command: it says when it listens, and when it has cleaned up, which a second signal must cut short.
COMMAND = textwrap.dedent("""
    import os, sys, time
    from render.machine import signals

    signals.listen()
    try:
        with signals.announcing(lambda: os.write(1, b"announced\\n")):
            print("listens", flush=True)
            time.sleep(3600)
    except KeyboardInterrupt:
        if sys.argv[1] == "slow":
            time.sleep(3600)
        print("cleaned", flush=True)
        sys.exit(signals.exit_code())
""")


def ignoring(number: signal.Signals, command: list[str]) -> list[str]:
    """A command that begins with a signal ignored, as shells and nohup start it."""
    return ["sh", "-c", f"trap '' {number.name.removeprefix('SIG')}; exec \"$@\"", "sh", *command]


def started(how: str, ignored: signal.Signals | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMAND, how]
    process = subprocess.Popen(ignoring(ignored, command) if ignored else command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "listens\n"
    return process


@pytest.mark.parametrize("number", ALL)
def test_the_first_signal_stops_cleanly_with_its_exit_code(number: signal.Signals) -> None:
    process = started("quick")
    process.send_signal(number)
    assert process.communicate()[0] == "announced\ncleaned\n"
    assert process.returncode == 128 + number


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in ALL for b in (signal.SIGINT, signal.SIGTERM)])
def test_the_second_signal_ends_at_once(first: signal.Signals, second: signal.Signals) -> None:
    process = started("slow")
    process.send_signal(first)
    assert process.stdout is not None and process.stdout.readline() == "announced\n"
    process.send_signal(second)
    assert process.communicate()[0] == ""
    assert process.returncode == 128 + second


def test_a_terminal_that_closes_says_so_twice_and_means_it_once() -> None:
    process = started("slow")
    process.send_signal(signal.SIGHUP)
    assert process.stdout is not None and process.stdout.readline() == "announced\n"
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("ignored", ALL)
def test_an_ignored_signal_stays_ignored(ignored: signal.Signals) -> None:
    process = started("quick", ignored)
    process.send_signal(ignored)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    other = signal.SIGTERM if ignored != signal.SIGTERM else signal.SIGINT
    process.send_signal(other)
    assert process.communicate()[0] == "announced\ncleaned\n"
    assert process.returncode == 128 + other


# ---- whole commands -------------------------------------------------------------------------------------------------


def tile_count(folder: Path) -> int:
    return len(list((folder / "store").rglob("*.npz")))


def film(folder: Path, quality: str = "scene") -> list[str]:
    words = ["video", "tiny", "--quality", quality, "--out", str(folder / "out"), "--store", str(folder / "store")]
    return [sys.executable, "-m", "render.cli", *words]


def test_sigterm_stops_a_film_as_ctrl_c_does(tmp_path: Path) -> None:
    process = held_after_tiles(4, *film(tmp_path)[3:])
    process.send_signal(signal.SIGTERM)
    errors = process.communicate()[1]
    assert process.returncode == 143, errors
    assert "stopping: the batches under way are being finished" in errors
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_a_terminal_that_closes_stops_a_film_cleanly(tmp_path: Path) -> None:
    """As a real terminal does: after it has gone, every word written to it is an error."""
    main, side = pty.openpty()
    script = f"""
import os, sys
os.setsid()
os.close(os.open({os.ttyname(side)!r}, os.O_RDWR))  # it is this session's terminal now
os.execv(sys.argv[1], sys.argv[1:])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *film(tmp_path, "hd")], stdin=side, stdout=side, stderr=side
    )
    os.close(side)
    until(lambda: tile_count(tmp_path) >= 4)  # of minutes of work
    os.close(main)
    assert process.wait() == 128 + signal.SIGHUP
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert not list((tmp_path / "store").rglob("*.partial"))


def test_a_film_in_the_background_goes_on_through_ctrl_c(tmp_path: Path) -> None:
    command = ignoring(signal.SIGINT, film(tmp_path))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: tile_count(tmp_path) >= 4)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1].decode()
    assert process.returncode == 0, errors
    assert list((tmp_path / "out").rglob("*.mp4"))


def test_importing_what_clusters_need_leaves_the_handlers_of_signals_alone() -> None:
    code = """
    import signal
    from render import backends
    from render.machine import signals
    signals.listen()
    before = [signal.getsignal(number) for number in signals.ENDING]
    backends._need_extra("a test")
    import dask_jobqueue
    assert [signal.getsignal(number) for number in signals.ENDING] == before
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


# ---- places where an exception must not be raised, or goes nowhere ---------------------------------------------------

# Each says "in" from inside of such a place and stays there until a signal has come; then the command waits.
PLACES = {
    "an import": """
        import sys, types, importlib.abc, importlib.util
        class Loader(importlib.abc.Loader):
            def create_module(self, spec): return None
            def exec_module(self, module):
                try: hold()
                except BaseException: os.write(1, b"broken\\n"); os._exit(9)
        class Finder(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                return importlib.util.spec_from_loader(name, Loader()) if name == "slow_library" else None
        sys.meta_path.insert(0, Finder())
        import slow_library
    """,
    "a callback of the garbage collector": """
        import gc
        def callback(phase, info): gc.callbacks.remove(callback); hold()
        gc.callbacks.append(callback)
        gc.collect()
    """,
    "a finaliser": """
        class Thing:
            def __del__(self): hold()
        Thing()
    """,
    "a callback of a weak reference": """
        import weakref
        class Thing: pass
        thing = Thing()
        reference = weakref.ref(thing, lambda _: hold())
        del thing
    """,
    "a callback from C": """
        import ctypes
        compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        def held(a, b): hold(); return 0
        ctypes.CDLL(None).qsort((ctypes.c_int * 2)(), 2, 4, compare(held))
    """,
}


@pytest.mark.parametrize("number", ALL)
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_in_a_place_that_can_raise_nothing_stops_the_command_all_the_same(
    place: str, number: signal.Signals
) -> None:
    hold = textwrap.dedent("""
        def hold():
            os.write(1, b"in\\n")
            while signals.received() is None:
                time.sleep(0.01)
            time.sleep(0.1)
    """)
    script = (
        COMMAND.replace("signals.listen()", hold + "\nsignals.listen()")
        .replace('print("listens", flush=True)', 'exec(sys.argv[2])\n        print("listens", flush=True)')
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", script, "quick", textwrap.dedent(PLACES[place])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "in\n"
    process.send_signal(number)
    printed, errors = process.communicate()
    # A signal may come between a line and its end.
    assert re.fullmatch(r"(announced\n?)?(listens\n?)?cleaned\n", printed), errors
    assert errors == ""
    assert process.returncode == 128 + number


def test_other_exceptions_that_go_nowhere_are_still_reported() -> None:
    thing = "class A:\n    def __del__(self): raise ValueError(7)\nA()"
    script = f"from render.machine import signals\nsignals.listen()\n{thing}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "ValueError: 7" in done.stderr
