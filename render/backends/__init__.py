"""Backends train the batches. A backend is imported only when it is chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import NamedTuple, Protocol

from render.errors import ClusterError, RenderError, TrainingError
from render.geometry.tiles import Tile
from render.machine import signals
from render.problem import Problem
from render.samples import Field, Points
from render.storage import trust
from render.storage.references import Reference


class Batch(NamedTuple):
    """Points to train together: those of `tiles`, one after the other.

    reference: the run that they are followed from; None where they are plain.
    """

    tiles: tuple[Tile, ...]
    points: Points
    reference: Reference | None = None


class Failed(NamedTuple):
    """The result of a batch that could not be trained, in place of its field. why: the reason."""

    why: str


class Cluster(NamedTuple):
    """The machines of a cluster: started on this machine, joined, or requested from a queue.

    workers: processes started on this machine; None for one per core or GPU.
    scheduler: address of a running scheduler, such as tcp://login:8786.
    slurm_jobs: jobs to submit, 0 for none. job: what each job requests, see render.backends.slurm.
    """

    workers: int | None = None
    scheduler: str | None = None
    slurm_jobs: int = 0
    job: tuple[tuple[str, str], ...] = ()


# Steps of a block that tell two arithmetics apart: data and functions show in the first one already, and a large
# transformer takes a second for each.
PROOF_STEPS = 4


class Backend(Protocol):
    """Trains batches of one problem. Batches are idempotent: one may run twice, or never finish, without harm."""

    @property
    def capacity(self) -> int:
        """The largest number of points in a batch; it may change between batches."""

    @property
    def workers(self) -> int:
        """The number of batches that run at the same time."""

    @property
    def numerics(self) -> dict[str, str | int]:
        """Everything besides the problem that results depend on."""

    @property
    def proof(self) -> dict[str, str]:
        """What shows that results have the bits of others of the same numerics: see `render.storage.first_steps`."""

    @property
    def step_time_s(self) -> float:
        """Seconds that a step of one block of runs takes on each worker, about, or 0 if that is not known."""

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field | Failed]]:
        """Train the batches that next_batch returns, until it returns None; yield results in order of completion.

        next_batch is called from the backend's threads and may block.
        """


def trained(results: Iterable[tuple[Batch, Field | Failed]]) -> Iterator[tuple[Batch, Field]]:
    """Yield the fields of all batches. Raises TrainingError if a batch failed."""
    for batch, result in results:
        if isinstance(result, Failed):
            raise TrainingError(f"A batch of {len(batch.points)} points could not be trained: {result.why}.")
        yield batch, result


class Request(NamedTuple):
    """What a backend is made for. notice: called with messages for the user. kernel: see `backends.kernels`."""

    problem: Problem
    cluster: Cluster
    notice: Callable[[str], None]
    kernel: str


class Row(NamedTuple):
    """A backend that can be chosen by name. words: what trains. make: imports the backend's libraries only then."""

    words: str
    make: Callable[[Request], Backend]
    trains: bool = True


def _local(request: Request) -> Backend:
    from render.backends import kernels
    from render.backends.local import LocalBackend

    choice = kernels.choose(request.problem, request.kernel)
    if choice.why:
        request.notice(choice.why)
    return LocalBackend(request.problem, kernel=choice)


def _dask(request: Request) -> Backend:
    _need_extra("--backend dask")
    from render.backends.dask import DaskBackend

    return DaskBackend(request.problem, request.cluster, request.notice)


def _refuse(_: Request) -> Backend:
    from render.backends.refusing import RefusingBackend

    return RefusingBackend()


BACKENDS: dict[str, Row] = {
    "local": Row("this process", _local),
    "dask": Row("worker processes, on this machine or on many", _dask),
    "refuse": Row("an error instead of training", _refuse, trains=False),
}


def make(
    name: str,
    problem: Problem,
    cluster: Cluster | None = None,
    notice: Callable[[str], None] = lambda _: None,
    *,
    kernel: str = "xla",
) -> Backend:
    """Return the backend of a row of BACKENDS.

    notice: called with messages for the user while the backend runs. kernel: of "local", see `backends.kernels`.
    Raises ClusterError, and Untrusted for a problem whose training runs code that the person has not said to trust.
    """
    row = BACKENDS.get(name)
    if row is None:
        near = get_close_matches(name, BACKENDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise RenderError(f"--backend must be one of {', '.join(BACKENDS)}, not {name!r}{hint}")
    if row.trains:
        trust.require(problem)
    return row.make(Request(problem, cluster or Cluster(), notice, kernel))


def job_script(cluster: Cluster) -> str:
    """Return the script of a SLURM job whose workers join the cluster's scheduler. Raises ClusterError."""
    _need_extra("render jobscript")
    from render.backends import slurm

    return slurm.script(cluster)


def _need_extra(what: str) -> None:
    try:
        # As soon as it is imported, dask-jobqueue lets Ctrl-C end the program with no message and exit code 0.
        with signals.handlers_kept():
            import dask_jobqueue  # noqa: F401
            import distributed  # noqa: F401
    except ImportError as error:
        raise ClusterError(
            f"{what} needs the extra `cluster` ({error.name} is not installed). Install it with "
            "`pip install '.[cluster]'` in a checkout, or `.venv/bin/pip install distributed dask-jobqueue`."
        ) from error
