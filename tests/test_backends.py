"""Every backend keeps the same promises; a cluster keeps them while its workers die, hang, or are other machines."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

from render import backends, scene
from render.analyse import subject
from render.backends import Backend, Batch, Cluster, Failed, slurm, worker_pool
from render.backends.dask import DaskBackend
from render.backends.local import LocalBackend
from render.cli.options import Machines
from render.errors import ClusterError, RenderError, TrainingError
from render.film import qualities, rendering
from render.film.plan import Plan
from render.film.schedule import Training
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Field, Points
from render.storage.store import MemoryStore
from tests.helpers.command import run, run_here
from tests.helpers.traps import SetTrap, Trap
from tests.helpers.waiting import until

ROOT = Path(__file__).parents[1]
TINY = scene.load("tiny")
PROBLEM = TINY.problem


@pytest.fixture(scope="module")
def notices() -> list[str]:
    return []


@pytest.fixture(scope="module")
def cluster(notices: list[str]) -> Iterator[DaskBackend]:
    """Two worker processes, for every test of this file."""
    backend = DaskBackend(PROBLEM, Cluster(workers=2), notices.append)
    yield backend
    backend.close()


@pytest.fixture(params=[name for name, row in backends.BACKENDS.items() if row.trains])
def backend(request: pytest.FixtureRequest, cluster: DaskBackend) -> Backend:
    return cluster if request.param == "dask" else backends.make(request.param, PROBLEM)


def handed_out(batches: list[Batch]) -> Callable[[], Batch | None]:
    waiting = list(batches)
    return lambda: waiting.pop(0) if waiting else None


def some_batches(count: int, points: int = 40) -> list[Batch]:
    random = np.random.default_rng(count)
    draw = lambda: 10 ** random.uniform(-3, 3, points)  # noqa: E731
    return [Batch((), Points(draw(), draw())) for _ in range(count)]


def values(results: Iterable[tuple[Batch, Field | Failed]], batches: list[Batch]) -> list[bytes]:
    by_batch = {id(batch): field.value.tobytes() for batch, field in results if isinstance(field, Field)}
    return [by_batch[id(batch)] for batch in batches]


# ---- what every backend promises --------------------------------------------------------------------------------


def test_every_batch_comes_back_once_with_the_bits_of_this_machine(backend: Backend) -> None:
    batches = some_batches(7)
    results = list(backend.run(handed_out(batches)))
    assert len(results) == len(batches)
    expected = list(LocalBackend(PROBLEM).run(handed_out(batches)))
    assert values(results, batches) == values(expected, batches)


def test_numerics_are_those_of_this_machine(backend: Backend) -> None:
    assert backend.numerics == LocalBackend(PROBLEM).numerics
    assert backend.workers >= 1
    assert backend.capacity >= 1024


def test_workers_are_the_devices_here_and_the_processes_of_a_cluster(cluster: DaskBackend) -> None:
    assert LocalBackend(PROBLEM).workers == cluster.workers == 2  # tests/conftest.py makes two devices


def test_nothing_to_do_is_done_at_once(backend: Backend) -> None:
    assert list(backend.run(lambda: None)) == []


def test_what_next_batch_raises_reaches_the_caller(backend: Backend) -> None:
    def broken() -> Batch | None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(backend.run(broken))


def test_a_caller_who_leaves_early_leaves_a_backend_that_works(backend: Backend) -> None:
    batches = some_batches(6)
    run = iter(backend.run(handed_out(batches)))
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert len(list(backend.run(handed_out(batches)))) == len(batches)


def test_a_film_has_the_same_bytes(backend: Backend, tmp_path: Path) -> None:
    job = rendering.prepare(qualities.named(TINY, "scene"), tmp_path / "store", backend=backend)
    path = rendering.video(job, tmp_path / "film.mp4")
    reference = rendering.prepare(qualities.named(TINY, "scene"), tmp_path / "other", backend=LocalBackend(PROBLEM))
    assert path.read_bytes() == rendering.video(reference, tmp_path / "reference.mp4").read_bytes()
    assert job.missing_samples() == 0


def test_an_unknown_backend_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RenderError, match="--backend must be one of .*; did you mean dask?"):
        backends.make("dusk", PROBLEM)


# ---- workers that die, hang, or are others ------------------------------------------------------------------------


def worker_pids(backend: DaskBackend) -> list[int]:
    return list(backend.client.run(os.getpid, on_error="ignore").values())


@pytest.fixture
def trap(cluster: DaskBackend) -> Iterator[SetTrap]:
    yield lambda spring: cluster.client.register_plugin(Trap(spring))
    cluster.client.unregister_worker_plugin("trap")


def test_killed_workers_cost_their_batches_and_nothing_else(cluster: DaskBackend) -> None:
    plan = Plan(TINY)
    training = Training(PROBLEM, plan.order, MemoryStore(), cluster, wanted=plan.patches)
    killed = []
    training.start()
    for moment in (0.05, 0.5):
        training.wait_for(max(1, int(len(plan.order) * moment)))
        victim = worker_pids(cluster)[0]
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
    training.wait_for(len(plan.order))
    training.stop()
    assert training.samples_done == plan.samples
    until(lambda: len(pids := worker_pids(cluster)) >= 2 and not set(killed) & set(pids), 0.2)  # replaced


def test_workers_that_never_come_back_are_replaced(cluster: DaskBackend) -> None:
    """As when a worker dies before its nanny knows it to be up: it is not restarted, and dask gives it up."""
    nannies = list(cluster._cluster.workers.values())
    batches = some_batches(5)
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "0.5s"}):
        for nanny in nannies:
            cluster._cluster.sync(nanny.close)
        assert len(list(backends.trained(cluster.run(handed_out(batches))))) == len(batches)
    assert not set(nannies) & set(cluster._cluster.workers.values())


def test_a_tile_that_kills_its_workers_is_named_and_the_rest_is_trained(cluster: DaskBackend, trap: SetTrap) -> None:
    order = [Tile(3, i, j) for i in range(2) for j in range(2)]
    poison = order[2]
    corner = [
        float(axis.values(3, first)[0]) for axis, first in zip((PROBLEM.x, PROBLEM.y), poison.first_sample, strict=True)
    ]

    def spring(x: np.ndarray, y: np.ndarray, corner: list[float] = corner) -> None:
        if ((x == corner[0]) & (y == corner[1])).any():
            os._exit(1)

    def be_quick(dask_scheduler: Any) -> None:
        dask_scheduler.allowed_failures = 1  # two dead workers prove it, and not four

    cluster.client.run_on_scheduler(be_quick)
    store = MemoryStore()
    training = Training(PROBLEM, order, store, cluster)
    trap(spring)
    training.start()
    with pytest.raises(TrainingError) as caught:
        training.wait_for(len(order))
    training.stop()
    lost = [tile for tile in order if not store.has(tile)]
    assert poison in lost  # and perhaps one that happened to be at the same workers each time
    assert {tile for tile in order if tile.ix != poison.ix}.isdisjoint(lost)
    assert f"{poison}: every worker that trained it died" in str(caught.value)
    assert "All other trained tiles are kept" in str(caught.value)


def test_a_batch_that_raises_is_tried_again_and_then_reported(cluster: DaskBackend, trap: SetTrap) -> None:
    batches = some_batches(3)
    bad = float(batches[1].points.x[0])

    def spring(x: np.ndarray, _: np.ndarray, bad: float = bad) -> None:
        if x[0] == bad:
            raise MemoryError("no room")

    trap(spring)
    results = {id(batch): result for batch, result in cluster.run(handed_out(batches))}
    assert results[id(batches[1])] == Failed("training it raised MemoryError: no room")
    assert sum(isinstance(result, Failed) for result in results.values()) == 1
    with pytest.raises(TrainingError, match="A batch of 40 points could not be trained"):
        list(backends.trained(cluster.run(handed_out(batches))))


def test_a_worker_that_hangs_is_restarted_and_others_do_its_batches(
    cluster: DaskBackend,
    notices: list[str],
    tmp_path: Path,
    trap: SetTrap,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flag = tmp_path / "hung"

    def spring(x: np.ndarray, y: np.ndarray, flag: str = str(flag)) -> None:
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        time.sleep(600)

    trap(spring)
    monkeypatch.setattr(cluster, "patience_s", 2.0)
    monkeypatch.setattr("render.backends.dask._PATIENCE_TASKS", 0.0)
    batches = some_batches(5)
    results = list(backends.trained(cluster.run(handed_out(batches))))
    assert flag.exists()
    assert len(results) == len(batches)
    assert any("returned no result for 2 s. It is restarted" in notice for notice in notices)


def test_workers_with_other_numerics_get_no_work_and_are_named(
    cluster: DaskBackend, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the two workers is made to say that it has another jaxlib."""
    addresses = sorted(cluster.roster.good)
    other = addresses[0]
    changed = cluster.roster.known[other].numerics | {"jaxlib": "0.0.1"}
    known = cluster.roster.known | {other: cluster.roster.known[other]._replace(numerics=changed)}
    monkeypatch.setattr(cluster.roster, "known", known)
    cluster.roster._report_mismatches(known)
    assert "1 worker of the cluster would give other last bits (jaxlib 0.0.1 and not" in notices[-1]
    assert f"and gets no work: {other}." in notices[-1]
    cluster.roster._report_mismatches({"tcp://a:1": known[other], "tcp://b:2": known[other]})
    assert notices[-1].startswith("2 workers of the cluster would give other last bits")
    assert "and get no work: tcp://a:1, tcp://b:2." in notices[-1]
    assert cluster.roster.only == [address for address in addresses if address != other]
    assert cluster.workers == 1
    batches = some_batches(4)
    seen = []
    monkeypatch.setattr(cluster, "learn", lambda points, seconds: seen.append(points))
    assert len(list(cluster.run(handed_out(batches)))) == len(batches)
    assert len(seen) == 4


