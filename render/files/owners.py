"""Who writes a file that is not whole yet: its name says the machine and the process."""

from __future__ import annotations

import os
import socket

# Without dots, which part the names; several machines may share a folder, and have processes of the same number.
HOST = "".join(c for c in socket.gethostname() if c.isalnum() or c == "-")[:32]


def mine() -> str:
    """Return this process as it stands in names: HOST.PID."""
    return f"{HOST}.{os.getpid()}"


def may_live(owner: str) -> bool:
    """Say whether a process named as by `mine` runs, or may run: of other machines nobody knows."""
    host, _, pid = owner.partition(".")
    if host != HOST or os.name != "posix" or not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
