"""Atomic writing: a file is complete or absent, and leftovers of killed processes differ from work in progress.

Content goes to a partial file beside the path, `.NAME.<16 hex digits>.partial`, which is checked and then renamed: a
rename is atomic within one file system only. The digits are random, because host names and process numbers are the same
in every container. The writer holds a lock (flock) on its partial file, so a partial file that can be locked has no
writer. Where locks do not reach every machine that sees the folder, writers touch their partial files every hour
instead, and a file that was not touched for a day has no writer.

Only regular files are ever replaced. Devices, FIFOs and open descriptors such as /dev/stdout are written to directly. A
symbolic link stays, and the file that it leads to is replaced. Anything else is an error.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from render.errors import StoreError, WriteError
from render.files import partials
from render.files.partials import is_abandoned, is_partial, one_at_a_time, remove_abandoned, sweep

__all__ = [
    "WholeFile",
    "check_target",
    "is_abandoned",
    "is_partial",
    "lacking",
    "one_at_a_time",
    "remove_abandoned",
    "store_whole",
    "sweep",
    "worded",
    "write_whole",
]

Check = Callable[[Path], None]

# Error codes of file systems that do not support an operation: to sync a folder, lock a file, or make a hard link.
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}
_CANNOT |= {errno.EBADF, errno.ENOTTY, errno.EMLINK, errno.EXDEV}

_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some of your quota",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    errno.EACCES: "Ask for permission to write there",
    errno.EPERM: "Ask for permission to write there",
    errno.EROFS: "Make it writable",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


# What stands where a file must go. Pipes and character devices are written to, but not for the program's own files:
# what goes into them is not kept.
_KINDS = {stat.S_IFIFO: "pipe", stat.S_IFCHR: "device", stat.S_IFBLK: "block device", stat.S_IFSOCK: "socket"}


class _Target(NamedTuple):
    """The destination of a write. plain: the file to make or replace; None where `path` is written to directly.

    descriptor: the descriptor of this process that `path` names. mode: the permissions of the file to replace.
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
    internal: bool = False,
) -> None:
    """Write a file atomically, and make its folder if needed. Raises WriteError.

    fsync: whether the file also survives a power cut. check: called with the path of the finished partial file before
    it is published; an exception that it raises prevents that. replace: False raises FileExistsError if the file
    exists, even if another process made it at the same moment.
    internal: whether the file belongs to the program (samples, caches) and not to the user. Such a file is replaced
    even if it has several names (hard links) or is read-only.
    """
    with worded(path):
        target = _target(path, internal=internal)
        if target.plain is None:
            _pour(target, content)
            return
        _make_folder(target.plain.parent)
        with _partial(target.plain, target.mode) as (file, partial, _):
            file.write(content)
            file.flush()
            _finish(file, partial, fsync=fsync, check=check)
            _rename(file, partial, target.plain, fsync=fsync, replace=replace)


def store_whole(path: Path, content: bytes, *, fsync: bool = False, replace: bool = True) -> None:
    """Write a file of the store atomically, and make its folder if needed. replace: as in `write_whole`.

    Raises StoreError.
    """
    try:
        write_whole(path, content, fsync=fsync, replace=replace, internal=True)
    except WriteError as error:
        raise StoreError(
            f"{path} cannot be written: {error.reason}. {error.advice or 'Fix that'}, or use another --store, and run "
            "the same command again: everything finished before is kept."
        ) from error


class WholeFile:
    """A file that another program writes, such as ffmpeg: a context manager that gives a path to write to.

        with WholeFile(path, check=opens) as partial:
            subprocess.run(["ffmpeg", ..., partial], check=True)

    An empty partial file exists from the start, so that errors show before any work. The program must write into it and
    not replace it. A clean end of the with-block checks and publishes the file; an exception removes it.

    path: missing folders are made. check: as in `write_whole`. fsync: whether the published file survives a power cut.
    published: called with the file's SHA-256, in hex, right after the file got its name, while no other process
    publishes under that name. It writes files that belong to this one, such as its record. Raises WriteError.
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
        with worded(self.path), contextlib.ExitStack() as stack:
            self._target = _target(self.path)
            plain = self._target.plain or Path(tempfile.gettempdir(), self.path.name)
            _make_folder(plain.parent)
            for name in os.listdir(plain.parent):
                if name.startswith(f".{partials.stem(plain)}.") and is_partial(Path(name)):
                    remove_abandoned(plain.parent / name)
            self._file, self._partial, locked = stack.enter_context(_partial(plain, self._target.mode))
            if not locked:
                stack.enter_context(partials.touching(self._partial))
            self._stack = stack.pop_all()
        return self._partial

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        try:
            if error is None:
                self.publish()
            elif isinstance(error, OSError) and self._is_ours(error):
                with worded(self.path):
                    raise error
        finally:
            self.discard()

    def _is_ours(self, error: OSError) -> bool:
        """Return whether an error is about the partial file, and not about a pipe that the with-block prints to."""
        return not isinstance(error, ConnectionError) and error.filename in (None, str(self._partial), self._partial)

    def publish(self) -> None:
        """Check the partial file and give it its name, as the end of the with-block does."""
        with worded(self.path), contextlib.ExitStack() as alone:
            # Everything that may take seconds is done before the lock is taken.
            _finish(self._file, self._partial, fsync=self._fsync, check=self._check)
            digest = ""
            if self._published is not None:
                with open(self._partial, "rb") as written:
                    digest = hashlib.file_digest(written, "sha256").hexdigest()
            if self._target.plain is None:
                with open(self._partial, "rb") as written:
                    _pour(self._target, written)
            else:
                if self._published is not None:
                    alone.enter_context(one_at_a_time(self._target.plain))
                _rename(self._file, self._partial, self._target.plain, fsync=self._fsync)
            if self._published is not None:
                self._published(digest)

    def discard(self) -> None:
        """Remove the partial file, unless it was published, and release its lock."""
        self._stack.close()


def check_target(path: Path) -> bool:
    """Return whether a file will be made or replaced there; not so where a device, pipe or open file is written to.

    Raises WriteError if a path cannot be written, before any work is done for it. No file is left behind.
    """
    with worded(path):
        target = _target(path)
        if target.plain is not None:
            _make_folder(target.plain.parent)
            with _partial(target.plain, None):
                pass
    return target.plain is not None


def lacking(folder: Path) -> list[str]:
    """Return which features the file system of an existing folder lacks, and the consequence of each, as phrases.

    Raises WriteError if no file can be made in the folder.
    """
    faults = []
    with worded(folder), _partial(folder / "trial", None) as (file, partial, locked):
        file.write(b"\0" * 4096)
        file.flush()
        os.close(os.dup(file.fileno()))
        if not locked:
            faults.append("no locks that every machine sees: what a killed render leaves there is removed a day later")
        if not (_can(lambda: os.fsync(file.fileno())) and _can(lambda: _sync_folder(folder))):
            faults.append("no fsync: RENDER_FSYNC=1 does not make files outlive a power cut there")
        other = partial.with_name(f".trial.{secrets.token_hex(8)}.partial")
        if not _can(lambda: os.link(partial, other)):
            faults.append("no hard links: a scene that is saved there is an empty file for a moment")
        partials.unlink(other)
    return faults


# ---- steps of writing -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def worded(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a WriteError that names the given path."""
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


