"""One training run in arbitrary precision: the system's own step, operation by operation, over python-flint numbers.

Arrays of numbers are NumPy arrays of objects. Each is a ball (a mid-point and a radius, Johansson 2017, "Arb"), but the
radii of a chaotic run soon become useless: after every step only the mid-points go on, and what a run is worth is found
by running it again with more bits (render.train.past_float64.reference_run). Constants of the system (data, initial
weights, literals) are float64 and taken as exact: so a problem has one true run at every point, whatever the precision.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from render.errors import RenderError
from render.problem import Problem
from render.train import operations, systems

Numbers = Any  # a NumPy array: of float64, integers or booleans (exact constants), or of flint.arb objects


class Moment(NamedTuple):
    """One lane between two steps. state: the leaves of the system's state, [1, ...], rounded to float64.

    loss: before the next step, rounded; nan after the last one. exact: the leaves of the state in all their digits.
    """

    state: list[np.ndarray]
    loss: float
    exact: list[Numbers]


class _Traced(NamedTuple):
    """A system's start and its step, as jaxprs. hyper: the names of its hyperparameters, in the order of a dict's
    leaves."""

    start: Any
    step: Any
    hyper: tuple[str, ...]


def _traced(problem: Problem) -> _Traced:
    system = systems.make(problem)
    names = tuple(sorted(operations.hyperparameters(problem)))
    shaped = {name: operations.shaped((1,)) for name in names}
    start, state_shape = jax.make_jaxpr(system.start, return_shape=True)(shaped)
    return _Traced(start, jax.make_jaxpr(system.step)(state_shape, shaped, jnp.int32(0)), names)


def computation(problem: Problem) -> str:
    """Return a digest of all that the digits of a problem's runs depend on, besides their place and their bits."""
    digest = hashlib.sha256(flint.__version__.encode())
    traced = _traced(problem)
    for closed in (traced.start, traced.step):
        # JAX prints the addresses of some functions, which differ in every process, and their operations beside them.
        digest.update(re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)).encode())
        for constant in closed.consts:
            digest.update(np.ascontiguousarray(constant).tobytes())
    return digest.hexdigest()[:16]


def run(
    problem: Problem, x: Fraction, y: Fraction, bits: int, begun: tuple[int, list[Numbers]] | None = None
) -> Iterator[Moment]:
    """Yield the moments of one run: before step 0, 1, ... and after the last.

    x, y: hyperparameter values on the problem's axes, exactly. bits: of every operation. begun: a step, and the exact
    state before it, from which the run goes on; the moment before that step is the first one then.
    """
    start, step, names = _traced(problem)
    values = {name: Fraction(value) for name, value in problem.fixed} | {problem.x.name: x, problem.y.name: y}
    interpreter = _Interpreter(problem.system)
    with _precision(bits):
        hyper = [_objects([_exactly(values[name])], (1,)) for name in names]
        first, state = begun or (0, interpreter.evaluate(start, hyper))
    for t in range(first, problem.steps):
        with _precision(bits):
            *after, loss = (_middle(leaf) for leaf in interpreter.evaluate(step, [*state, *hyper, np.int32(t)]))
        yield Moment(_rounded(state), float(_floats(loss)[0]), state)
        state = after
    yield Moment(_rounded(state), math.nan, state)


def encoded(exact: list[Numbers]) -> list[np.ndarray]:
    """Return the leaves of an exact state as arrays that can be stored: of words where they hold balls' mid-points."""
    return [np.array(_words_of_each(leaf), dtype=str) if leaf.dtype == object else leaf for leaf in exact]


def decoded(stored: Sequence[np.ndarray]) -> list[Numbers]:
    """Return the exact state that `encoded` made arrays of."""
    return [np.asarray(_number_of_each(leaf), dtype=object) if leaf.dtype.kind == "U" else leaf for leaf in stored]


def _rounded(state: list[Numbers]) -> list[np.ndarray]:
    return [np.array(_floats(leaf)) for leaf in state]


