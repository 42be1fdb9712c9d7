"""Partial files: their names, and whether their writer is alive, which a file lock shows."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CAN_LOCK = fcntl is not None

_TOUCHED_S = 3600
_STALE_S = 24 * 3600  # many times _TOUCHED_S: the clocks of two machines may differ by hours
_PATIENCE_S = 60.0

# The name of a partial file contains only the first bytes of a long name and its digest, so that the longest name that
# a file system allows fits too, and no two files share partial files, nor the lock under which they are published: a
# film holds it while its poster, whose name begins alike, is published.
_STEM_BYTES, _DIGEST_CHARACTERS = 100, 16
_PARTIAL = re.compile(r"\..+\.(?:[0-9a-f]{16}\.partial|publishing)", re.DOTALL)
# Names given by versions before 0.2.0, made of host and process; those versions held no locks.
_OLD_PARTIAL = re.compile(r"\..+\.\d+(?:\.[0-9a-f]{2,8})?\.tmp|.+\.[\w-]+\.\d+\.partial", re.DOTALL)

# Types of file systems on which other machines may not see a flock, or where (cifs) it blocks other programs.
_UNSHARED_LOCKS = re.compile(r"fuse.*|9p|virtiofs|cifs|smb3")


def is_partial(path: Path) -> bool:
    """Return whether a file's name is that of an unfinished file of this program."""
    return _is_partial(path.name)


def is_abandoned(path: Path) -> bool:
    """Return whether a partial file has no writer any more; False where that cannot be known."""
    with _claimed(path) as abandoned:
        return abandoned


def remove_abandoned(path: Path) -> int:
    """Remove a partial file that has no writer any more. Return the number of bytes that were freed."""
    with contextlib.suppress(OSError), _claimed(path) as abandoned:
        if abandoned:
            size = path.stat().st_size
            path.unlink()
            return size
    return 0


def sweep(folder: Path) -> None:
    """Remove the partial files below a folder that have no writer any more."""
    for place, _, names in os.walk(folder):
        for name in names:
            if _is_partial(name):
                remove_abandoned(Path(place, name))


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock on a name among all processes, for files that must be published together.

    The with-block runs without the lock where locks do not work, or where another process has held it for a minute.
    """
    at = path.with_name(f".{stem(path)}.publishing")
    until_s = time.monotonic() + _PATIENCE_S
    with contextlib.ExitStack() as stack:
        while time.monotonic() < until_s:
            try:
                file = open(at, "ab")  # noqa: SIM115 - is closed by the stack, which may outlive this round
            except OSError:
                break
            with contextlib.ExitStack() as mine:
                mine.callback(file.close)
                state = lock(file.fileno())
                if state and _is_at(file.fileno(), at):
                    mine.callback(unlink, at)  # called before the lock is released
                    stack.push(mine.pop_all())
                    break
                if state is None:
                    unlink(at)
                    break
            time.sleep(0.01)
        yield


def _is_partial(name: str) -> bool:
    # A store has a million names, and comparing suffixes is faster than a regular expression.
    return name.endswith((".partial", ".publishing", ".tmp")) and bool(
        _PARTIAL.fullmatch(name) or _OLD_PARTIAL.fullmatch(name)
    )


def stem(path: Path) -> str:
    """Return what the names of a file's partial files begin with: its name, or as much of it as fits and a digest."""
    name = path.name.encode(errors="surrogateescape")
    if len(name) <= _STEM_BYTES:
        return name.decode(errors="ignore")
    digest = hashlib.sha256(name).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: _STEM_BYTES - 1 - _DIGEST_CHARACTERS].decode(errors='ignore')}-{digest}"


def unlink(path: Path) -> None:
    """Remove a file if possible."""
    with contextlib.suppress(OSError):
        os.unlink(path)


# ---- locks ------------------------------------------------------------------------------------------------------


def lock(descriptor: int) -> bool | None:
    """Lock an open file without waiting. Return whether that succeeded, or None where locks are not reliable."""
    if fcntl is None or not _locks_reach(os.fstat(descriptor).st_dev):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@functools.cache
def _locks_reach(device: int) -> bool:
    """Return whether every machine that sees the files of a device also sees its locks."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split(" - ") for line in file]
    except OSError:  # not Linux
        return True
    name = f"{os.major(device)}:{os.minor(device)}"
    for mount, source in (parts for parts in mounts if len(parts) == 2):
        if mount.split()[2] == name:
            kind, _, options = source.split()[:3]
            local = {"nolock", "local_lock=all", "local_lock=flock", "localflock"} & set(options.split(","))
            return not local and _UNSHARED_LOCKS.fullmatch(kind) is None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Yield whether a partial file has no writer. If so, it is locked meanwhile against new writers."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        yield False
        return
    try:
        status, state = os.fstat(descriptor), lock(descriptor) if _PARTIAL.fullmatch(path.name) else None
        if state is None:
            state = status.st_mtime < time.time() - _STALE_S
        yield state and stat.S_ISREG(status.st_mode) and _is_at(descriptor, path)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def touching(partial: Path) -> Iterator[None]:
    """Touch a partial file every hour, so that a film whose next frame trains for days does not count as abandoned."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(_TOUCHED_S):
            with contextlib.suppress(OSError):
                os.utime(partial)

    threading.Thread(target=touch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
