"""The states of one run in arbitrary precision. Where a store keeps its progress, a run that was cut goes on.

What is stored of a run is its state in all its digits, so that the rest has the bits that it would have had at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.errors import StoreError
from render.problem import Problem
from render.storage import unfinished_runs
from render.storage.unfinished_runs import Name, UnfinishedRun
from render.train.past_float64 import arbitrary_precision

# A process that is killed loses this much of a run. Storing the 500 steps of a published net takes some 10 ms.
_SAVE_EVERY_S = 5.0

# Squares of what is smaller stay finite. A run that passes it has long left; its lanes go on by themselves before.
_LARGE = 1e100


def states(
    problem: Problem, x: Fraction, y: Fraction, bits: int, report: Callable[[int], None], root: Path | None
) -> list[np.ndarray]:
    """Return the leaves of all states [step, 1, ...] of a run, up to where they leave float64.

    report: called with the number of steps that are done; what it raises ends the run. root: the store that keeps the
    progress of the run, whatever ends it early, and from which it goes on; None keeps nothing.
    Raises KeyboardInterrupt, with a sentence on what is kept, where a signal stops it.
    """
    if root is None:
        run = _Run()
        run.go_on(problem, x, y, bits, report)
        return run.states
    name = _name(problem, x, y, bits)
    stored = unfinished_runs.load(name, root, problem)
    if stored is not None and stored.states and stored.is_at_end:
        return list(stored.states)
    run = _Run(stored if stored is not None and stored.states else None)
    saved_s = time.monotonic()

    def report_and_save(steps: int) -> None:
        nonlocal saved_s
        report(steps)
        if time.monotonic() - saved_s >= _SAVE_EVERY_S and (progress := run.progress()) is not None:
            unfinished_runs.save(progress, name, root, problem)
            saved_s = time.monotonic()

    try:
        run.go_on(problem, x, y, bits, report_and_save)
    except BaseException as end:
        with contextlib.suppress(StoreError):
            if (progress := run.progress()) is not None:
                unfinished_runs.save(progress, name, root, problem)
                if isinstance(end, KeyboardInterrupt):
                    raise KeyboardInterrupt(
                        f"The reference run is kept up to step {progress.steps:,} of {problem.steps:,}, as trained "
                        "tiles are; the same command goes on from there."
                    ) from None
        raise
    unfinished_runs.save(UnfinishedRun(tuple(run.states)), name, root, problem)
    return run.states


def is_known_to_diverge(problem: Problem, x: Fraction, y: Fraction, bits: int, root: Path) -> bool:
    """Return whether the store keeps that a run does not converge."""
    stored = unfinished_runs.load(_name(problem, x, y, bits), root, problem)
    return stored is not None and stored.diverged


def save_divergence(problem: Problem, x: Fraction, y: Fraction, bits: int, root: Path) -> None:
    """Keep that a run does not converge, in place of its states. Raises StoreError."""
    unfinished_runs.save(UnfinishedRun((), diverged=True), _name(problem, x, y, bits), root, problem)


def _name(problem: Problem, x: Fraction, y: Fraction, bits: int) -> Name:
    return Name(x, y, bits, arbitrary_precision.computation(problem))


class _Run:
    """A run as far as it is done."""

    def __init__(self, stored: UnfinishedRun | None = None) -> None:
        self._rounded: list[list[np.ndarray]] = []
        self._begun: tuple[int, list[arbitrary_precision.Numbers]] | None = None
        # The number of steps that are done, and the state then; one object, so that an interruption never parts them.
        self._last: tuple[int, list[arbitrary_precision.Numbers]] | None = None
        if stored is not None:
            # The moment before the next step is yielded once more.
            self._rounded = [[leaf[t] for leaf in stored.states] for t in range(stored.steps)]
            self._begun = self._last = stored.steps, arbitrary_precision.decoded(stored.exact)

    @property
    def states(self) -> list[np.ndarray]:
        """The leaves of all states so far, [steps + 1, 1, ...]."""
        return self._up_to(len(self._rounded) - 1)

    def progress(self) -> UnfinishedRun | None:
        """Return what a store keeps of a run that is not at its end; None of one that has hardly begun.

        The first state may have the radii of balls, which are not written; those after a step are mid-points alone.
        """
        if self._last is None or self._last[0] < 1 or len(self._rounded) <= self._last[0]:
            return None
        steps, exact = self._last
        return UnfinishedRun(tuple(self._up_to(steps)), tuple(arbitrary_precision.encoded(exact)))

    def go_on(self, problem: Problem, x: Fraction, y: Fraction, bits: int, report: Callable[[int], None]) -> None:
        """Compute the run up to its end, or to where it leaves float64."""
        for moment in arbitrary_precision.run(problem, x, y, bits, self._begun):
            if not all(np.isfinite(leaf).all() and (np.abs(leaf) < _LARGE).all() for leaf in moment.state):
                return
            self._rounded.append(moment.state)
            steps = len(self._rounded) - 1
            self._last = steps, moment.exact
            report(steps)

    def _up_to(self, steps: int) -> list[np.ndarray]:
        return [np.stack(leaf) for leaf in zip(*self._rounded[: steps + 1], strict=True)]