class _precision:
    """flint's precision is one for the whole process: set only while computing, and put back."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def __enter__(self) -> None:
        self._before, flint.ctx.prec = flint.ctx.prec, self._bits

    def __exit__(self, *_: object) -> None:
        flint.ctx.prec = self._before


def _exactly(value: Fraction) -> Any:
    return flint.arb(flint.fmpq(value.numerator, value.denominator))


def _objects(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)


_arb_of_each = np.frompyfunc(lambda v: flint.arb(float(v)), 1, 1)
_float_of_each = np.frompyfunc(float, 1, 1)
_middle_of_each = np.frompyfunc(lambda v: v.mid(), 1, 1)


def _words(number: Any) -> str:
    """Return a mid-point, a whole number times a power of two, as both in hexadecimal digits."""
    return " ".join(format(int(part), "x") for part in number.man_exp())


def _number(words: str) -> Any:
    mantissa, exponent = (int(part, 16) for part in words.split())
    return flint.arb((mantissa, exponent))


_words_of_each = np.frompyfunc(_words, 1, 1)
_number_of_each = np.frompyfunc(_number, 1, 1)


def _balls(values: Numbers) -> np.ndarray:
    """Return an array of balls: float64 constants are taken as exact."""
    array = np.asarray(values)
    return array if array.dtype == object else np.asarray(_arb_of_each(array), dtype=object)


def _floats(values: Numbers) -> np.ndarray:
    array = np.asarray(values)
    return np.asarray(_float_of_each(array), dtype=object).astype(np.float64) if array.dtype == object else array


def _middle(values: Numbers) -> Numbers:
    return np.asarray(_middle_of_each(values), dtype=object) if values.dtype == object else values


class _Interpreter:
    """Evaluates jaxprs. What follows from a constant, or from shapes alone, is worked out once."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._places: dict[int, np.ndarray] = {}
        self._constants: dict[Any, np.ndarray] = {}
        self._matrices: dict[Any, tuple[list[Any], tuple[int, ...]]] = {}

    def evaluate(self, closed: Any, arguments: list[Numbers]) -> list[Numbers]:
        """Return the results of a closed jaxpr."""
        jaxpr = closed.jaxpr
        known: dict[Any, Numbers] = dict(zip(jaxpr.invars, arguments, strict=True))
        for var, constant in zip(jaxpr.constvars, closed.consts, strict=True):
            known[var] = self._constants.setdefault(var, np.asarray(constant))

        def read(var: Any) -> Numbers:
            return np.asarray(operations.literal(var)) if isinstance(var, core.Literal) else known[var]

        for eqn in jaxpr.eqns:
            values = [read(var) for var in eqn.invars]
            inner = operations.inside(eqn)
            results = self.evaluate(inner, values) if inner is not None else [self._result(eqn, values)]
            known.update(zip(eqn.outvars, results, strict=True))
        return [read(var) for var in jaxpr.outvars]

    def _result(self, eqn: Any, values: list[Numbers]) -> Numbers:
        name = eqn.primitive.name
        floating = any(np.asarray(v).dtype in (object, np.float64) for v in values)
        if name in _MOVES:
            return self._moved(eqn, values)
        if not floating:
            return np.asarray(operations.bound(eqn, values)[0])
        if name == "dot_general":
            return self._contracted(eqn, values)
        rule = _RULES.get(name)
        if rule is None:
            raise RenderError(
                f"System {self._system!r} uses the operation {name!r}, which has no rule in arbitrary precision. "
                'Use precision "float64".'
            )
        return rule(eqn, values)

    def _moved(self, eqn: Any, values: list[Numbers]) -> Numbers:
        """Return the first operand with its elements moved, repeated or left out, as JAX does it to their numbers."""
        first, *others = values
        if np.asarray(first).dtype != object:
            return np.asarray(operations.bound(eqn, values)[0])
        places = self._places.get(id(eqn))
        if places is None:
            numbered = np.arange(first.size, dtype=np.float64).reshape(first.shape)
            places = np.asarray(operations.bound(eqn, [numbered, *others])[0]).astype(np.int64)
            if not others:
                self._places[id(eqn)] = places
        return first.ravel()[places]

    def _contracted(self, eqn: Any, values: list[Numbers]) -> Numbers:
        (over_left, over_right), (batch_left, batch_right) = eqn.params["dimension_numbers"]
        left, shape_left = self._matrix(values[0], batch_left, over_left, last=True)
        right, shape_right = self._matrix(values[1], batch_right, over_right, last=False)
        products = [number for a, b in zip(left, right, strict=True) for number in (a * b).entries()]
        batch = tuple(np.asarray(values[0]).shape[i] for i in batch_left)
        return _objects(products, (*batch, *shape_left, *shape_right))

    def _matrix(self, array: Numbers, batch: Any, over: Any, *, last: bool) -> tuple[list[Any], tuple[int, ...]]:
        """Return a flint matrix for each place of the batch, contracted axes last or first; and free axes' shape."""
        key = id(array), tuple(batch), tuple(over)
        if key in self._matrices:
            return self._matrices[key]
        balls = _balls(array)
        free = [i for i in range(balls.ndim) if i not in batch and i not in over]
        shape = tuple(balls.shape[i] for i in free)
        size_over = int(np.prod([balls.shape[i] for i in over], dtype=int))
        size_free = int(np.prod(shape, dtype=int))
        order = [*batch, *free, *over] if last else [*batch, *over, *free]
        rows, columns = (size_free, size_over) if last else (size_over, size_free)
        flat = balls.transpose(order).reshape(-1, rows * columns)
        converted = [flint.arb_mat(rows, columns, list(numbers)) for numbers in flat], shape
        if any(array is constant for constant in self._constants.values()):
            self._matrices[key] = converted
        return converted


