"""The one writer of files: a file is whole or absent, and what a killed process left behind is told from living work.

Content goes to a partial file beside the path, `.NAME.<16 hex digits>.partial`, which is checked and then renamed: a
rename is atomic within one file system only. The digits are random, because host names and process numbers are the same
in every container. The writer holds a lock (flock) on its partial file, so a partial file that can be locked has no
writer. Where locks do not reach every machine that sees the folder, writers touch their partial files every hour
instead, and a file that was not touched for a day has no writer.

What is not a plain file is never replaced. Devices, FIFOs and open descriptors such as /dev/stdout are written through;
a symbolic link stays, and the file that it leads to is replaced; everything else is refused in words.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from render.errors import StoreError, WriteError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Check = Callable[[Path], None]

_TOUCHED_S = 3600
_STALE_S = 24 * 3600  # many times _TOUCHED_S: the clocks of two machines may differ by hours
_PATIENCE_S = 60.0

# A partial file is named by the first bytes of the name: the longest name that a file system allows must fit too.
_STEM_BYTES = 100
_PARTIAL = re.compile(r"\..+\.(?:[0-9a-f]{16}\.partial|publishing)", re.DOTALL)
# As versions before 2.0 named them, by host and process; they held no locks.
_OLD_PARTIAL = re.compile(r"\..+\.\d+(?:\.[0-9a-f]{2,8})?\.tmp|.+\.[\w-]+\.\d+\.partial", re.DOTALL)

# Types of file systems on which flock may be known to this machine alone, or (cifs) keeps other programs from writing.
_UNSHARED_LOCKS = re.compile(r"fuse.*|9p|virtiofs|cifs|smb3")

# What file systems answer that cannot do something: sync a folder, lock a file, make a hard link.
_CANNOT = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EACCES,
    errno.EBADF,
    errno.ENOTTY,
    errno.EMLINK,
    errno.EXDEV,
}

_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some of your quota",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    errno.EACCES: "Ask for permission to write there",
    errno.EPERM: "Ask for permission to write there",
    errno.EROFS: "Make it writable",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


class _Target(NamedTuple):
    """Where content goes. plain: the file to make or replace; None where `path` is written through.

    descriptor: of this process, that `path` names. mode: the permissions of the file that is replaced.
    """

    path: Path
    plain: Path | None
    descriptor: int | None = None
    mode: int | None = None


def write_whole(
    path: Path,
    content: bytes,
    *,
    fsync: bool = False,
    check: Check | None = None,
    replace: bool = True,
    own: bool = False,
) -> None:
    """Write a file whole or not at all, making its folder if need be. Raises WriteError.

    fsync: whether it also survives a power cut. check: is called with the path of the finished partial file before
    that is published, and raises what keeps it from being so. replace: False raises FileExistsError where a file is
    there already, even if it came this very moment.
    own: whether the file belongs to the program (samples, caches) and not to a person: then one with several names
    (hard links) or without permission to write is replaced instead of refused.
    """
    with _words(path):
        target = _target(path, own=own)
        if target.plain is None:
            _pour(target, content)
            return
        _make_folder(target.plain.parent)
        with _partial(target.plain, target.mode) as (file, partial, _):
            file.write(content)
            file.flush()
            _publish(file, partial, target.plain, fsync=fsync, check=check, replace=replace)


def store_whole(path: Path, content: bytes, *, fsync: bool = False) -> None:
    """Write a file of the store whole or not at all, making its folder if need be. Raises StoreError."""
    try:
        write_whole(path, content, fsync=fsync, own=True)
    except WriteError as error:
        raise StoreError(
            f"{path} cannot be written: {error.reason}. {error.advice or 'Fix that'}, or use another --store, and run "
            "the same command again: everything finished before is kept."
        ) from error


class WholeFile:
    """A file that something else writes, such as ffmpeg: a context manager that gives a path to write to.

        with WholeFile(path, check=opens) as partial:
            subprocess.run(["ffmpeg", ..., partial], check=True)

    The partial file is there, empty, from the start, so that trouble shows before any work; it must be written in
    place, not replaced. A clean end of the with-block checks and publishes it; an exception removes it.

    path: missing folders are made. check: as in `write_whole`. fsync: whether it survives a power cut once published.
    published: is called with the file's SHA-256, in hex, right after it got its name, while no other process publishes
    under this name: to write what belongs to this very file, such as its record. Raises WriteError.
    """

    def __init__(
        self,
        path: Path,
        *,
        check: Check | None = None,
        fsync: bool = True,
        published: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self._check, self._fsync, self._published = check, fsync, published
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Path:
        with _words(self.path), contextlib.ExitStack() as stack:
            self._target = _target(self.path)
            plain = self._target.plain or Path(tempfile.gettempdir(), self.path.name)
            _make_folder(plain.parent)
            for left in plain.parent.glob(".*.partial"):
                if left.name.startswith(f".{_stem(plain)}."):
                    remove_abandoned(left)
            self._file, self._partial, locked = stack.enter_context(_partial(plain, self._target.mode))
            if not locked:
                stack.enter_context(_touching(self._partial))
            self._stack = stack.pop_all()
        return self._partial

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        try:
            if error is None:
                self.publish()
            elif isinstance(error, OSError) and self._is_ours(error):
                with _words(self.path):
                    raise error
        finally:
            self.discard()

    def _is_ours(self, error: OSError) -> bool:
        """Say whether an error is about the partial file, and not about a pipe that the with-block prints to."""
        return not isinstance(error, ConnectionError) and error.filename in (None, str(self._partial), self._partial)

    def publish(self) -> None:
        """Check the partial file and give it its name, as the end of the with-block does."""
        with _words(self.path), contextlib.ExitStack() as alone:
            digest = ""
            if self._published is not None:
                with open(self._partial, "rb") as written:
                    digest = hashlib.file_digest(written, "sha256").hexdigest()
                if self._target.plain is not None:
                    alone.enter_context(one_at_a_time(self._target.plain))
            if self._target.plain is not None:
                _publish(self._file, self._partial, self._target.plain, fsync=self._fsync, check=self._check)
            else:
                if self._check is not None:
                    self._check(self._partial)
                with open(self._partial, "rb") as written:
                    _pour(self._target, written)
            if self._published is not None:
                self._published(digest)

    def discard(self) -> None:
        """Remove the partial file, unless it was published, and let its lock go."""
        self._stack.close()


def check_target(path: Path) -> None:
    """Refuse a path that cannot be written, before any work is done for it; leave nothing behind. Raises WriteError."""
    with _words(path):
        target = _target(path)
        if target.plain is not None:
            _make_folder(target.plain.parent)
            with _partial(target.plain, None):
                pass


def is_partial(path: Path) -> bool:
    """Say whether a file's name is that of an unfinished file of this program."""
    return _is_partial(path.name)


