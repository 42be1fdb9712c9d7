"""The number of cores: that of the user, else that of the affinity and of every quota of processor time."""

import os
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import cyclopts
import pytest

from render import cli
from render.cli import options
from render.errors import RenderError
from render.machine import cores

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"


def system(root: Path, groups: str, mounts: str) -> None:
    """Write what a /proc says of this process's groups."""
    write(root, "proc/self/cgroup", groups)
    write(root, "proc/self/mountinfo", "22 1 0:2 / / rw - ext4 /dev/sda rw\n" + mounts)


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "quotas"),
    [
        ("0::/\n", V2, {}, []),
        ("0::/\n", V2, {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, [1.5]),
        ("0::/\n", V2, {"sys/fs/cgroup/cpu.max": "max 100000\n"}, []),
        ("0::/a/b\n", V2, {"sys/fs/cgroup/a/cpu.max": "50000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 1\n"}, [0.5]),
        ("0::/a/b\n", V2, {"sys/fs/cgroup/a/cpu.max": "8 2\n", "sys/fs/cgroup/a/b/cpu.max": "6 2\n"}, [3.0, 4.0]),
        # A container sees its own group as the root of what is mounted, under the name that it has outside.
        ("0::/docker/x\n", V2, {"sys/fs/cgroup/cpu.max": "20000 10000\n"}, [2.0]),
        ("0::/../other\n", V2, {"sys/fs/cgroup/cpu.max": "20000 10000\n"}, [2.0]),
        (
            "4:memory:/m\n2:cpu,cpuacct:/jobs/7\n0::/\n",
            V1,
            {
                "sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            [2.5],
        ),
        (
            "2:cpu,cpuacct:/docker/x\n",
            V1.replace("0:30 / ", "0:30 /docker/x "),
            {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            [1.0],
        ),
        ("", "", {}, []),
        ("nonsense\n\n::\n", "nonsense\n - \n" + V2, {"sys/fs/cgroup/cpu.max": "0 0\n"}, []),
        ("0::/\n", V2, {"sys/fs/cgroup/cpu.max": ""}, []),
    ],
)
def test_quotas_of_all_groups_are_found(
    tmp_path: Path, groups: str, mounts: str, files: dict[str, str], quotas: list[float]
) -> None:
    system(tmp_path, groups, mounts)
    for path, text in files.items():
        write(tmp_path, path, text)
    assert list(cores.quotas(tmp_path)) == quotas


def test_without_a_proc_nothing_is_limited(tmp_path: Path) -> None:
    assert list(cores.quotas(tmp_path)) == []


@pytest.mark.parametrize(
    ("quotas", "count"), [([], 8), ([0.2], 1), ([1.0], 1), ([2.5], 3), ([9.0, 4.0], 4), ([64.0], 8)]
)
def test_the_least_of_affinity_and_quotas_counts(
    monkeypatch: pytest.MonkeyPatch, quotas: list[float], count: int
) -> None:
    monkeypatch.delenv("RENDER_CPU_DEVICES", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda of: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "quotas", lambda: iter(quotas))
    assert cores.count() == count
    monkeypatch.setenv("RENDER_CPU_DEVICES", "5")
    assert cores.count() == 5


def test_the_option_holds_for_the_whole_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENDER_CPU_DEVICES", "2")
    options.Machines()
    assert cores.count() == 2
    options.Machines(cores=3)
    assert cores.count() == 3


@pytest.mark.parametrize("cores_given", [0, -1, 1025])
def test_a_wrong_number_of_cores_is_refused(monkeypatch: pytest.MonkeyPatch, cores_given: int) -> None:
    with pytest.raises(RenderError, match=rf"^--cores must be a whole number from 1 to 1024, not {cores_given}\."):
        options.Machines(cores=cores_given)


def test_a_real_quota_counts() -> None:
    """In a group of its own with half a core, where this machine lets a test make one."""
    mounted = next((at for _, at, kind in cores._mounts(Path("/")) if kind == "cgroup"), None)
    group = Path(mounted or "/nowhere") / f"render-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("50000")
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    code = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
    code += "from render.machine import cores; print(min(cores.quotas()), cores.count())"
    environ = {name: value for name, value in os.environ.items() if name != "RENDER_CPU_DEVICES"}
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False)
        assert done.stdout.split() == ["0.5", "1"], done.stderr
    finally:
        group.rmdir()


# Commands whose work no number of cores changes: they read, list, or print.
OF_NO_CORES = {"show", "systems", "clean", "store ls", "store verify", "store merge", "store prune", "new"}


def commands(app: cyclopts.App, before: str = "") -> Iterator[tuple[str, Callable[..., object]]]:
    """Every command of a program, by its words."""
    for name in app:
        if name.startswith("-"):
            continue
        subcommand = app[name]
        if subcommand.default_command is None:
            yield from commands(subcommand, f"{before}{name} ")
        else:
            yield before + name, subcommand.default_command


def test_every_command_that_computes_takes_a_number_of_cores() -> None:
    without = set()
    for name, function in commands(cli.app):
        kinds = [hint for hint in typing.get_type_hints(function).values() if isinstance(hint, type)]
        if not any(issubclass(kind, options.ThisMachine) for kind in kinds):
            without.add(name)
    assert without == OF_NO_CORES


@pytest.mark.parametrize(
    "words",
    [
        ["recolour", "tiny"],
        ["encode", "tiny", "--codec", "gif"],
        ["descend", "tiny"],
        ["explore"],
        ["doctor"],
        ["analyse", "precision", "tiny"],
        ["check", "tiny"],
    ],
)
def test_a_number_of_cores_that_is_none_is_refused_by_every_command(words: list[str]) -> None:
    for number in ("0", "-1", "99999"):
        with pytest.raises(RenderError, match=r"--cores must be a whole number from 1 to 1024"):
            cli.app([*words, f"--cores={number}"], exit_on_error=False, print_error=False)
