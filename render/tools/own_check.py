"""Examines a user's file for `render check`: whether a store may keep its samples, and what they cost.

Four lanes are trained alone, together, among others, and in another process.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.errors import RenderError
from render.geometry import axes
from render.geometry.axes import Axis
from render.machine import sizes
from render.problem import Problem, catalogue, own_model
from render.problem.catalogue import Hyperparameter
from render.samples import Field, Status
from render.scene import own_files
from render.storage import trust
from render.tools.doctor import Finding

# What is looked at for outcomes: so many samples along either axis.
_SIDE = 8

# More than this, and few machines train a block of sixteen lanes on every core.
_MUCH_BYTES = 100_000_000

# How many lanes are trained by themselves.
_LANES = 4


def problem_of(path: Path) -> Problem:
    """Return the problem of a file at its defaults, over the plane of its first two hyperparameters.

    An axis without a declared range goes from a hundredth of the default to a hundred times, or one to either side.
    """
    known = own_files.read(path)
    row = catalogue.row(known.name)
    x, y = (_axis(name, row.hyperparameters[name]) for name in row.axes)
    return Problem(x, y, known.name)


def _axis(name: str, h: Hyperparameter) -> Axis:
    assert h.default is not None
    if h.range is not None:
        low, high = (axes.exact(end) for end in h.range)
    elif h.scale == "log10" and h.default > 0:
        low, high = Fraction(h.default) / 100, Fraction(h.default) * 100
    elif h.scale == "log10":
        low, high = Fraction(1, 1000), Fraction(1)
    else:
        low, high = Fraction(h.default) - 1, Fraction(h.default) + 1
    unit = Axis(name, h.scale, Fraction(0), Fraction(1))
    return Axis(name, h.scale, unit.position_from_value(low), unit.position_from_value(high))


def examine(problem: Problem) -> Iterator[Finding]:
    """Check a user's file, one finding after the other; the rest is left out once it cannot be trained."""
    trust.require(problem)
    known = own_model.find(problem.system)
    yield Finding("file", "ok", f"{known.source.name}: {problem.row.title}; {_parts_of(known)}")
    yield Finding("plane", "ok", " x ".join(_shown(axis) for axis in (problem.x, problem.y)), _open_axes(problem))
    from render.train import engine

    try:
        trainer = engine.Engine(problem)
        x, y = _points(problem)
        field = trainer.run(x, y)
    except RenderError as error:
        yield Finding("training", "bad", str(error))
        return
    yield Finding("float64", "ok", "every operation of a step is in float64")
    yield _independence(trainer, x, y, field)
    yield _determinism(problem, trainer)
    yield _outcomes(field)
    yield _memory(problem)
    yield _speed(problem, trainer)
    yield _differences(problem)


def _parts_of(known: own_model.Known) -> str:
    beside = [name for name, _ in known.source.modules if name] + [name for name, _ in known.source.data]
    versions = ", ".join(f"{name} {version}" for name, version in known.source.versions.items())
    return f"with {', '.join(beside)}; {versions}" if beside else versions


def _shown(axis: Axis) -> str:
    low, high = (float(axis.value_from_unit(Fraction(end))) for end in (0, 1))
    return f"{axis.name} from {low:g} to {high:g} ({axis.scale})"


def _open_axes(problem: Problem) -> str:
    named = problem.row.hyperparameters
    without = [axis.name for axis in (problem.x, problem.y) if named[axis.name].range is None]
    if not without:
        return ""
    example = f'"{without[0]}": {{"default": ..., "range": [1e-4, 10]}}'
    return f"The file gives no range for {' and '.join(without)}; with one, {example}, a scene need not give it."


