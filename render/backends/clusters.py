"""The sources of workers for backend dask: processes of this machine, a running scheduler, or jobs of a queue."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Client, LocalCluster

from render.backends import Cluster, slurm
from render.backends.worker import accelerators
from render.errors import ClusterError
from render.machine import cores

# The backend reports what a user should know about workers; the rest of dask's log is for dask's developers.
dask.config.set({"distributed.admin.log-format": "%(message)s"})

# How long a scheduler that answers at all may take to do so.
_ANSWER_S = 5.0


def start(cluster: Cluster) -> Any:
    """Start what is to be started here, and return it: a LocalCluster, a SLURMCluster, or None for a running one."""
    if cluster.scheduler:
        if cluster.slurm_jobs or cluster.workers:
            raise ClusterError("--scheduler joins a running cluster: it takes neither --workers nor --slurm.")
        return None
    if cluster.slurm_jobs:
        return slurm.submit(cluster)
    return _local(cluster.workers)


def connect(cluster: Cluster, started: Any, away_s: float) -> Client:
    """Return a client of a cluster. Raises ClusterError if no scheduler answers."""
    if cluster.scheduler is None:
        return Client(started, timeout=away_s)
    address = cluster.scheduler if "://" in cluster.scheduler else f"tcp://{cluster.scheduler}"
    try:
        parts = urlsplit(address)
        if not parts.hostname or not parts.port:
            raise ValueError("it names no host and port")
        socket.create_connection((parts.hostname, parts.port), timeout=_ANSWER_S).close()
        return Client(address, timeout=away_s)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"--scheduler must be the address of a running scheduler, such as tcp://login:8786, but {address} does not "
            f"answer as one: {error}. Start one with `dask scheduler`."
        ) from error


def _local(workers: int | None) -> LocalCluster:
    """Start one process a core, each with one thread; or one process for all GPUs, with a thread for each."""
    gpus = accelerators()
    if workers is not None and workers < 1:
        raise ClusterError(f"--workers must be at least 1, not {workers}.")
    count = 1 if gpus else workers or cores.count()
    # A command that a signal stops leaves at once, and the system frees its semaphores. The process that Python starts
    # to watch them would warn of each.
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), quiet]))
    try:
        return LocalCluster(
            n_workers=count,
            threads_per_worker=gpus or 1,
            processes=True,
            resources={"GPU": gpus} if gpus else {},
            dashboard_address="127.0.0.1:0",  # a free port: None would want 8787, and warn where that is taken
            silence_logs=logging.CRITICAL,
            preload="render.backends.signal_free",
        )
    except (OSError, RuntimeError) as error:  # time-outs too
        raise ClusterError(
            f"{count} worker processes must start on this machine, but they did not: {error}. Try again when it is "
            "less busy, with fewer --workers, or without --backend dask."
        ) from error
