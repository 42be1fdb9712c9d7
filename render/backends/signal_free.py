"""Loaded first in every worker process that a render starts on this machine: it leaves the terminal's signals alone.

A terminal sends Ctrl-C, and SIGHUP as it closes, to every process in it. Whether to stop, and how, is decided by the
render: it lets the batches under way be finished, for which it needs its workers.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any


def dask_setup(_: Any) -> None:
    """Ignore what a terminal sends; called by dask in the worker's process. SIGTERM still ends it."""
    for name in ("SIGINT", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            with contextlib.suppress(ValueError):  # only the main thread may set handlers
                signal.signal(getattr(signal, name), signal.SIG_IGN)
