"""Renders killed at random moments, on every backend: the film that comes out in the end has the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from render import scene
from render.backends.local import LocalBackend
from render.tools import inventory

ROOT = Path(__file__).parents[2]
BACKENDS = {"local": [], "dask": ["--backend", "dask", "--workers", "2"]}

# So that training lasts some seconds, as a start does: with the scene's own few steps, nearly every kill would hit a
# start or an end.
STEPS = ["--set", "problem.steps=600"]


class Kills(NamedTuple):
    """How many renders of a backend were killed, how many of them while tiles were coming in, films that came out, and
    how many of those had other bytes; damaged tiles in all stores."""

    backend: str
    kills: int
    in_training: int
    films: int
    others: int
    damaged: int

    def __str__(self) -> str:
        return (
            f"{self.backend}: {self.kills} renders killed, {self.in_training} of them with some tiles stored and some "
            f"not; {self.films} films, {self.others} with other bytes; {self.damaged} damaged tiles"
        )


def render(folder: Path, words: list[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "render.cli", "video", "tiny", "--quality", "scene", *STEPS, *words,
               "--out", str(folder / "out"), "--store", str(folder / "store")]  # fmt: skip
    folder.mkdir(exist_ok=True)
    with open(folder.with_suffix(".said"), "wb") as errors:
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)


def damaged(store: Path) -> int:
    """Return how many tiles of a store have wrong bytes."""
    loaded = scene.load("tiny", settings=STEPS[1:])
    if not store.is_dir():
        return 0
    kept = inventory.listed(store, [loaded], lambda problem: LocalBackend(problem).numerics)
    return sum(fault is not None for one in kept for fault in inventory.verify(one))


def await_tile(process: "subprocess.Popen[bytes]", store: Path) -> None:
    """Wait until a render has stored one more tile, or ended."""
    before = tiles(store)
    while tiles(store) == before and process.poll() is None:
        time.sleep(0.05)


def tiles(store: Path) -> int:
    return sum(1 for path in store.rglob("*.npz") if not path.name.startswith("."))


def kill(process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Kill a render, or the whole session with it, or first one of its workers."""
    below = psutil.Process(process.pid).children(recursive=True)
    if below and chance.random() < 0.3:
        os.kill(chance.choice(below).pid, signal.SIGKILL)
        time.sleep(chance.uniform(0, 0.5))
    if chance.random() < 0.5:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def trial(backend: str, count: int, seed: int = 0) -> Kills:
    """Kill renders of one backend that many times; whenever one ends by itself, compare its film and begin again."""
    chance = random.Random(f"{backend}-{seed}")
    kills = in_training = films = others = torn = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        started = time.monotonic()
        assert render(folder / "reference", []).wait() == 0
        length_s = time.monotonic() - started
        (film,) = (folder / "reference" / "out").rglob("*.mp4")
        reference, tile_count = film.read_bytes(), tiles(folder / "reference" / "store")
        here = folder / "killed"
        while True:
            process = render(here, BACKENDS[backend])
            last = kills >= count
            try:
                share = 1.0
                if not last and chance.random() < 0.7:
                    await_tile(process, here / "store")
                    share = 0.5
                code = process.wait(600 if last else chance.uniform(0.0, share) * length_s)
                assert code == 0, (folder / "killed.said").read_text(errors="replace")[-2000:]
                (film,) = (here / "out").rglob("*.mp4")
                films, others = films + 1, others + (film.read_bytes() != reference)
                torn += damaged(here / "store")
                if last:
                    return Kills(backend, kills, in_training, films, others, torn)
                shutil.rmtree(here)
            except subprocess.TimeoutExpired:
                kill(process, chance)
                process.wait()
                kills += 1
                in_training += 0 < tiles(here / "store") < tile_count
                torn += damaged(here / "store")


def run(count: int = 50) -> str:
    """Kill that many renders on every backend."""
    return "\n" + "\n".join(str(trial(backend, count)) for backend in BACKENDS)
