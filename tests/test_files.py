"""Files are whole or absent, whoever writes beside; what is no plain file is never replaced; and what a killed process
left is distinguished from living work by the system's locks."""

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from render import scene
from render.cli import app
from render.errors import RenderError, StoreError, WriteError
from render.explorer import film_preview, keyframes
from render.files import atomic, partials
from render.files.atomic import WholeFile, check_target, write_whole
from render.tools import inventory
from tests.helpers.clock import set_clock

ROOT = Path(__file__).parents[1]
CONTENT = b"whole " * 5000

Write = Callable[[Path, bytes], None]


def by_program(path: Path, content: bytes) -> None:
    """Write a file as ffmpeg does: another process opens the partial file by its name."""
    with WholeFile(path) as partial:
        subprocess.run(["dd", f"of={partial}", "status=none", "bs=64k"], input=content, check=True)


def in_place(path: Path, content: bytes) -> None:
    with WholeFile(path, fsync=False) as partial:
        partial.write_bytes(content)


WRITERS: list[Write] = [write_whole, in_place, by_program]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- whole or absent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_is_made_replaced_and_nothing_else_is_left(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "new" / "folder" / "film.mp4"
    for content in (CONTENT, b"", b"other"):
        write(path, content)
        assert path.read_bytes() == content
        assert names(path.parent) == ["film.mp4"]


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, ".hidden", "a b$c'\n", "-", os.fsdecode(b"caf\xe9")])
@pytest.mark.parametrize("write", WRITERS)
def test_every_name_that_the_file_system_allows(tmp_path: Path, write: Write, name: str) -> None:
    write(tmp_path / name, CONTENT)
    assert (tmp_path / name).read_bytes() == CONTENT
    assert names(tmp_path) == [name]


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_has_the_usual(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"")
    finally:
        os.umask(before)
    write_whole(tmp_path / "mine", b"")
    (tmp_path / "mine").chmod(0o600)
    write_whole(tmp_path / "mine", CONTENT)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "mine")] == [0o640, 0o600]


class _NoGood(Exception):
    pass


def test_what_does_not_pass_its_check_is_not_published(tmp_path: Path) -> None:
    path, seen = tmp_path / "film.mp4", []
    path.write_bytes(b"old")

    def check(partial: Path) -> None:
        seen.append(partial.read_bytes())
        assert path.read_bytes() == b"old" and partial.parent == tmp_path
        raise _NoGood

    with pytest.raises(_NoGood):
        write_whole(path, CONTENT, check=check)
    with pytest.raises(_NoGood), WholeFile(path, check=check) as partial:
        partial.write_bytes(CONTENT)
    assert seen == [CONTENT] * 2
    assert path.read_bytes() == b"old" and names(tmp_path) == ["film.mp4"]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, _NoGood])
def test_an_exception_leaves_nothing(tmp_path: Path, ending: type[BaseException]) -> None:
    with pytest.raises(ending), WholeFile(tmp_path / "film.mp4") as partial:
        partial.write_bytes(CONTENT)
        raise ending
    assert names(tmp_path) == []


