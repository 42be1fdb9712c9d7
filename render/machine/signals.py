"""Signals that end a command: the first stops it cleanly, the second at once.

Ctrl-C (SIGINT), `kill`, a queue or a container that ends a job (SIGTERM), a terminal that closes (SIGHUP), and
Ctrl-Break on Windows are all alike. One that was ignored when the process began stays ignored: a shell ignores SIGINT
for what it starts in the background, and nohup ignores SIGHUP.

An exception must not be raised everywhere. While a module is imported it may pass through the beginning of a library in
C++ that is not made for it (JAX's ends with a segmentation fault), and in what the garbage collector calls, Python
prints it and goes on. In the first case the signal acts later, and in the second it acts again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


def _interrupt() -> None:
    raise KeyboardInterrupt


# The action of the first signal, and the announcement before it.
_stop: Callable[[], None] = _interrupt
_announce: Callable[[], None] = lambda: None  # noqa: E731

# Seconds until a signal acts that could not act at once.
_LATER_S = 0.02

_IMPORTING = "<frozen importlib._bootstrap>"

_listening = False
_acts_again = False
_received: int | None = None
_terminals: list[int] = []


def listen() -> None:
    """From now on, the first signal that ends a command raises KeyboardInterrupt, and the second exits at once."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread can set handlers
    global _listening
    _listening = True
    for number in ENDING:
        # None: a handler that was not set from Python.
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _received_one)
    sys.unraisablehook = _unraisable
    _terminals[:] = [number for number in (0, 1, 2) if _is_terminal(number)]


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the handlers of these signals after the with-block, in which a library may be imported."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextlib.contextmanager
def announcing(say: Callable[[], None]) -> Iterator[None]:
    """Announce the first signal, by calling `say`, before it stops the with-block."""
    global _announce
    if _listening:
        listen()  # a library may have set its own handlers since
    before, _announce = _announce, say
    try:
        yield
    finally:
        _announce = before


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """In the with-block the first signal calls `stop` and raises nothing."""
    global _stop
    before, _stop = _stop, stop
    try:
        yield
    finally:
        _stop = before


def received() -> int | None:
    """Return the signal that has stopped the command; None if there was none."""
    return _received


def kept_after(stop: KeyboardInterrupt) -> str:
    """Return what is kept of the work that was stopped, as a sentence: in the exception's words, if it has any."""
    return str(stop) or "Trained tiles and finished reference runs are kept; the same command goes on from here."


def exit_code() -> int:
    """Return the exit code of a command that a signal has stopped: 128 plus the signal's number, as in shells."""
    return 128 + (_received or signal.SIGINT)


def _received_one(number: int, frame: FrameType | None) -> None:
    global _received, _acts_again
    if _acts_again:
        _acts_again = False
        _act(frame)
        return
    if _received is not None:
        # A terminal that closes sends SIGHUP, and the shell in it sends it again. That is not a second request.
        if number == _received == getattr(signal, "SIGHUP", None):
            return
        os._exit(128 + number)
    _received = number
    if number == getattr(signal, "SIGHUP", None):
        _let_go_of_terminal()
    with contextlib.suppress(OSError):  # the terminal is gone
        _announce()
    _act(frame)


def _act(frame: FrameType | None) -> None:
    """Stop the command, now or, if a module is just being imported, later."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            _act_later()
            return
        frame = frame.f_back
    _stop()


def _act_later() -> None:
    timer = threading.Timer(_LATER_S, _send_again)
    timer.daemon = True
    with contextlib.suppress(RuntimeError):  # the interpreter ends already
        timer.start()


def _send_again() -> None:
    global _acts_again
    if _received is None:
        return
    _acts_again = True
    if hasattr(signal, "pthread_kill"):  # wakes a main thread that waits
        signal.pthread_kill(threading.main_thread().ident or 0, _received)
    else:
        signal.raise_signal(_received)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Let a signal act again whose exception went nowhere; report every other exception as usual."""
    if _received is not None and isinstance(unraisable.exc_value, KeyboardInterrupt):
        _act_later()
    else:
        sys.__unraisablehook__(unraisable)


def _let_go_of_terminal() -> None:
    """Redirect a terminal that is gone to the null device, because every write to it would raise while stopping."""
    for descriptor in _terminals:
        with contextlib.suppress(OSError):
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, descriptor)
            os.close(nothing)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
