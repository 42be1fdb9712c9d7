"""Code that runs in a cluster's worker processes. JAX is imported only after the process is bound to its core."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import platform
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import distributed

import render
from render.backends import PROOF_STEPS, handed_code
from render.problem import Problem
from render.samples import Field, Points
from render.storage import first_steps
from render.storage.references import Reference
from render.storage.rings import Ring


class Facts(NamedTuple):
    """Properties of a worker. capacity: points per kernel call. slots: batches trained at the same time.

    proof: what its samples depend on besides the numerics: versions of libraries, and the bits of a few first steps.
    """

    numerics: dict[str, str | int]
    proof: dict[str, str]
    capacity: int
    slots: int
    gpu: bool  # it declared the resource GPU, so that a task has to ask for one
    step_time_s: float  # of a block of runs


class OtherNumerics(Exception):
    """A batch came to a worker whose samples would differ in their last bits. Holds the worker's address."""


def accelerators() -> int:
    """Return the number of NVIDIA devices of this machine, without initialising any."""
    return len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()])


async def facts(problem: Problem, handed: handed_code.Handed | None, dask_worker: Any) -> Facts:
    """Return this worker's properties for a problem. The worker is prepared in a thread, so its heartbeat goes on.

    handed: the code that the problem's training runs, if that is a user's.
    """
    handed_code.take(handed)
    threads, gpus = _resources(dask_worker)
    engine = await asyncio.to_thread(_engine, problem, threads)
    device = _devices(threads)[0]
    proof = await asyncio.to_thread(_proof, problem, threads)
    step_time_s = await asyncio.to_thread(engine.step_time_s, device)
    return Facts(engine.numerics(device), proof, engine.capacity(device), gpus or threads, gpus > 0, step_time_s)


class Trained(NamedTuple):
    """The result of a task: a field [points], the seconds that it took, the worker's address, and rings it made."""

    field: Field
    time_s: float
    address: str
    rings: dict[int, Ring]


def train(
    problem: Problem,
    same: dict[str, str | int],
    points: Points,
    reference: Reference | None = None,
    rings: Mapping[int, Ring] | None = None,
) -> Trained:
    """Train at any number of points.

    same: numerics and proof that the samples must have. rings: of the reference, as far as they are known. Raises
    OtherNumerics where this worker's numerics differ.
    """
    worker = distributed.get_worker()
    if handed_code.lacks(problem):  # it has just come, in place of one that died
        raise OtherNumerics(worker.address)
    threads, _ = _resources(worker)
    engine, device = _engine(problem, threads), _device(threads)
    if engine.numerics(device) | _proof(problem, threads) != same:
        raise OtherNumerics(worker.address)
    started = time.perf_counter()
    rings = dict(rings or {})
    if reference is not None:
        engine = _deep_engine(problem, reference)
        engine.learn(rings, device)
    capacity = engine.capacity(device)
    parts = [engine.train(points.at(slice(i, i + capacity)), device) for i in range(0, len(points), capacity)]
    new_rings = {} if reference is None else {n: ring for n, ring in engine.known().items() if n not in rings}
    return Trained(Field.join(parts), time.perf_counter() - started, worker.address, new_rings)


def _resources(worker: Any) -> tuple[int, int]:
    """Return the number of threads that a worker trains with, and of the GPUs that it declared."""
    return worker.state.nthreads, int(worker.state.total_resources.get("GPU", 0))


_preparing = threading.Lock()
_number = itertools.count()
_thread = threading.local()


@functools.lru_cache(maxsize=8)
def _engine(problem: Problem, threads: int) -> Any:
    with _preparing:
        _devices(threads)
        from render.train import engine

        return engine.Engine(problem)


# Engines that follow a reference run, by the problem and the run; a film has a few targets at most.
_following: dict[tuple[Problem, str], Any] = {}
_MOST_FOLLOWING = 8


def _deep_engine(problem: Problem, reference: Reference) -> Any:
    from render.train.past_float64 import difference_engine

    with _preparing:
        name = problem, reference.key
        if name not in _following:
            while len(_following) >= _MOST_FOLLOWING:
                del _following[next(iter(_following))]
            _following[name] = difference_engine.DeepEngine(problem, reference)
        return _following[name]


@functools.lru_cache(maxsize=8)
def _proof(problem: Problem, threads: int) -> dict[str, str]:
    engine = _engine(problem, threads)
    digest = engine.first_steps(_devices(threads)[0], PROOF_STEPS)
    return (
        {"render": render.__version__}
        | first_steps.versions()
        | handed_code.versions(problem)
        | {first_steps.DIGEST: digest}
    )


@functools.cache
def _devices(threads: int) -> list[Any]:
    # One XLA device for each thread, as a local render has one for each core.
    os.environ["RENDER_CPU_DEVICES"] = str(threads)
    if threads == 1 and not accelerators():
        take_core()
    from render.train import engine

    return engine.devices()


def _device(threads: int) -> Any:
    """Return the device of the calling thread: each thread takes the next device and keeps it."""
    devices = _devices(threads)
    if not hasattr(_thread, "place"):
        _thread.place = next(_number)
    return devices[_thread.place % len(devices)]


# Held until the process ends, however it ends.
_core: socket.socket | None = None


def take_core() -> int | None:
    """Bind this process to a core that no other worker of this machine has; return it, or None if all are taken.

    A process on one core is as fast as a thread of a process that has them all, or faster: it never migrates, and
    XLA starts one thread. A socket's name marks a core as taken; the kernel frees the name with the process.
    """
    global _core
    if platform.system() != "Linux":
        return None
    for core in sorted(os.sched_getaffinity(0)):
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0render-core-{core}")
        except OSError:
            mark.close()
            continue
        for thread in os.listdir("/proc/self/task"):  # the event loop and the heartbeat stay on it too
            os.sched_setaffinity(int(thread), {core})
        _core = mark
        return core
    return None