def in_place_failing(path: Path, number: int) -> None:
    with WholeFile(path):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_what_the_block_cannot_write_is_reported_with_the_path_that_was_asked_for(tmp_path: Path, number: int) -> None:
    with pytest.raises(WriteError, match=f"film.mp4 cannot be written: {os.strerror(number)}.*hoose another path"):
        in_place_failing(tmp_path / "film.mp4", number)
    assert names(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_must_be_new_never_replaces_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Also one that comes at the last moment, and also where there are no hard links."""
    path, link = tmp_path / "scene.toml", os.link

    def late(source: Path, target: Path) -> None:
        path.write_text("someone else's")
        if not links:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(FileExistsError):
        write_whole(path, CONTENT, replace=False)
    assert path.read_text() == "someone else's" and names(tmp_path) == ["scene.toml"]


# ---- two writers of one file ------------------------------------------------------------------------------------


def test_of_many_writers_at_once_one_wins_and_its_record_is_the_one_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In containers every writer may have the same host name and the same process number."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    path, record = tmp_path / "film.mp4", tmp_path / "film.mp4.json"
    contents = [bytes([number]) * 200_000 for number in range(6)]
    faults: list[BaseException] = []

    def render(content: bytes) -> None:
        try:
            for _ in range(5):
                writer = WholeFile(path, fsync=False, published=lambda digest: write_whole(record, digest.encode()))
                with writer as partial, partial.open("wb", buffering=0) as file:
                    for start in range(0, len(content), 50_000):
                        file.write(content[start : start + 50_000])
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=render, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with contextlib.suppress(FileNotFoundError):
            assert path.read_bytes() in contents
        inventory.delete(inventory.left_behind(tmp_path, tmp_path))  # as `render clean` in another container
    assert faults == []
    assert path.read_bytes() in contents
    assert record.read_text() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert names(tmp_path) == ["film.mp4", "film.mp4.json"]


def test_no_other_file_gets_the_name_before_the_record_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, record = tmp_path / "film.mp4", tmp_path / "film.mp4.json"
    waits, sleep = threading.Event(), time.sleep

    def slept(seconds: float) -> None:
        waits.set()
        sleep(seconds)

    def second() -> None:
        with WholeFile(path, published=lambda digest: write_whole(record, digest.encode())) as partial:
            partial.write_bytes(b"second")
        waits.set()

    other = threading.Thread(target=second)

    def published(digest: str) -> None:
        other.start()
        waits.wait()  # until the other one waits for its turn, or did not
        assert path.read_bytes() == b"first"
        write_whole(record, digest.encode())

    set_clock(monkeypatch, partials, sleep=slept)
    with WholeFile(path, published=published) as partial:
        partial.write_bytes(b"first")
    other.join()
    assert path.read_bytes() == b"second" and record.read_text() == hashlib.sha256(b"second").hexdigest()
    assert names(tmp_path) == ["film.mp4", "film.mp4.json"]


def test_a_film_and_its_poster_of_long_names_are_published_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names begin alike for longer than names of partial files are; the film's lock must not be the poster's."""

    def slept(_: float) -> None:
        raise AssertionError("one waits for the other, which waits for it")

    set_clock(monkeypatch, partials, sleep=slept)
    film, poster = tmp_path / f"{'n' * 180}.mp4", tmp_path / f"{'n' * 180}.poster.png"

    def published(_: str) -> None:
        with WholeFile(poster, published=lambda _: None) as partial:
            partial.write_bytes(b"poster")

    with WholeFile(film, published=published) as partial:
        partial.write_bytes(b"film")
    assert names(tmp_path) == [film.name, poster.name]


def test_a_lock_that_another_process_made_again_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lock = tmp_path / ".film.mp4.publishing", partials.lock

    def late(descriptor: int) -> bool | None:
        path.unlink()
        path.write_bytes(b"another's")
        return lock(descriptor)

    path.touch()
    monkeypatch.setattr(partials, "lock", late)
    assert atomic.remove_abandoned(path) == 0 and path.read_bytes() == b"another's"
    monkeypatch.setattr(partials, "lock", lock)
    assert atomic.remove_abandoned(path) == 9 and not path.exists()


def contained(command: list[str]) -> list[str] | None:
    """Return a command in a container of its own, where it has process number 1 and the host name "box"."""
    words = ["unshare", "--pid", "--uts", "--fork", "--mount-proc", "sh", "-c", 'hostname box && exec "$@"', "sh"]
    probe = "import os, socket; print(os.getpid(), socket.gethostname())"
    try:
        done = subprocess.run([*words, sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return [*words, *command] if done.returncode == 0 and done.stdout.split() == ["1", "box"] else None


def test_renders_in_two_containers_leave_a_film_that_opens_and_the_record_of_it(tmp_path: Path) -> None:
    """While a third container cleans up: none of them can see the others' processes."""
    cli = [sys.executable, "-m", "render.cli"]
    places = ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    # Of two scenes of one name, both of which may replace the other's film.
    scenes = [tmp_path / palette / "tiny.toml" for palette in ("viridis", "vik")]
    for file in scenes:
        file.parent.mkdir()
        file.write_text((ROOT / "scenes/tiny.toml").read_text().replace('"Spectral"', f'"{file.parent.name}"'))
    renders = [contained([*cli, "video", str(file), "--quality", "scene", *places, "--force"]) for file in scenes]
    cleaning = contained([*cli, "clean", *places])
    if renders[0] is None or renders[1] is None or cleaning is None:
        pytest.skip("this machine makes no containers (unshare)")
    running = [
        subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for words in renders
        if words
    ]
    cleaned = subprocess.run(cleaning, cwd=ROOT, capture_output=True, check=False)
    errors = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert cleaned.returncode == 0, cleaned.stderr
    folder = tmp_path / "out" / "tiny"
    film, record = folder / "tiny-scene.mp4", json.loads((folder / "tiny-scene.mp4.json").read_text())
    assert record["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    assert json.loads(film_comment(film))["scene"] == record["scene"]
    assert not [path for path in tmp_path.rglob(".*") if atomic.is_partial(path)]


def film_comment(path: Path) -> str:
    from render.encode import read_film_comment
    from render.encode.ffmpeg import count_frames

    assert count_frames(path) == 30
    return read_film_comment(path)


# ---- who lives --------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from render.files.atomic import WholeFile
with WholeFile(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"1234")
    print(partial, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def writer(path: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Another process that has begun to write a file, and its partial file."""
    words = contained([sys.executable, "-c", HOLD, str(path)]) or [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            named = process.stdout.readline().strip()
            assert Path(named).parent == path.parent, "the writer did not start"
            yield process, Path(named)
        finally:
            process.kill()


def test_a_partial_file_is_left_alone_while_its_writer_lives_however_old_it_is(tmp_path: Path) -> None:
    with writer(tmp_path / "film.mp4") as (process, partial):
        os.utime(partial, (0, 0))
        assert atomic.is_partial(partial) and not atomic.is_abandoned(partial)
        atomic.sweep(tmp_path)
        assert atomic.remove_abandoned(partial) == 0 and partial.exists()
        in_place(tmp_path / "film.mp4", CONTENT)  # another render of the same film
        assert partial.exists()
        process.communicate("")
        assert process.returncode == 0
    assert names(tmp_path) == ["film.mp4"]


@pytest.mark.parametrize("how", ["sweep", "clean", "the next render"])
def test_what_a_killed_writer_left_is_removed_at_once(tmp_path: Path, how: str) -> None:
    path = tmp_path / "film.mp4"
    with writer(path) as (process, partial):
        # Killed with all that it started, and nothing else: in a container, what holds the lock is a child of a child.
        all_started = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for started in all_started:
            started.kill()
        psutil.wait_procs(all_started)  # the system releases a lock when the last of them has gone
        process.wait()
        assert partial.exists()
    if how == "sweep":
        atomic.sweep(tmp_path)
    elif how == "clean":
        left = inventory.left_behind(tmp_path, tmp_path / "store")
        assert left == [partial] and inventory.delete(left) == 4
    else:
        write_whole(path, b"")
        assert partial.exists()  # thousands of tiles: only films and pictures look for what is beside them
        in_place(path, b"")
    assert not partial.exists()


def test_a_writer_whose_partial_file_is_swept_before_it_is_locked_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, seen = partials.lock, list[int]()

    def late(descriptor: int) -> bool | None:
        """The first time, a sweep comes between making the file and locking it."""
        if not seen:
            seen.append(descriptor)
            monkeypatch.setattr(partials, "lock", lock)
            atomic.sweep(tmp_path)
        return lock(descriptor)

    monkeypatch.setattr(partials, "lock", late)
    write_whole(tmp_path / "film.mp4", CONTENT)
    assert seen and (tmp_path / "film.mp4").read_bytes() == CONTENT and names(tmp_path) == ["film.mp4"]


def test_without_locks_a_partial_file_is_touched_and_one_of_yesterday_has_no_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partials, "lock", lambda descriptor: None)
    monkeypatch.setattr(partials, "_TOUCHED_S", 0.001)
    old_s = time.time() - 25 * 3600
    with WholeFile(tmp_path / "film.mp4") as partial:
        os.utime(partial, (old_s, old_s))
        while partial.stat().st_mtime < old_s + 1:
            time.sleep(0.001)
        assert not atomic.is_abandoned(partial)
        partial.write_bytes(CONTENT)
    left = tmp_path / ".film.mp4.0123456789abcdef.partial"
    left.touch()
    atomic.sweep(tmp_path)
    assert left.exists()
    os.utime(left, (old_s, old_s))
    atomic.sweep(tmp_path)
    assert names(tmp_path) == ["film.mp4"]


@pytest.mark.parametrize(
    ("kind", "options", "reach"),
    [
        ("ext4", "rw", True),
        ("tmpfs", "rw", True),
        ("nfs4", "rw,vers=4.2,local_lock=none", True),
        ("nfs", "rw,vers=3,nolock,local_lock=all", False),
        ("nfs", "rw,vers=3,local_lock=flock", False),
        ("lustre", "rw,flock", True),
        ("lustre", "rw,localflock", False),
        ("fuse.sshfs", "rw", False),
        ("9p", "rw", False),
        ("virtiofs", "rw", False),
        ("cifs", "rw", False),  # there, a lock keeps ffmpeg from writing
    ],
)
def test_locks_count_where_every_machine_sees_them(
    monkeypatch: pytest.MonkeyPatch, kind: str, options: str, reach: bool
) -> None:
    mounts = (
        f"22 1 0:5 / /proc rw - proc proc rw\n23 1 7:99 / /a\\040b rw,relatime shared:1 - {kind} server:/x {options}\n"
    )
    monkeypatch.setattr(partials, "open", lambda *_, **__: io.StringIO(mounts), raising=False)
    partials._locks_reach.cache_clear()
    try:
        assert partials._locks_reach(os.makedev(7, 99)) is reach
        assert partials._locks_reach(os.makedev(7, 98)) is True
    finally:
        partials._locks_reach.cache_clear()


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (".film.mp4.0123456789abcdef.partial", True),
        (".film.mp4.publishing", True),
        ("film.mp4.host-1.17.partial", True),  # of older versions
        (".2.npz.host.17.0a1b2c3d.tmp", True),
        (".auto.json.17.tmp", True),
        ("values.csv.17.partial", True),
        ("thesis.partial", False),
        ("film.mp4.0123456789abcdef.partial", False),
        (".film.mp4.0123456789abcdeg.partial", False),
        ("film.mp4", False),
        (".tmp", False),
        (".vimrc.tmp", False),
        ("notes.publishing", False),
    ],
)
def test_names_of_partial_files(name: str, ours: bool) -> None:
    assert atomic.is_partial(Path("folder", name)) is ours


def test_every_partial_file_has_a_name_that_is_known_and_that_no_other_has(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        partials = [stack.enter_context(WholeFile(tmp_path / name)) for name in ("film.mp4", "n" * 255, "é" * 127) * 20]
        assert len(set(partials)) == len(partials)
        assert all(atomic.is_partial(partial) for partial in partials)


# ---- what is no plain file --------------------------------------------------------------------------------------


def reading(fifo: Path, contents: list[bytes]) -> threading.Thread:
    thread = threading.Thread(target=lambda: contents.append(fifo.read_bytes()))
    thread.start()
    return thread


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_is_written_through(tmp_path: Path, write: Write, linked: bool) -> None:
    fifo = path = tmp_path / "fifo"
    os.mkfifo(fifo)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(fifo)
    check_target(path)  # neither waits for a reader, nor ends its reading
    before, contents = names(tmp_path), list[bytes]()
    thread = reading(fifo, contents)
    write(path, CONTENT)
    thread.join()
    assert contents == [CONTENT]
    assert stat.S_ISFIFO(fifo.lstat().st_mode) and names(tmp_path) == before


@pytest.mark.parametrize("write", WRITERS)
def test_devices_are_written_through(tmp_path: Path, write: Write) -> None:
    write(Path("/dev/null"), CONTENT)
    link = tmp_path / "link"
    link.symlink_to("/dev/full")
    for path in (Path("/dev/full"), link):
        check_target(path)
        with pytest.raises(WriteError, match="No space left on device"):
            write(path, CONTENT)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert link.is_symlink()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_the_file_that_it_leads_to_is_written(tmp_path: Path, write: Write, exists: bool) -> None:
    target = tmp_path / "elsewhere" / "target"
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    (tmp_path / "second").symlink_to("elsewhere/target")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    check_target(tmp_path / "first")
    write(tmp_path / "first", CONTENT)
    assert target.read_bytes() == CONTENT and not target.is_symlink()
    assert (tmp_path / "first").is_symlink() and (tmp_path / "second").is_symlink()
    assert names(target.parent) == ["target"] and names(tmp_path) == ["elsewhere", "first", "second"]


def make_hard_link(path: Path) -> str:
    path.with_name("other name").write_bytes(b"old")
    os.link(path.with_name("other name"), path)
    return r"the file there has 2 names \(hard links\)"


def make_folder(path: Path) -> str:
    path.mkdir()
    return "Is a directory"


def make_socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    return "it is a socket"


def make_block_device(path: Path) -> str:
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(240, 77))
    except OSError:
        pytest.skip("only the administrator makes devices")
    return "it is a block device"


def make_loop(path: Path) -> str:
    path.symlink_to(path.absolute())
    return "Too many levels of symbolic links"


def make_link_to_nowhere(path: Path) -> str:
    path.symlink_to(path.parent.absolute() / "unmounted" / "file")
    return "it is a link to .*unmounted/file, whose folder does not exist"


def make_link_to_a_folder(path: Path) -> str:
    path.symlink_to(path.parent.absolute())
    return "Is a directory"


def make_file_in_the_way(path: Path) -> str:
    path.parent.rmdir()
    path.parent.write_bytes(b"old")
    return "Not a directory|is not a folder"


REFUSED = [
    make_hard_link,
    make_folder,
    make_socket,
    make_block_device,
    make_loop,
    make_link_to_nowhere,
    make_link_to_a_folder,
    make_file_in_the_way,
]


def state(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return what would change if anything in a folder were replaced."""
    paths = [folder, *folder.rglob("*")]
    return sorted((str(path), path.lstat().st_mode, path.lstat().st_ino, path.lstat().st_nlink) for path in paths)


@pytest.mark.parametrize("write", [*WRITERS, lambda path, content: check_target(path)])
@pytest.mark.parametrize("make", REFUSED)
def test_everything_else_is_refused_in_words_and_stays(
    tmp_path: Path, make: Callable[[Path], str], write: Write
) -> None:
    path = Path(os.path.relpath(tmp_path)) / "in" / "there"  # a socket's path is short
    path.parent.mkdir()
    says = make(path)
    before = state(tmp_path)
    with pytest.raises(WriteError, match=rf"there cannot be written: .*({says}).*[Cc]hoose another path"):
        write(path, CONTENT)
    assert state(tmp_path) == before


def test_what_is_the_programs_own_is_replaced_even_with_two_names(tmp_path: Path) -> None:
    """A store that was copied by hard links (cp -al) goes on, and the copy stays as it was."""
    make_hard_link(tmp_path / "tile")
    atomic.store_whole(tmp_path / "tile", CONTENT)
    assert (tmp_path / "tile").read_bytes() == CONTENT and (tmp_path / "other name").read_bytes() == b"old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="Is a directory.*use another --store, and run the same command again"):
        atomic.store_whole(tmp_path / "folder", CONTENT)


STDOUT = """
import sys
from pathlib import Path
from render.files.atomic import WholeFile, write_whole
print("before")
for path in sys.argv[1:]:
    write_whole(Path(path), b"bytes\\n")
    with WholeFile(Path(path)) as partial:
        partial.write_bytes(b"whole\\n")
print("after")
"""


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("to", ["pipe", "file", "end of a file"])
def test_standard_output_is_written_where_it_stands(tmp_path: Path, path: str, to: str) -> None:
    """Opened by its name, a file that a shell redirects to would be written over from its start."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    script = tmp_path / "script.py"
    script.write_text(STDOUT)
    words = f"PYTHONPATH={ROOT} {sys.executable} {script} {path}"
    output = tmp_path / "said"
    output.write_text("first\n")
    command = {
        "pipe": f"{words} | cat",
        "file": f"{words} > said; cat said",
        "end of a file": f"{words} >> said; cat said",
    }
    done = subprocess.run(["sh", "-c", command[to]], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = ["first"] * (to == "end of a file") + ["before", "bytes", "whole", "after"]
    assert done.stdout.split() == lines, done.stderr
    assert (tmp_path / "link").is_symlink() and names(tmp_path) == ["link", "said", "script.py"]


# ---- every command that writes ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command has run once."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "points.csv").write_text("x,y\n0.1,0.1\n0.5,0.5\n")
    return folder


PLACES = ["--out", "out", "--store", "store"]
COMMANDS = {
    "video": ["video", "tiny", "--quality", "scene", *PLACES],
    "recolour": ["recolour", "tiny", "--quality", "scene", "--palette", "vik", *PLACES],
    "encode": ["encode", "tiny", "0..5", "--quality", "scene", "--codec", "gif", *PLACES],
    "encode to pictures": ["encode", "tiny", "0..5", "--quality", "scene", "--codec", "png", *PLACES],
    "frame": ["frame", "tiny", "3", "--quality", "scene", *PLACES],
    "sheet": ["sheet", "tiny", "--count", "3", "--quality", "scene", *PLACES],
    "probe": ["probe", "tiny", "--points", "points.csv", "--out", "out/values.csv", "--store", "store"],
    "analyse": ["analyse", "tuning", "tiny", "--draws", "64", *PLACES],
}


def command_line(words: list[str]) -> None:
    app(words, exit_on_error=False, print_error=False)


@pytest.fixture(scope="module", params=COMMANDS)
def command(request: pytest.FixtureRequest, kept: Path) -> tuple[list[str], Path, dict[str, bytes]]:
    """A command's words, its folder, and what it writes there."""
    with contextlib.chdir(kept):
        shutil.rmtree("out", ignore_errors=True)
        if request.param in ("recolour", "encode", "encode to pictures"):
            command_line(COMMANDS["video"])
            shutil.rmtree("out")
        command_line(COMMANDS[request.param])
        outputs = {str(path): path.read_bytes() for path in sorted(Path("out").rglob("*")) if path.is_file()}
    assert outputs
    return COMMANDS[request.param], kept, outputs


def made_again(outputs: dict[str, bytes]) -> None:
    shutil.rmtree("out", ignore_errors=True)
    shutil.rmtree("targets", ignore_errors=True)
    Path("targets").mkdir()
    for name in outputs:
        Path(name).parent.mkdir(parents=True, exist_ok=True)


def same(some: dict[str, bytes], other: dict[str, bytes]) -> bool:
    """Compare outputs by name; of a table of what frames took, its first line."""
    comparable = [
        {name: content.splitlines()[0] if name.endswith(".frames.csv") else content for name, content in one.items()}
        for one in (some, other)
    ]
    return comparable[0] == comparable[1]


def test_every_output_of_every_command_goes_through_links(command: tuple[list[str], Path, dict[str, bytes]]) -> None:
    words, folder, outputs = command
    with contextlib.chdir(folder):
        made_again(outputs)
        for number, name in enumerate(outputs):
            Path(name).symlink_to(Path("targets").absolute() / str(number))
        command_line(words)
        assert all(Path(name).is_symlink() for name in outputs)
        assert same({name: Path("targets", str(number)).read_bytes() for number, name in enumerate(outputs)}, outputs)
        assert sorted(str(path) for path in Path("out").rglob("*") if path.is_symlink()) == sorted(outputs)


@pytest.mark.parametrize("make", [make_hard_link, make_folder, make_socket, make_loop])
def test_no_command_replaces_what_is_no_plain_file_nor_works_in_vain(
    command: tuple[list[str], Path, dict[str, bytes]], make: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its outputs in turn is in the way: it is refused before anything is trained or drawn.

    A file of two names has content that no command made: it may be a person's own.
    """
    words, folder, outputs = command

    def never(*_: object, **__: object) -> Iterator[None]:
        raise AssertionError("it began to work")
        yield  # what makes frames is a generator

    for where in ("render.film.rendering.frames", "render.backends.single_points.train", "render.analyse.tuning.run"):
        monkeypatch.setattr(where, never)
    with contextlib.chdir(folder):
        for name in outputs:
            made_again(outputs)
            says = make(Path(name))
            before = state(Path("out"))
            with pytest.raises(RenderError, match=f"{says}|must be plain files|a file of your own"):
                command_line(words)
            assert [one for one in state(Path("out")) if one in before] == before, name


def test_every_output_of_every_command_goes_into_fifos(command: tuple[list[str], Path, dict[str, bytes]]) -> None:
    """But for what is read again: a poster, of which the thumbnail is made, and the pictures that are a film.

    A table that is no file has no record beside it.
    """
    words, folder, outputs = command
    piped = {name: content for name, content in outputs.items() if "poster" not in name and ".csv.json" not in name}
    if "png" in words:
        piped = {name: content for name, content in piped.items() if not name.endswith(".png")}
    with contextlib.chdir(folder):
        made_again(outputs)
        contents: dict[str, list[bytes]] = {name: [] for name in piped}
        for name in piped:
            os.mkfifo(name)
        threads = [reading(Path(name), contents[name]) for name in piped]
        command_line(words)
        for name in piped:  # what was not written to is read as empty, and not waited for
            with contextlib.suppress(OSError):
                os.close(os.open(name, os.O_WRONLY | os.O_NONBLOCK))
        for thread in threads:
            thread.join()
        assert not Path("out/values.csv.json").exists()
        assert same({name: b"".join(parts) for name, parts in contents.items()}, piped)
        assert all(stat.S_ISFIFO(Path(name).lstat().st_mode) for name in piped)


def test_the_pictures_of_a_film_and_its_poster_are_plain_files(kept: Path) -> None:
    with contextlib.chdir(kept):
        command_line(COMMANDS["video"])
        for words, name in (
            ([*COMMANDS["encode to pictures"]], "out/tiny/tiny-scene-00000-00005-png/00003.png"),
            ([*COMMANDS["video"]], "out/tiny/tiny-scene.poster.png"),
        ):
            made_again({name: b""})
            os.mkfifo(name)
            with pytest.raises(RenderError, match=f"{Path(name).name} cannot be written: .* must be (a )?plain file"):
                command_line(words)
            assert stat.S_ISFIFO(Path(name).lstat().st_mode)


def test_a_table_of_probes_to_standard_output_is_nothing_but_the_table(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y\n0.1,0.1\n")
    words = [sys.executable, "-m", "render.cli", "probe", str(ROOT / "scenes/tiny.toml"), "--points", "points.csv"]
    done = subprocess.run([*words, "--out", "/dev/stdout"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("x,y,value,status") and len(lines) == 2 and lines[1].startswith("0.1,0.1,")


@pytest.mark.parametrize("make", [make_hard_link, make_folder, make_socket, make_loop, make_link_to_nowhere])
def test_the_explorer_saves_into_plain_files_alone(tmp_path: Path, make: Callable[[Path], str]) -> None:
    tiny = scene.load("tiny")
    folder = Path(os.path.relpath(tmp_path))
    make(folder / "mine.toml")
    before = state(tmp_path)
    seen = film_preview.digest("old")
    with pytest.raises(RenderError):
        film_preview.save(tiny, keyframes.own_edit(tiny), "mine", folder, replacing=seen)
    assert state(tmp_path) == before


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.EMLINK])
def test_the_explorer_saves_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    tiny = scene.load("tiny")
    saved = film_preview.save(tiny, keyframes.own_edit(tiny), "mine", tmp_path, replacing=None)
    assert saved.path.read_text() == saved.text and names(tmp_path) == ["mine.toml"]
    with pytest.raises(film_preview.Clash):
        film_preview.save(tiny, keyframes.own_edit(tiny), "mine", tmp_path, replacing=None)
