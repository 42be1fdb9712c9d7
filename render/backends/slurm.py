"""Jobs of a SLURM cluster, through dask-jobqueue: what a job asks for, its script, and its submission."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

import dask
from dask.utils import parse_bytes
from dask_jobqueue.slurm import SLURMCluster, SLURMJob

from render.backends import Cluster
from render.errors import ClusterError

# A worker leaves this long before its job's time is up, so that no batch is cut off; the queue is asked for another.
_LEAVE_S = 120

# A job inherits the variables of the shell that submits it, and those of a cluster's modules would put other packages
# before this environment's. They are unset last, behind what jobqueue.yaml loads.
_OWN_PACKAGES = ("unset PYTHONPATH PYTHONHOME", "export PYTHONNOUSERSITE=1")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number of at least 1")
    return int(text)


def _memory(text: str) -> str:
    try:
        parse_bytes(text)
    except ValueError:
        raise ValueError("a size such as 64GB") from None
    return text


def _walltime(text: str) -> str:
    # sbatch takes a time of 0 as no limit, but the lifetime of a job's workers follows from its time.
    if not re.fullmatch(r"([0-9]+-)?[0-9]{1,2}(:[0-5][0-9]){2}", text) or not re.search("[1-9]", text):
        raise ValueError("a time such as 04:00:00 or 1-00:00:00")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[^\s\"'`;$&|<>]+", text):
        raise ValueError("one word without quotes or signs of the shell")
    return text


# What `--job NAME=VALUE` may set. The rest, and other defaults, come from dask's own jobqueue.yaml.
OPTIONS: dict[str, Callable[[str], Any]] = {
    "cores": _number,
    "gpus": _number,
    "memory": _memory,
    "walltime": _walltime,
    "queue": _word,
    "account": _word,
    "interface": _word,
    "constraint": _word,
    "logs": _word,
}
_DEFAULTS = {"cores": "8", "memory": "16GB", "walltime": "04:00:00"}


def script(cluster: Cluster) -> str:
    """Return the script of one job whose workers join the cluster's scheduler."""
    return str(
        SLURMJob(scheduler=shlex.quote(cluster.scheduler or "tcp://SCHEDULER:8786"), **arguments(cluster)).job_script()
    )


def submit(cluster: Cluster) -> SLURMCluster:
    """Start a scheduler here, and ask the queue for jobs, again whenever one ends."""
    if shutil.which("sbatch") is None:
        raise ClusterError("--slurm submits jobs with `sbatch`, which is not on the PATH: run it on a login node.")
    given = arguments(cluster)
    given.pop("name")
    started = SLURMCluster(scheduler_options={"dashboard_address": None}, **given)
    started.adapt(minimum_jobs=cluster.slurm_jobs, maximum_jobs=cluster.slurm_jobs)
    return started


def arguments(cluster: Cluster) -> dict[str, Any]:
    """Return a job's description in dask-jobqueue's words. Raises ClusterError, with the nearest name."""
    job = _checked(_DEFAULTS | dict(cluster.job))
    gpus, cores = job.get("gpus", 0), job["cores"]
    directives = [f"--gpus={gpus}"] if gpus else []
    directives += [f"--constraint={job['constraint']}"] if "constraint" in job else []
    lifetime_s = max(60, _seconds(job["walltime"]) - _LEAVE_S)
    worker = ["--lifetime", f"{lifetime_s}s", "--lifetime-stagger", "30s"]
    # One process for each core, which it binds to; on GPUs one process for all, with a thread for each.
    worker += ["--resources", f"GPU={gpus}"] if gpus else []
    named = {key: job.get(key) for key in ("queue", "account", "walltime", "memory", "interface")}
    return named | {
        "name": "render",
        "job_name": "render",
        "cores": gpus or cores,
        "processes": 1 if gpus else cores,
        "job_cpu": cores,
        "job_extra_directives": directives,
        "worker_extra_args": worker,
        "log_directory": job.get("logs"),
        "nanny": True,
        "python": shlex.quote(sys.executable),  # the script is read by a shell
        "job_script_prologue": _prologue(),
    }


def _prologue() -> list[str]:
    lines = list(dask.config.get("jobqueue.slurm.job-script-prologue", None) or [])
    # Outside a virtual environment, PYTHONPATH may be how render itself is found.
    return [*lines, *_OWN_PACKAGES] if sys.prefix != sys.base_prefix else lines


def _checked(job: Mapping[str, str]) -> dict[str, Any]:
    checked = {}
    for name, text in job.items():
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ClusterError(f"--job must set one of {', '.join(OPTIONS)}, not {name!r}{hint}")
        try:
            checked[name] = OPTIONS[name](text)
        except ValueError as error:
            raise ClusterError(f"--job {name} must be {error}, not {text!r}.") from None
    return checked


def _seconds(walltime: str) -> int:
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