def _target(path: Path, *, internal: bool = False) -> _Target:
    """Return the target of a path, following links. Raises WriteError or OSError where it cannot be written."""
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
    if not internal and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return _Target(path, None)
    if not stat.S_ISREG(mode):
        raise WriteError(path, f"it is a {_KINDS[stat.S_IFMT(mode)]}, not a file", "Remove it" if internal else "")
    if not internal and status.st_nlink > 1:
        raise WriteError(
            path,
            f"the file there has {status.st_nlink} names (hard links), and replacing it would change one of them alone",
            "Remove this name",
        )
    if not internal and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "the file there is read-only")
    return _Target(path, plain, mode=stat.S_IMODE(mode))


def _descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path such as /dev/stdout names; None if it names none."""
    for _ in range(40):  # Linux follows this many links
        folder = os.path.realpath(path.parent)
        if folder in ("/dev/fd", f"/proc/{os.getpid()}/fd") and path.name.isdecimal():
            return int(path.name)
        try:
            path = path.parent / os.readlink(path)
        except OSError:
            return None
    return None


def _pour(target: _Target, content: bytes | IO[bytes]) -> None:
    """Write content to a device, a FIFO or an open descriptor."""
    if target.descriptor is None:
        out = os.open(target.path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    else:
        # Opening the path by its name would write from the start of a file that a shell has redirected to.
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
    """Make a partial file beside a path: (open file, its path, whether it is locked). Remove it at the end."""
    with contextlib.ExitStack() as stack:
        while True:
            partial = plain.with_name(f".{partials.stem(plain)}.{secrets.token_hex(8)}.partial")
            file = stack.enter_context(open(partial, "xb"))
            stack.callback(partials.unlink, partial)  # called before the file is closed, which releases the lock
            state = partials.lock(file.fileno())
            if state is None or (state and os.fstat(file.fileno()).st_nlink):
                break
            stack.close()  # another process saw the file before it was locked, and removes it
        if mode is not None:
            with contextlib.suppress(OSError):
                os.chmod(partial, mode)
        yield file, partial, bool(state)


def _finish(file: IO[bytes], partial: Path, *, fsync: bool, check: Check | None) -> None:
    """Check a finished partial file, and raise errors that the file system reports late."""
    if check is not None:
        check(partial)
    if fsync:
        _can(lambda: os.fsync(file.fileno()))
    else:
        # Network file systems report failed writes when a file is closed. This file stays open for its lock, so a
        # duplicate of its descriptor is closed.
        os.close(os.dup(file.fileno()))


def _rename(file: IO[bytes], partial: Path, plain: Path, *, fsync: bool, replace: bool = True) -> None:
    """Give a finished partial file its name."""
    if not partials.CAN_LOCK:
        file.close()  # Windows cannot rename an open file
    if replace:
        os.replace(partial, plain)
    else:
        _rename_new(partial, plain)
    if fsync:
        _can(lambda: _sync_folder(plain.parent))


def _rename_new(partial: Path, plain: Path) -> None:
    """Give a partial file its name. Raises FileExistsError if a file has that name."""
    if _can(lambda: os.link(partial, plain)):  # unlike a rename, a link never replaces a file
        return
    # There are no hard links here: claim the name with an empty file, and replace that with the complete one.
    with open(plain, "xb"):
        pass
    try:
        os.replace(partial, plain)
    except BaseException:
        partials.unlink(plain)
        raise


def _can(act: Callable[[], None]) -> bool:
    """Call `act` and return whether the file system supports it. Any other error is raised."""
    try:
        act()
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    return True


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
