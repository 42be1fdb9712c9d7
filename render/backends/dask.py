"""A cluster of worker processes, on this machine or on many, through dask.distributed.

Workers are handed points and hand back fields; only this process knows tiles and writes to the store. A trained sample
is 21 bytes for milliseconds of a core's work, so fields are light to carry, workers need neither a shared folder nor
credentials, and a tile has one writer: what a render promises about its store holds on a cluster for the same reasons.
"""

from __future__ import annotations

import contextlib
import queue
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from distributed import LocalCluster
from distributed.scheduler import KilledWorker

from render.backends import Batch, Cluster, Failed, clusters, worker
from render.backends.followed import Followed
from render.backends.worker_pool import Notice, Roster
from render.errors import ClusterError
from render.problem import Problem
from render.samples import Field
from render.storage import numerics
from render.storage.references import Reference

# A task should take this long, or longer on a large cluster: each costs scheduler, client and store a few milliseconds
# of one core (TASK_COST_S), and these should be busy for half of the time at most.
TASK_S = 2.0
TASK_COST_S = 0.005
MOST_CALLS = 256  # of the kernel in a task

# A worker that has returned no result for this long, or for the time of this many tasks if that is longer, is taken
# to hang, and is restarted.
PATIENCE_S = 120.0
_PATIENCE_TASKS = 20.0

# How long a scheduler may be away before the render gives up; it stops cleanly, and the same command goes on.
AWAY_S = 60.0

# How long to wait for the first worker, here and in a queue.
_FIRST_S = 60.0
_FIRST_IN_QUEUE_S = 24 * 3600.0

_TICK_S = 0.5


class DaskBackend:
    """Trains on the workers of a scheduler: one started here, a running one, or jobs of a SLURM cluster."""

    def __init__(
        self, problem: Problem, cluster: Cluster, notice: Notice = lambda _: None, *, patience_s: float = PATIENCE_S
    ) -> None:
        """Start or join the cluster and wait for its first workers. Raises ClusterError.

        notice: called with messages for the user about the workers. patience_s: time without a result after which
        a worker is restarted.
        """
        self._problem, self.notice, self.patience_s = problem, notice, patience_s
        self._cluster = clusters.start(cluster)
        try:
            self.client = clusters.connect(cluster, self._cluster, AWAY_S)
            self.roster = Roster(
                self.client, problem, notice, wait_s=_FIRST_IN_QUEUE_S if cluster.slurm_jobs else _FIRST_S
            )
        except BaseException:
            self.close()
            raise
        self.address = str(self.client.scheduler.address) if self.client.scheduler else "that was joined"
        self._followed: dict[str, Followed] = {}
        self._sending = threading.Lock()
        self._call = min(one.capacity for one in self.roster.good.values())
        self._s_per_point = 0.0

    @property
    def capacity(self) -> int:
        """The most points of one batch: what a worker trains in a few seconds, as measured so far."""
        calls = self.task_s / (self._s_per_point * self._call) if self._s_per_point else 1
        return self._call * max(1, min(MOST_CALLS, int(calls)))

    @property
    def task_s(self) -> float:
        """Seconds that a batch should take with as many workers as there are."""
        return max(TASK_S, 2 * TASK_COST_S * self.workers)

    @property
    def workers(self) -> int:
        """The number of batches that are trained at the same time, now: workers may come and go."""
        return self.roster.slots

    @property
    def numerics(self) -> dict[str, str | int]:
        """Everything besides the problem that results depend on."""
        return self.roster.numerics

    @property
    def proof(self) -> dict[str, str]:
        """What shows that results have the bits of others of the same numerics: that of the workers that train."""
        return self.roster.proof

    @property
    def step_time_s(self) -> float:
        """Seconds that a step of one block of runs takes on a worker, about: the median of those that train."""
        times_s = [one.step_time_s for one in self.roster.good.values()]
        return statistics.median(times_s) if times_s else 0.0

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field | Failed]]:
        """Train what next_batch hands out on all workers, and yield results as they come.

        Raises ClusterError if the scheduler is gone and does not come back.
        """
        yield from _Run(self, self._problem, next_batch).results()

    def learn(self, points: int, seconds: float) -> None:
        """Take note of how long a batch took, which decides the size of the next."""
        now = seconds / points
        self._s_per_point = 0.8 * self._s_per_point + 0.2 * now if self._s_per_point else now

    def followed(self, reference: Reference) -> Followed:
        """Return a reference run as the workers have it: it is sent to them once."""
        with self._sending:
            sent = self._followed.get(reference.key)
            if sent is None:
                made_by = numerics.following(self.numerics, [reference.key])
                sent = self._followed[reference.key] = Followed(self.client, reference, made_by)
            return sent

    def replace_lost(self) -> None:
        """Start new workers in place of those that dask gave up.

        Dask gives up a worker that is away for 15 s, and never restarts one that died before its nanny saw it run.
        Without this, a batch that kills workers could leave the cluster without any, and the render would never end.
        """
        ours = self._cluster
        if isinstance(ours, LocalCluster) and len(ours.workers) < len(ours.worker_spec):
            ours.scale(len(ours.worker_spec))

    def close(self) -> None:
        """Disconnect from the cluster, and end it if it was started here."""
        for name in ("roster", "client", "_cluster"):
            part = self.__dict__.get(name)
            if part is not None:
                with contextlib.suppress(Exception):
                    part.close()


