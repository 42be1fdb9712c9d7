"""A worker whose samples would differ, by its settings or for an unknown reason, is named and left out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from distributed import Client

from render import scene
from render.backends import Batch, Cluster
from render.backends.dask import DaskBackend
from render.backends.local import LocalBackend
from render.samples import Points
from tests.helpers import ROOT, environments
from tests.helpers.waiting import until

PROBLEM = scene.load("tiny").problem

# What a preloaded library of mathematics may do: initial weights that differ in their last bits, and nothing to see.
OTHER_WEIGHTS = """
import numpy as np
from render.train import datasets
def nudged(problem):
    draws = datasets.gaussian(problem)
    return draws._replace(weights=tuple(np.nextafter(layer, np.inf) for layer in draws.weights))
datasets.DATASETS["gaussian"] = nudged
"""


def started(*words: object, **variables: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dask", *map(str, words), "--no-dashboard"]
    environ = environments.clean() | variables
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=quiet, stderr=quiet)


def test_a_worker_that_would_train_other_bits_is_named_and_gets_no_work(tmp_path: Path) -> None:
    (tmp_path / "nudge.py").write_text(OTHER_WEIGHTS)
    scheduler_file = tmp_path / "scheduler.json"
    remarks: list[str] = []
    processes = [started("scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", scheduler_file)]

    def worker(name: str, *words: object, **variables: str) -> None:
        place = ["--scheduler-file", scheduler_file, "--local-directory", tmp_path / name]
        processes.append(started("worker", *place, "--nthreads", 1, "--no-nanny", *words, **variables))

    try:
        until(scheduler_file.exists)
        worker("one")
        worker("two")
        with Client(scheduler_file=str(scheduler_file)) as client:
            client.wait_for_workers(2)
            address = client.scheduler.address
        backend = DaskBackend(PROBLEM, Cluster(scheduler=address), remarks.append)
        until(lambda: len(backend.roster.known) == 2)
        assert not remarks and len(backend.roster.good) == 2
        worker("fast", XLA_FLAGS="--xla_cpu_enable_fast_math=true")
        until(lambda: any("xla_cpu_enable_fast_math" in line for line in remarks))
        worker("nudged", "--preload", tmp_path / "nudge.py")
        until(lambda: any("first steps" in line and "settings" not in line for line in remarks))
        worker("wrong", XLA_FLAGS="--xla_no_such_flag=1")
        until(lambda: any("cannot train" in line and "XLA_FLAGS" in line for line in remarks))
        assert "settings --xla_cpu_enable_fast_math=true and not none" in "".join(remarks)
        assert len(backend.roster.good) == 2 and backend.workers == 2
        draw = np.random.default_rng(3)
        batches = [Batch((), Points(10 ** draw.uniform(-3, 3, 40), 10 ** draw.uniform(-3, 3, 40))) for _ in range(8)]
        waiting = list(batches)
        results = {id(batch): field for batch, field in backend.run(lambda: waiting.pop(0) if waiting else None)}
        again = list(batches)
        for batch, field in LocalBackend(PROBLEM).run(lambda: again.pop(0) if again else None):
            assert results[id(batch)].value.tobytes() == field.value.tobytes()  # type: ignore[union-attr]
        backend.close()
    finally:
        for process in processes:
            process.kill()
            process.wait()
