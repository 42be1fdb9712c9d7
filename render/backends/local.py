"""The devices of this machine, one thread each: all cores, or all accelerators."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from render.backends import PROOF_STEPS, Batch, kernels
from render.backends.batch_splitting import Pieces
from render.backends.kernels import XLA, Choice
from render.problem import Problem
from render.samples import Field
from render.storage import first_steps, numerics

# A piece is no smaller than this many blocks of lanes. A piece costs 11 ms besides its steps, a block of the published
# net takes 140 ms (measured on one core): 2 % at four blocks.
_LEAST_BLOCKS = 4


class LocalBackend:
    """Trains in this process. Creating one neither compiles nor loads JAX; the first batch on each device does."""

    def __init__(self, problem: Problem, *, backwards: bool = False, kernel: Choice = XLA) -> None:
        """backwards: take every sum in the opposite order, to see what rounding does; other numerics.

        kernel: what trains plain samples, see `render.backends.kernels`; other numerics too.
        """
        self._problem, self._backwards, self.kernel = problem, backwards, kernel
        self._following: dict[str, Any] = {}
        self._making = threading.Lock()

    @functools.cached_property
    def engine(self) -> Any:
        """The engine that trains on a device: see `render.train.engine.Engine`."""
        if self.kernel.fused:
            from render.train import fused_engine

            return fused_engine.FusedEngine(self._problem)
        from render.train import engine  # JAX comes with it

        plain = engine.Engine(self._problem, backwards=self._backwards)
        known = numerics.of_processor(self._problem)
        if known is not None and known != plain.numerics():
            raise RuntimeError(f"JAX was expected to train with numerics {known}, not {plain.numerics()}")
        return plain

    def _engine_of(self, batch: Batch) -> Any:
        """Return what trains a batch: the plain engine, or the one that follows the batch's reference run."""
        if batch.reference is None:
            return self.engine
        from render.train.past_float64 import difference_engine

        with self._making:
            following = self._following.get(batch.reference.key)
            if following is None:
                following = difference_engine.DeepEngine(self._problem, batch.reference, backwards=self._backwards)
                self._following[batch.reference.key] = following
            return following

    @functools.cached_property
    def devices(self) -> list[Any]:
        """The devices to train on."""
        from render.train import engine

        return list(engine.devices())

    @property
    def capacity(self) -> int:
        """The most points of one batch."""
        most: int = self.engine.capacity()
        return most

    def like(self, problem: Problem) -> LocalBackend:
        """Return such a backend for another problem: with the fused kernel where this one has it and it can be used."""
        return LocalBackend(problem, kernel=kernels.choose(problem, "fused" if self.kernel.fused else "xla"))

    def remarks(self) -> dict[str, str]:
        """Return what a person should know of the kernel that was asked for, and of a card's float64, by title."""
        remarks = {"kernel": self.kernel.why} if self.kernel.why else {}
        if self.numerics["backend"] != "cpu" and (words := kernels.card_words(self._problem)):
            remarks["card"] = words
        return remarks

    @property
    def workers(self) -> int:
        """The number of batches that run at the same time: one on each device."""
        return len(self.devices)

    @property
    def numerics(self) -> dict[str, str | int]:
        """Everything besides the problem that results depend on."""
        known = None if self.kernel.fused else numerics.of_processor(self._problem)
        described: dict[str, str | int] = dict(known or self.engine.numerics())
        return described | ({"sums": "backwards"} if self._backwards else {})

    @functools.cached_property
    def proof(self) -> dict[str, str]:
        """What shows that results have the bits of others of the same numerics; it trains a few steps."""
        return first_steps.versions() | {first_steps.DIGEST: self.engine.first_steps(self.devices[0], PROOF_STEPS)}

    @functools.cached_property
    def step_time_s(self) -> float:
        """Seconds that a step of a block of runs takes while every device runs one, about; it trains a few.

        0 for the fused kernel, which keeps a run on the chip: no run of it is long.
        """
        if self.kernel.fused:
            return 0.0
        with ThreadPoolExecutor(len(self.devices)) as threads:
            times_s: list[float] = list(threads.map(self.engine.step_time_s, self.devices))
        return max(times_s)

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        """Train what next_batch hands out on all devices, yield results as they come, raise what a thread raised."""
        results: queue.SimpleQueue[tuple[Batch, Field] | BaseException | None] = queue.SimpleQueue()
        engine = self.engine  # made here, once, not by every thread
        pieces = Pieces(next_batch, len(self.devices), _LEAST_BLOCKS * engine.lanes())

        def work(device: Any) -> None:
            try:
                while (piece := pieces.take()) is not None:
                    field = self._engine_of(piece.batch).train(piece.points, device)
                    if (batch_field := pieces.finish(piece, field)) is not None:
                        results.put((piece.batch, batch_field))
                results.put(None)
            except BaseException as error:  # carried to the caller's thread, which raises it
                results.put(error)

        for device in self.devices:
            threading.Thread(target=work, args=(device,), daemon=True).start()
        running = len(self.devices)
        while running:
            result = results.get()
            if isinstance(result, BaseException):
                raise result
            if result is None:
                running -= 1
            else:
                yield result