@dataclass
class _Task:
    """A batch under way.

    since: when it was handed out, on the monotonic clock. only: the addresses that it may be sent to; None for all.
    repeats: how often it was handed out again because training it raised.
    """

    batch: Batch
    future: Any
    since: float
    only: list[str] | None
    repeats: int = 0


class _Run:
    """Batches on their way through a cluster: a thread hands them out, the caller's thread collects results."""

    def __init__(self, backend: DaskBackend, problem: Problem, next_batch: Callable[[], Batch | None]) -> None:
        self._backend, self._client, self._roster = backend, backend.client, backend.roster
        self._problem, self._next_batch = problem, next_batch
        self._tasks: dict[str, _Task] = {}
        self._room = threading.Condition()
        self._ended = False
        self._done: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        self._heard: dict[str, float] = {}
        self._restarting: set[str] = set()

    def results(self) -> Iterator[tuple[Batch, Field | Failed]]:
        threading.Thread(target=self._feed, name="batches", daemon=True).start()
        fed = False
        try:
            while not fed or self._tasks:
                for key in self._drain():
                    if isinstance(key, BaseException):
                        raise key
                    if key is None:
                        fed = True
                    elif key in self._tasks:
                        yield from self._take(key)
                self._look_after()
        finally:
            with self._room:
                self._ended = True
                self._room.notify_all()
            with contextlib.suppress(Exception):
                self._client.cancel([task.future for task in list(self._tasks.values())])

    # ---- out ------------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        try:
            while self._wait_for_room() and (batch := self._next_batch()) is not None:
                self._submit(batch)
            self._done.put(None)
        except BaseException as error:  # carried to the caller's thread, which raises it
            self._done.put(error)

    def _wait_for_room(self) -> bool:
        # No batch waits behind another: a worker idles for milliseconds between two, but when it dies, the batch that
        # was training is known, and no other is suspected with it.
        with self._room:
            while not self._ended and len(self._tasks) >= self._backend.workers:
                self._room.wait(_TICK_S)  # no event reports that the number of workers changed
            return not self._ended

    def _submit(self, batch: Batch, repeats: int = 0) -> None:
        only = self._roster.only
        gpu = any(one.gpu for one in self._roster.good.values())
        followed = () if batch.reference is None else self._backend.followed(batch.reference).arguments()
        future = self._client.submit(
            worker.train, self._problem, self._roster.same, batch.points, *followed,
            pure=False, workers=only, resources={"GPU": 1} if gpu else None,
        )  # fmt: skip
        with self._room:
            self._tasks[str(future.key)] = _Task(batch, future, time.monotonic(), only, repeats)
        future.add_done_callback(lambda done: self._done.put(str(done.key)))

    def _again(self, task: _Task, repeats: int = 0) -> None:
        """Hand a batch out again, once a worker is there to take it."""
        self._wait_for_cluster()
        self._submit(task.batch, repeats)

    def _wait_for_cluster(self) -> None:
        """Wait until scheduler and workers are there. Raises ClusterError if the scheduler stays away."""
        notified = False
        while self._client.status != "running" or not self._roster.good:
            if self._client.status == "closed":
                raise ClusterError(
                    f"The scheduler {self._backend.address} has been away for {AWAY_S:g} s. Everything "
                    "finished before is kept: start it again, or another one, and run the same command."
                )
            if not notified:
                self._backend.notice("The cluster is away; its batches wait until it is back.")
                notified = True
            time.sleep(_TICK_S)

    # ---- in -------------------------------------------------------------------------------------------------------

    def _drain(self) -> list[str | BaseException | None]:
        """Return what has happened since the last call, waiting for a moment if that is nothing."""
        try:
            items = [self._done.get(timeout=_TICK_S)]
        except queue.Empty:
            return []
        while not self._done.empty():
            items.append(self._done.get())
        return items

    def _take(self, key: str) -> Iterator[tuple[Batch, Field | Failed]]:
        task = self._tasks[key]
        result = self._result(task)
        with self._room:
            del self._tasks[key]
            self._room.notify_all()
        if isinstance(result, worker.Trained):
            self._heard[result.address] = time.monotonic()
            self._backend.learn(len(task.batch.points), result.time_s)
            if task.batch.reference is not None:
                self._backend.followed(task.batch.reference).add(result.rings)
            yield task.batch, result.field
        elif isinstance(result, KilledWorker):
            yield task.batch, Failed("every worker that trained it died, of too little memory perhaps")
        elif isinstance(result, worker.OtherNumerics):
            self._roster.meet([str(result)])
            self._again(task)
        elif task.future.cancelled():
            self._again(task)
        elif task.repeats == 0:  # one sick worker must not end a render
            self._again(task, repeats=1)
        else:
            yield task.batch, Failed(f"training it raised {type(result).__name__}: {result}")

    def _result(self, task: _Task) -> worker.Trained | BaseException:
        try:
            result: worker.Trained = task.future.result()
        except Exception as error:
            return error
        return result

    # ---- workers without results ------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Restart workers that hang or are lost, and resubmit batches whose permitted workers have all left."""
        self._backend.replace_lost()
        now = time.monotonic()
        patience_s = max(self._backend.patience_s, _PATIENCE_TASKS * self._backend.task_s)
        tasks = list(self._tasks.items())  # a copy: the other thread adds to them
        late = {key for key, task in tasks if now - task.since > patience_s}
        if late and self._client.status == "running":
            for address, keys in self._client.processing().items():
                silent = late.intersection(keys) and now - self._heard.setdefault(address, now) > patience_s
                if silent and address not in self._restarting:
                    self._restarting.add(address)  # never taken out: what starts in its place has another address
                    threading.Thread(target=self._restart, args=(address, patience_s), daemon=True).start()
        good = self._roster.good
        for key, task in tasks:
            if task.only is not None and good and not good.keys() & set(task.only):
                with self._room:
                    del self._tasks[key]
                task.future.cancel()
                self._submit(task.batch, task.repeats)

    def _restart(self, address: str, patience_s: float) -> None:
        self._backend.notice(
            f"{address} returned no result for {patience_s:.0f} s. It is restarted; its batches go to other workers."
        )
        try:
            self._client.restart_workers([address], timeout=30, raise_for_error=False)
        except Exception:  # it has no nanny to restart it
            with contextlib.suppress(Exception):
                self._client.retire_workers([address], close_workers=True, remove=True)