def is_abandoned(path: Path) -> bool:
    """Say whether a partial file has no writer any more. Who cannot know says no."""
    with _claimed(path) as abandoned:
        return abandoned


def remove_abandoned(path: Path) -> int:
    """Remove a partial file that has no writer any more; return how many bytes that freed."""
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
    """Hold a lock on a name among all processes: for files that must be published together.

    Where there are no locks, or another process has held this one for a minute, it goes on all the same.
    """
    lock = path.with_name(f".{_stem(path)}.publishing")
    until_s = time.monotonic() + _PATIENCE_S
    with contextlib.ExitStack() as stack:
        while time.monotonic() < until_s:
            try:
                file = open(lock, "ab")  # noqa: SIM115 - is closed by the stack, which may outlive this round
            except OSError:
                break
            with contextlib.ExitStack() as mine:
                mine.callback(file.close)
                state = _lock(file.fileno())
                if state and _is_at(file.fileno(), lock):
                    mine.callback(_unlink, lock)  # called before the lock goes
                    stack.push(mine.pop_all())
                    break
                if state is None:
                    _unlink(lock)
                    break
            time.sleep(0.01)
        yield


# ---- steps of writing -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _words(path: Path) -> Iterator[None]:
    """Turn what a file system refuses into a WriteError that names the path that was asked for."""
    try:
        yield
    except FileExistsError:  # only where a file must not be replaced
        raise
    except OSError as error:
        raise WriteError(path, error.strerror or str(error), _ADVICE.get(error.errno or 0, "")) from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder") from None


