"""The number of cores that this process may use: the user's choice, or the limit of the system and its containers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from render.errors import RenderError
from render.machine import environment

_VARIABLE = "RENDER_CPU_DEVICES"


def count() -> int:
    """Return the number of cores to use, at least 1. Raises RenderError if RENDER_CPU_DEVICES is not such a number."""
    chosen = environment.whole_number(_VARIABLE)
    return chosen if chosen is not None else allowed()


def allowed() -> int:
    """Return the number of cores that the system lets this process use: by its affinity and by quotas.

    A quota of two and a half cores counts as three: the threads then wait for a sixth of their time, but use the
    whole quota.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(math.ceil(quota) for quota in quotas())]))


def limit(cores: int | None, option: str = "--cores") -> None:
    """Limit this process, and those that it starts, to a number of cores; None sets no limit. Raises RenderError."""
    if cores is None:
        return
    if not 1 <= cores <= 1024:
        raise RenderError(f"{option} must be {environment.OUR_VARIABLES[_VARIABLE]}, not {cores}.")
    os.environ[_VARIABLE] = str(cores)


def quotas(root: Path = Path("/")) -> Iterator[float]:
    """Yield every quota of processor time that applies to this process, in cores: those of its control groups (cgroup
    v2 and v1), and of all groups that contain these.

    root: the folder that contains /proc and /sys. A file that cannot be read sets no limit.
    """
    if not (root / "proc/self/cgroup").exists():
        return
    groups = dict(_own_groups(root))
    for mounted, at, kind in _mounts(root):
        if kind not in groups:
            continue
        # A container may see only its own part of the tree, but reads the name that its group has outside.
        inside = Path(groups[kind].removeprefix(mounted.rstrip("/")).lstrip("/"))
        folder = root / at.lstrip("/")
        for group in [folder / inside, *(folder / parent for parent in inside.parents)] if inside.parts else [folder]:
            quota = _of_group(group, kind)
            if quota is not None:
                yield quota


def _own_groups(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (cgroup, path) of this process for v1's processor groups, and (cgroup2, path)."""
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            yield "cgroup2", path
        elif "cpu" in controllers.split(","):
            yield "cgroup", path


def _mounts(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (root inside the file system, mount point, kind) of each mounted hierarchy of control groups."""
    for line in _lines(root / "proc/self/mountinfo"):
        fields, _, rest = line.partition(" - ")
        mount, system = fields.split(), rest.split()
        if len(mount) < 5 or len(system) < 3:
            continue
        if system[0] == "cgroup2" or (system[0] == "cgroup" and "cpu" in system[2].split(",")):
            yield mount[3], mount[4], system[0]


def _of_group(folder: Path, kind: str) -> float | None:
    """Return a group's own quota, in cores; None if it has none."""
    if kind == "cgroup2":
        words = " ".join(_lines(folder / "cpu.max")).split()
    else:
        words = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
    try:
        quota_us, period_us = (float(word) for word in words)
    except ValueError:  # "max", or nothing to read
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError:
        return []