def _points(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return samples all over the plane, float64 [points], at the middles of even parts."""
    places = [Fraction(2 * i + 1, 2 * _SIDE) for i in range(_SIDE)]
    x = [float(problem.x.value_from_unit(place)) for place in places]
    y = [float(problem.y.value_from_unit(place)) for place in places]
    across, up = np.meshgrid(x, y)
    return across.ravel(), up.ravel()


def _same(a: Field, b: Field) -> bool:
    return all(np.array_equal(p, q, equal_nan=True) for p, q in zip(a, b, strict=True))


def _independence(trainer, x: np.ndarray, y: np.ndarray, field: Field) -> Finding:  # type: ignore[no-untyped-def]
    """Train four lanes alone, together, and all samples in another order: each must keep its bits."""
    chosen = np.linspace(0, x.size - 1, _LANES).astype(int)
    alone = [trainer.run(x[[i]], y[[i]]) for i in chosen]
    together = trainer.run(x[chosen], y[chosen])
    order = np.random.default_rng(0).permutation(x.size)
    shuffled = trainer.run(x[order], y[order])
    good = (
        all(_same(one, field.at(slice(i, i + 1))) for one, i in zip(alone, chosen, strict=True))
        and _same(together, field.at(chosen))
        and _same(shuffled, field.at(order))
    )
    if good:
        return Finding("lanes", "ok", f"{_LANES} lanes have the same bits alone, together, and among {x.size} others")
    return Finding(
        "lanes",
        "bad",
        "the bits of a lane depend on its neighbours or on its place in the batch, so that no store could keep them",
        "Something in the file takes all lanes together, or XLA groups sums by place. Try lanes = 1 in the file, and "
        "report it with the file if that helps.",
    )


# What another process runs: it is handed the code by this one, which a person started, and not by the problem.
_ELSEWHERE = (
    "import pickle, sys\n"
    "from render.backends import handed_code\n"
    "handed, problem = pickle.loads(sys.stdin.buffer.read())\n"
    "handed_code.take(handed)\n"
    "from render.train import engine\n"
    "print(engine.Engine(problem).first_steps())\n"
)


def _determinism(problem: Problem, trainer) -> Finding:  # type: ignore[no-untyped-def]
    """Compare the first steps of a block with those of another process, whose sets have other orders."""
    from render.backends import handed_code

    here = trainer.first_steps()
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE],
        input=pickle.dumps((handed_code.of(problem), problem)),
        capture_output=True,
        env=os.environ | {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"},
        check=False,
    )
    elsewhere = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        return Finding(
            "again", "bad", f"another process cannot train it: {errors[-1] if errors else 'it gave no reason'}"
        )
    if here == elsewhere:
        return Finding("again", "ok", f"another process has the same bits after {min(32, problem.steps)} steps")
    return Finding(
        "again",
        "bad",
        "another process trains to other bits: something is random, or follows the order of a set, the time or a path",
        "Draw random numbers from the key, or from np.random.default_rng(seed), and sort what comes out of a set.",
    )


def _outcomes(field: Field) -> Finding:
    ends = {name: int((field.status == status).sum()) for name, status in _ENDS.items()}
    counts = ", ".join(f"{count} {name}" for name, count in ends.items() if count)
    if ((field.status == Status.NON_FINITE) & (field.escape_step == 0)).all():
        return Finding(
            "outcomes", "bad", "the first loss of every run is not finite", "Look at what data, init and loss return."
        )
    low = int((field.value < 0).sum())
    if 0 < low < field.value.size:
        return Finding("outcomes", "ok", f"of {field.value.size} runs all over the plane: {counts}")
    kind = "converge" if low else "do not converge"
    return Finding(
        "outcomes",
        "note",
        f"all of {field.value.size} runs over the plane {kind} ({counts}): a film would be of one colour",
        "Widen the ranges, or choose other axes. Converged means that the last 20 losses are below the first.",
    )


_ENDS = {
    "converged": Status.CONVERGED,
    "did not": Status.DIVERGED,
    "escaped": Status.ESCAPED,
    "were not finite": Status.NON_FINITE,
}


def _memory(problem: Problem) -> Finding:
    from render.train import own_checks

    lane = own_checks.compiled_bytes_per_lane(problem)
    lanes = problem.row.lanes or 1
    remark = f"{sizes.in_words(lane)} a lane, {sizes.in_words(lane * lanes)} a block of {lanes} lanes on each core"
    if lane * lanes <= _MUCH_BYTES or lanes == 1:
        return Finding("memory", "ok", remark)
    fewer = max(1, 1 << max(0, (_MUCH_BYTES // lane).bit_length() - 1))
    return Finding("memory", "note", remark, f"lanes = {fewer} in the file needs less, and may be faster.")


def _speed(problem: Problem, trainer) -> Finding:  # type: ignore[no-untyped-def]
    x, y = _points(problem)
    lanes = trainer.lanes()
    x, y = np.resize(x, 4 * lanes), np.resize(y, 4 * lanes)
    started = time.perf_counter()
    trainer.run(x, y)
    seconds = time.perf_counter() - started
    return Finding(
        "speed",
        "ok",
        f"about {x.size / seconds:,.0f} runs of {problem.steps} steps a second on one core, "
        f"{seconds / x.size / problem.steps * 1e6:,.1f} us a step",
        "`render plan` says what a film takes.",
    )


def _differences(problem: Problem) -> Finding:
    from render.train import own_checks

    unsupported = own_checks.without_rules(problem)
    if not unsupported:
        return Finding("deep", "ok", "every operation can be followed by differences, so films may go past float64")
    operations = "; ".join(f"{name} ({where or 'inside a package'})" for name, where in sorted(unsupported.items()))
    return Finding(
        "deep", "note", f"films end where float64 does, at views about 1e-13 wide: there is no rule for {operations}"
    )