def _target(path: Path, *, own: bool = False) -> _Target:
    """Say what a path is, following links. Raises WriteError or OSError where it can be neither replaced nor filled."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return _Target(path, path)
    plain = path
    if stat.S_ISLNK(status.st_mode):
        if (descriptor := _descriptor(path)) is not None:
            return _Target(path, None, descriptor)
        plain = Path(os.path.realpath(path))
        try:
            status = os.stat(path)
        except FileNotFoundError:
            if not plain.parent.is_dir():
                raise WriteError(path, f"it is a link to {plain}, whose folder does not exist", "Make it") from None
            return _Target(path, plain)
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return _Target(path, None)
    if not stat.S_ISREG(mode):
        raise WriteError(path, f"it is a {'block device' if stat.S_ISBLK(mode) else 'socket'}, not a file")
    if not own and status.st_nlink > 1:
        raise WriteError(
            path,
            f"the file there has {status.st_nlink} names (hard links), and replacing it would change one of them alone",
            "Remove this name",
        )
    if not own and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "the file there is read-only")
    return _Target(path, plain, mode=stat.S_IMODE(mode))


def _descriptor(path: Path) -> int | None:
    """Return which of this process's descriptors a path names, as /dev/stdout and /dev/fd/3 do; None if none."""
    for _ in range(40):  # as many links as Linux follows
        folder = os.path.realpath(path.parent)
        if folder in ("/dev/fd", f"/proc/{os.getpid()}/fd") and path.name.isdecimal():
            return int(path.name)
        try:
            path = path.parent / os.readlink(path)
        except OSError:
            return None
    return None