# ---- a running scheduler ------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def dask_command(*words: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dask", *map(str, words), "--no-dashboard"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_running_scheduler_is_joined_and_may_restart(tmp_path: Path) -> None:
    """The scheduler is killed under way and started again with a new worker; the render goes on by itself."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"

    def both() -> list["subprocess.Popen[bytes]"]:
        return [
            dask_command("scheduler", "--host", "127.0.0.1", "--port", port),
            dask_command("worker", address, "--nthreads", 1, "--no-nanny", "--local-directory", tmp_path),
        ]

    processes = both()
    remarks: list[str] = []
    try:

        def joined() -> DaskBackend | None:
            with contextlib.suppress(ClusterError):
                return DaskBackend(PROBLEM, Cluster(scheduler=address), remarks.append)
            return None

        backend = until(joined, 0.3)
        assert backend is not None
        batches = some_batches(6)
        results = []
        for count, (batch, field) in enumerate(backends.trained(backend.run(handed_out(batches)))):
            results.append((batch, field))
            if count == 0:
                for process in processes:
                    process.kill()
                    process.wait()
                processes = both()
        expected = list(LocalBackend(PROBLEM).run(handed_out(batches)))
        assert values(results, batches) == values(expected, batches)
        backend.close()
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "tcp://127.0.0.1"])
def test_a_scheduler_that_is_not_there_is_a_clear_message(address: str) -> None:
    with pytest.raises(ClusterError, match="--scheduler must be the address of a running scheduler"):
        DaskBackend(PROBLEM, Cluster(scheduler=address))


# ---- SLURM --------------------------------------------------------------------------------------------------------


def script(*job: tuple[str, str]) -> list[str]:
    return slurm.script(Cluster(scheduler="tcp://login:8786", job=job)).splitlines()


def test_a_job_for_cores_starts_a_process_for_each() -> None:
    lines = script(("cores", "32"), ("memory", "64GB"), ("queue", "long"), ("account", "abc"), ("walltime", "02:00:00"))
    assert lines[0] == "#!/usr/bin/env bash"
    asked = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")}
    assert {"-J render", "-p long", "-A abc", "-n 1", "--cpus-per-task=32", "--mem=60G", "-t 02:00:00"} <= asked
    words = lines[-1].split()
    assert words[:4] == [sys.executable, "-m", "distributed.cli.dask_worker", "tcp://login:8786"]
    options = dict(zip(words[4::2], words[5::2], strict=False))
    assert options["--nthreads"] == "1"
    assert options["--nworkers"] == "32"
    assert f"--lifetime {2 * 3600 - 120}s" in lines[-1]


def test_a_job_for_gpus_starts_one_process_with_a_thread_for_each() -> None:
    lines = script(("gpus", "4"), ("cores", "16"), ("constraint", "a100"))
    assert "#SBATCH --gpus=4" in lines
    assert "#SBATCH --constraint=a100" in lines
    assert "#SBATCH --cpus-per-task=16" in lines
    assert "--nthreads 4" in lines[-1]
    assert "--resources GPU=4" in lines[-1]
    assert "--nworkers" not in lines[-1]


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (("quue", "long"), "did you mean queue?"),
        (("cores", "many"), "--job cores must be a whole number of at least 1, not 'many'."),
        (("cores", "²"), "--job cores must be a whole number of at least 1, not '²'."),
        (("memory", "lots"), "--job memory must be a size such as 64GB, not 'lots'."),
        (("walltime", "4h"), "--job walltime must be a time such as 04:00:00"),
        (("walltime", "1:99:99"), "--job walltime must be a time such as 04:00:00 or 1-00:00:00, not '1:99:99'."),
        (("walltime", "00:00:00"), "--job walltime must be a time such as 04:00:00 or 1-00:00:00, not '00:00:00'."),
        (("queue", "long; rm -rf"), "--job queue must be one word"),
    ],
)
def test_a_job_that_cannot_be_is_refused(job: tuple[str, str], message: str) -> None:
    with pytest.raises(ClusterError) as caught:
        script(job)
    assert message in str(caught.value)


def test_jobs_are_submitted_where_sbatch_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="`sbatch`, which is not on the PATH"):
        DaskBackend(PROBLEM, Cluster(slurm_jobs=2))


# ---- the extra, and the command line --------------------------------------------------------------------------------


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(ClusterError, match="pip install '\\.\\[cluster\\]'"):
        backends.make("dask", PROBLEM)


def test_the_command_line_films_on_a_cluster(tmp_path: Path) -> None:
    done = run("video", "tiny", "--quality", "scene", "--backend", "dask", "--workers", 2,
               "--out", tmp_path / "out", "--store", tmp_path / "store")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "left the cluster" not in done.stderr
    assert Path(done.stdout.splitlines()[0]).exists()


@pytest.mark.parametrize("closing", [False, True])
def test_workers_that_leave_are_reported_but_not_while_the_cluster_is_closed(
    cluster: DaskBackend, closing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "_LOOK_S", 0.01)
    reported: list[str] = []
    roster = worker_pool.Roster(cluster.client, PROBLEM, reported.append, wait_s=5.0)
    # Tests before this one kill workers. One that is being restarted is not counted, so there may be fewer than two.
    count, looked = len(roster.known), threading.Event()

    def none_left() -> list[str]:
        if closing:
            roster.close()
        looked.set()
        return []

    monkeypatch.setattr(roster, "_addresses", none_left)
    assert looked.wait(60)
    until(lambda: roster.known == {})
    roster.close()
    left = f"{count} worker{'' if count == 1 else 's'} left the cluster; 0 remain."
    assert count and reported == ([] if closing else [left])


def test_points_are_probed_on_a_cluster_as_here(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y\n" + "".join(f"{1.5**n},{2.5**n}\n" for n in range(-9, 9)))
    probe = ("probe", "tiny", "--points", tmp_path / "points.csv", "--out")
    for done in (run_here(*probe, tmp_path / "a.csv"), run_here(*probe, tmp_path / "b.csv", "--backend", "dask")):
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_an_analysis_on_a_cluster_has_the_samples_of_this_machine(cluster: DaskBackend, tmp_path: Path) -> None:
    x, y = (10 ** np.random.default_rng(0).uniform(-3, 3, 200) for _ in "xy")
    make_backends: dict[str, Callable[[Problem], Backend]] = {
        "far": lambda _: cluster,
        "here": lambda problem: backends.make("local", problem),
    }
    far, here = (
        subject.train_points(subject.prepare(TINY, tmp_path / name, make), x, y, lambda now: None)
        for name, make in make_backends.items()
    )
    assert far.value.tobytes() == here.value.tobytes()
    assert len(list((tmp_path / "far").rglob("points/*.npz"))) == 3
    done = run_here("analyse", "tuning", "tiny", "--backend", "dsk", "--store", tmp_path, "--out", tmp_path)
    assert "did you mean dask?" in done.stderr


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = run_here("video", "tiny", "--scheduler", "tcp://127.0.0.1:1", "--store", tmp_path)
    assert done.returncode == 2
    assert "does not answer as one" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("machines", "message"),
    [
        (Machines(workers=3), "--workers is for --backend dask"),
        (Machines(job=("cores=3",)), "say how many: --slurm 10"),
        (Machines(slurm=3, job=("cores",)), "--job must be NAME=VALUE"),
        (Machines(slurm=-1), "--slurm must be the number of jobs"),
        (Machines(slurm=2, workers=2), "--job cores=8, and not --workers"),
        (Machines(backend="dask", workers=0), "--workers must be at least 1, not 0."),
        (Machines(scheduler="tcp://a:1", slurm=2), "it takes neither --workers nor --slurm"),
        (Machines(backend="dsk"), "did you mean dask?"),
    ],
)
def test_options_that_do_not_go_together_are_refused(machines: Machines, message: str) -> None:
    with pytest.raises(RenderError) as caught:
        machines.make(PROBLEM)
    assert message in str(caught.value)


def test_the_script_of_a_job_is_printed() -> None:
    done = run_here("jobscript", "--scheduler", "tcp://login:8786", "--job", "cores=4")
    assert done.returncode == 0, done.stderr
    assert "tcp://login:8786" in done.stdout
    assert done.stdout.startswith("#!/usr/bin/env bash\n")


def test_the_script_of_a_job_runs_this_python_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from render.backends import Cluster, slurm

    python = tmp_path / "a $b 'c\" d" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "ran $2 $3 [$PYTHONPATH] [$PYTHONHOME]"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")  # as in a virtual environment
    script = slurm.script(Cluster(scheduler="tcp://login:8786"))
    settings = os.environ | {"PYTHONPATH": "/modules", "PYTHONHOME": "/modules"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=settings)
    assert done.stdout == "ran distributed.cli.dask_worker tcp://login:8786 [] []\n"