# ---- one rule for each operation ------------------------------------------------------------------------------

_Rule = Callable[[Any, list[Numbers]], Numbers]

# Operations that move elements of their first operand about and compute nothing.
_MOVES = {"reshape", "transpose", "broadcast_in_dim", "squeeze", "slice", "rev", "copy", "expand_dims", "gather"}
_MOVES |= {"dynamic_slice"}


def _each(function: Callable[..., Any]) -> _Rule:
    """A rule that takes each element by itself."""
    every = np.frompyfunc(function, 1, 1)
    return lambda eqn, values: np.asarray(every(_balls(values[0])), dtype=object)


def _both(function: Callable[[Any, Any], Any]) -> _Rule:
    """A rule of two operands, by NumPy's operators."""
    return lambda eqn, values: np.asarray(function(_balls(values[0]), _balls(values[1])), dtype=object)


def _compared(holds: Callable[[float], bool]) -> _Rule:
    """A comparison, decided by the mid-point of the difference."""
    decide = np.frompyfunc(lambda a, b: holds(_side(a - b)), 2, 1)
    return lambda eqn, values: np.asarray(decide(_balls(values[0]), _balls(values[1])), dtype=object).astype(bool)


def _side(ball: Any) -> float:
    middle = ball.mid()
    return 0.0 if middle == 0 else 1.0 if middle > 0 else -1.0


def _select(eqn: Any, values: list[Numbers]) -> Numbers:
    which, *cases = (np.asarray(v) for v in values)
    balls = [_balls(case) for case in cases]
    shape = balls[0].shape
    chosen = balls[0].copy()
    for number, case in enumerate(balls[1:], start=1):
        here = np.broadcast_to(which.astype(int) == number, shape)
        chosen = np.where(here, case, chosen)
    return chosen


def _converted(eqn: Any, values: list[Numbers]) -> Numbers:
    into = np.dtype(eqn.params["new_dtype"])
    array = np.asarray(values[0])
    if array.dtype == object and into != np.float64:
        return _floats(array).astype(into)
    return array if array.dtype == object else array.astype(into)


def _powered(eqn: Any, values: list[Numbers]) -> Numbers:
    return np.asarray(_balls(values[0]) ** int(eqn.params.get("y", 2)), dtype=object)


def _reduced(function: Callable[..., Any]) -> _Rule:
    return lambda eqn, values: np.asarray(function(_balls(values[0]), axis=tuple(eqn.params["axes"])), dtype=object)


_larger = np.frompyfunc(lambda a, b: a if _side(a - b) >= 0 else b, 2, 1)
_smaller = np.frompyfunc(lambda a, b: a if _side(a - b) <= 0 else b, 2, 1)

_RULES: dict[str, _Rule] = {
    "convert_element_type": _converted,
    "select_n": _select,
    "add": _both(np.add),
    "add_any": _both(np.add),
    "sub": _both(np.subtract),
    "mul": _both(np.multiply),
    "div": _both(np.divide),
    "max": _both(_larger),
    "min": _both(_smaller),
    "neg": _each(lambda v: -v),
    "abs": _each(lambda v: -v if _side(v) < 0 else v),
    "sign": _each(lambda v: flint.arb(_side(v))),
    "round": _each(lambda v: (v.mid() + flint.arb(0.5)).mid().floor()),
    "floor": _each(lambda v: v.mid().floor()),
    "ceil": _each(lambda v: v.mid().ceil()),
    "square": _powered,
    "integer_pow": _powered,
    "sqrt": _each(lambda v: v.sqrt()),
    "rsqrt": _each(lambda v: v.rsqrt()),
    "tanh": _each(lambda v: v.tanh()),
    "exp": _each(lambda v: v.exp()),
    "expm1": _each(lambda v: v.expm1()),
    "log": _each(lambda v: v.log()),
    "log1p": _each(lambda v: v.log1p()),
    "logistic": _each(lambda v: 1 / (1 + (-v).exp())),
    "sin": _each(lambda v: v.sin()),
    "cos": _each(lambda v: v.cos()),
    "reduce_sum": _reduced(np.sum),
    "reduce_max": _reduced(_larger.reduce),
    "concatenate": lambda eqn, values: np.concatenate([_balls(v) for v in values], axis=eqn.params["dimension"]),
    "stack": lambda eqn, values: np.stack([_balls(v) for v in values], axis=eqn.params["axis"]),
    "eq": _compared(lambda side: side == 0),
    "ne": _compared(lambda side: side != 0),
    "lt": _compared(lambda side: side < 0),
    "le": _compared(lambda side: side <= 0),
    "gt": _compared(lambda side: side > 0),
    "ge": _compared(lambda side: side >= 0),
}