def _pour(target: _Target, content: bytes | IO[bytes]) -> None:
    """Write through a device, a FIFO or an open descriptor."""
    if target.descriptor is None:
        out = os.open(target.path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    else:
        # Not opened by its name: that would begin at the start of a file that a shell has redirected to.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        out = os.dup(target.descriptor)
    with open(out, "wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            shutil.copyfileobj(content, file, 2**20)


@contextlib.contextmanager
def _partial(plain: Path, mode: int | None) -> Iterator[tuple[IO[bytes], Path, bool]]:
    """Make a partial file beside a path: (open, its path, whether it is locked). It is removed if still there."""
    with contextlib.ExitStack() as stack:
        while True:
            partial = plain.with_name(f".{_stem(plain)}.{secrets.token_hex(8)}.partial")
            file = stack.enter_context(open(partial, "xb"))
            stack.callback(_unlink, partial)  # called before the file is closed, which lets the lock go
            state = _lock(file.fileno())
            if state is None or (state and os.fstat(file.fileno()).st_nlink):
                break
            stack.close()  # another process found it before it was locked, and removes it
        if mode is not None:
            with contextlib.suppress(OSError):
                os.chmod(partial, mode)
        yield file, partial, bool(state)


def _publish(
    file: IO[bytes], partial: Path, plain: Path, *, fsync: bool, check: Check | None, replace: bool = True
) -> None:
    """Check a finished partial file and give it its name."""
    if check is not None:
        check(partial)
    if fsync:
        _sync(file.fileno())
    else:
        # Network file systems report what they could not write when a file is closed; this one is open for its lock.
        os.close(os.dup(file.fileno()))
    if fcntl is None:
        file.close()  # Windows renames no open file
    if replace:
        os.replace(partial, plain)
    else:
        _publish_new(partial, plain)
    if fsync and os.name == "posix":
        with _where_possible():
            folder = os.open(plain.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _publish_new(partial: Path, plain: Path) -> None:
    """Give a partial file a name that no file has. FileExistsError if one has it."""
    with _where_possible():
        os.link(partial, plain)  # unlike a rename, never over a file that came this very moment
        return
    # No hard links here: claim the name with an empty file, and put the whole one in its place.
    with open(plain, "xb"):
        pass
    try:
        os.replace(partial, plain)
    except BaseException:
        _unlink(plain)
        raise


@contextlib.contextmanager
def _where_possible() -> Iterator[None]:
    """Pass over what the file system cannot do at all."""
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def _sync(descriptor: int) -> None:
    with _where_possible():
        os.fsync(descriptor)


def _is_partial(name: str) -> bool:
    # A store has a million names, and regular expressions are slower than this.
    return name.endswith((".partial", ".publishing", ".tmp")) and bool(
        _PARTIAL.fullmatch(name) or _OLD_PARTIAL.fullmatch(name)
    )


def _stem(path: Path) -> str:
    return path.name.encode(errors="surrogateescape")[:_STEM_BYTES].decode(errors="ignore")


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


# ---- who writes -------------------------------------------------------------------------------------------------


def _lock(descriptor: int) -> bool | None:
    """Lock an open file without waiting: whether that succeeded, or None where locks say nothing."""
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
    """Say whether flock on a device is seen by all who see its files, and by nothing else."""
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
    """Say whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Yield whether a partial file has no writer; if so, it is locked meanwhile, so that none can begin."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        yield False
        return
    try:
        status, state = os.fstat(descriptor), _lock(descriptor) if _PARTIAL.fullmatch(path.name) else None
        if state is None:
            state = status.st_mtime < time.time() - _STALE_S
        yield state and stat.S_ISREG(status.st_mode) and _is_at(descriptor, path)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _touching(partial: Path) -> Iterator[None]:
    """Touch a partial file every hour: a film whose next frame trains for days is not left behind."""
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


# ---- what the folders of a store say of themselves --------------------------------------------------------------


def names_in(folder: Path) -> frozenset[str]:
    """Return the names of the files in a folder; none if there is no such folder."""
    try:
        return frozenset(os.listdir(folder))
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise StoreError(f"{folder} cannot be listed: {error.strerror}.") from error


def explain(path: Path, fields: Mapping[str, object], kind: str) -> None:
    """Write what a folder holds as TOML, or check that it says the same."""
    text = _toml(fields)
    if tomllib.loads(text) != fields:
        raise ValueError(f"A {kind} must consist of strings, finite numbers, truth values and tables, not {fields}.")
    try:
        found = read_toml(path, kind)
    except FileNotFoundError:
        title = f"# The {kind} of every tile below this folder. Written by render, which checks it: do not edit.\n"
        store_whole(path, (title + text).encode(), fsync=True)
        return
    if found != fields:
        name = next(name for name in {**fields, **found} if found.get(name) != fields.get(name))
        raise StoreError(
            f"{path.parent} was made with another {kind} ({name} = {found.get(name)!r}, now {fields.get(name)!r}). "
            "Use another --store, or delete that folder."
        )


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Return what problem.toml or numerics.toml says. Raises FileNotFoundError if there is none, or StoreError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} must describe the {kind} of its tiles: {error}. Delete that folder.") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Use another --store.") from error


def _toml(fields: Mapping[str, object]) -> str:
    """Return strings, numbers and one level of tables as TOML."""
    plain = {name: value for name, value in fields.items() if not isinstance(value, Mapping)}
    # Strings, numbers and truth values read the same in JSON and TOML, and so do quoted keys.
    text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in plain.items())
    for name, table in fields.items():
        if isinstance(table, Mapping):
            text += f"\n[{name}]\n{_toml(table)}"
    return text
