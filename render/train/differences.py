"""The step of a system, over differences from one reference run: exact, and without cancellation.

Two runs that start d apart are followed as one run and their difference, so that d may be far below the last digit of
either run. The step is traced to its primitive operations, and each is evaluated on pairs (X, x): the reference's value
and each lane's difference from it. A rule says what the operation does to the difference, in a form that never
subtracts two nearly equal numbers: (X + x)(Y + y) - XY = x (Y + y) + X y. It is to finite differences what `jax.jvp` is
to tangents, and what perturbation is to deep pictures of the Mandelbrot set.

The reference has one lane, so the step is traced twice, for one lane and for all: X has the shape of the one, x that of
the other. Lanes are the first axis, so where axes are merged the lanes are the slowest part: `_spread` relies on that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from render.errors import RenderError
from render.train import tracing
from render.train.systems import Hyper, State, System


class Pair(NamedTuple):
    """A variable of the step. ref: the reference's value, as shaped with one lane.

    change: what each lane has more, as shaped with all lanes; None if the lanes cannot differ in it. For booleans and
    whole numbers it is each lane's own value instead.
    """

    ref: jax.Array
    change: jax.Array | None = None


class Operation(NamedTuple):
    """One equation, as traced with one lane and with all."""

    one: Any
    all: Any

    def ref(self, pairs: list[Pair]) -> jax.Array:
        """Return the operation on the reference's values."""
        result: jax.Array = tracing.bound(self.one, [pair.ref for pair in pairs])[0]
        return result

    def on(self, *values: Any) -> jax.Array:
        """Return the operation on values of all lanes."""
        result: jax.Array = tracing.bound(self.all, list(values))[0]
        return result

    def spread(self, pairs: list[Pair]) -> list[jax.Array]:
        """Return the reference's operands, as shaped with all lanes."""
        return [_spread(pair.ref, var.aval.shape) for pair, var in zip(pairs, self.all.invars, strict=True)]

    def changes(self, pairs: list[Pair]) -> list[jax.Array]:
        """Return the differences of the operands, zeros where there are none."""
        shapes = [var.aval.shape for var in self.all.invars]
        return [
            jnp.zeros(shape, pair.ref.dtype) if pair.change is None else pair.change
            for pair, shape in zip(pairs, shapes, strict=True)
        ]

    def values(self, pairs: list[Pair]) -> list[jax.Array]:
        """Return each lane's own operands."""
        return [_sum(big, pair.change) for big, pair in zip(self.spread(pairs), pairs, strict=True)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result with all lanes."""
        shape: tuple[int, ...] = self.all.outvars[0].aval.shape
        return shape


Rule = Callable[[Operation, list[Pair]], Any]


class Differences:
    """A system's start and step over differences. Raises RenderError for an operation that has no rule."""

    def __init__(self, system: System, name: str) -> None:
        """name: of the system, for messages."""
        self._system, self._name = system, name

    def start(self, ref: Hyper, change: Hyper) -> State:
        """Return the differences of the states before step 0. ref: [1] each. change: [lane] each."""
        [*leaves], tree = self._run(self._system.start, (ref,), (change,))
        return jax.tree.unflatten(tree, [_all_changes(pair, shape) for pair, shape in leaves])

    def step(self, ref: tuple[State, Hyper], change: tuple[State, Hyper], t: jax.Array) -> tuple[State, jax.Array]:
        """Return the differences of the states after step t, and the loss [lane] itself before it."""
        [*leaves, (loss, shape)], tree = self._run(self._system.step, (*ref, t), (*change, None))
        whole = _sum(_spread(loss.ref, shape), loss.change)
        parts = [_all_changes(pair, shape) for pair, shape in leaves]
        state, loss_lanes = jax.tree.unflatten(tree, [*parts, whole])
        return state, loss_lanes

    def _run(self, function: Callable[..., Any], ref: tuple[Any, ...], change: tuple[Any, ...]) -> Any:
        """Return the results as (pair, shape with all lanes), and their tree."""
        lanes = tuple(r if c is None else c for r, c in zip(ref, change, strict=True))
        one = jax.make_jaxpr(function)(*_shapes(ref))
        whole, shapes = jax.make_jaxpr(function, return_shape=True)(*_shapes(lanes))
        given = [
            [
                Pair(r, None if c is None else a)
                for r, a in zip(jax.tree.leaves(ref_), jax.tree.leaves(all_), strict=True)
            ]
            for ref_, all_, c in zip(ref, lanes, change, strict=True)
        ]
        results = self._evaluate(one.jaxpr, whole.jaxpr, one.consts, [pair for part in given for pair in part])
        leaves, tree = jax.tree.flatten(shapes)
        return list(zip(results, [leaf.shape for leaf in leaves], strict=True)), tree

    def _evaluate(self, one: Any, whole: Any, consts: Any, arguments: list[Pair]) -> list[Pair]:
        known: dict[Any, Pair] = {}

        def read(var: Any) -> Pair:
            return Pair(tracing.literal(var)) if isinstance(var, core.Literal) else known[var]

        known.update(zip(one.constvars, (Pair(jnp.asarray(c)) for c in consts), strict=True))
        known.update(zip(one.invars, arguments, strict=True))
        if [e.primitive.name for e in one.eqns] != [e.primitive.name for e in whole.eqns]:
            raise RenderError(
                f"System {self._name!r} takes other operations for one lane than for many, so that its runs cannot be "
                'followed by their differences. Use precision "float64".'
            )
        for eqn, eqn_all in zip(one.eqns, whole.eqns, strict=True):
            pairs = [read(var) for var in eqn.invars]
            inner, inner_all = tracing.inside(eqn), tracing.inside(eqn_all)
            if inner is not None and inner_all is not None:
                results = self._evaluate(inner.jaxpr, inner_all.jaxpr, inner.consts, pairs)
            elif all(pair.change is None for pair in pairs):
                results = [Pair(r) for r in tracing.bound(eqn, [pair.ref for pair in pairs])]
            else:
                results = [self._result(Operation(eqn, eqn_all), pairs)]
            known.update(zip(eqn.outvars, results, strict=True))
        return [read(var) for var in one.outvars]

    def _result(self, operation: Operation, pairs: list[Pair]) -> Pair:
        name = operation.one.primitive.name
        rule = RULES.get(name)
        if rule is None:
            raise RenderError(
                f"System {self._name!r} uses the operation {name!r}, which has no rule for differences "
                f'(render.train.differences.RULES has {len(RULES)} others). Use precision "float64".'
            )
        ref = operation.ref(pairs)
        return Pair(ref, rule(operation, [*pairs, Pair(ref)]))


def _shapes(tree: Any) -> Any:
    """Return shapes and dtypes alone: an array that came from a Python number would be traced otherwise."""
    return jax.tree.map(lambda a: tracing.shaped(jnp.shape(a), jnp.asarray(a).dtype), tree)


def _all_changes(pair: Pair, shape: tuple[int, ...]) -> jax.Array:
    if pair.change is not None:
        return pair.change
    return jnp.zeros(shape, pair.ref.dtype) if _is_float(pair.ref) else _spread(pair.ref, shape)


def whole(ref: State, change: State) -> State:
    """Return the states of the lanes themselves: reference [1, ...] plus differences [lane, ...]."""
    return jax.tree.map(lambda r, c: _sum(r, c), ref, change)


def _is_float(value: jax.Array) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


def _sum(ref: jax.Array, change: jax.Array | None) -> jax.Array:
    if change is None:
        return ref
    return ref + change if _is_float(change) else change


def _spread(ref: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Repeat the reference's one lane for all: axes that are larger in `shape` hold whole lanes one after another."""
    for axis, (small, large) in enumerate(zip(ref.shape, shape, strict=True)):
        if small != large:
            before, after = ref.shape[:axis], ref.shape[axis + 1 :]
            repeated = jnp.broadcast_to(jnp.expand_dims(ref, axis), (*before, large // small, small, *after))
            ref = repeated.reshape(*before, large, *after)
    return ref


# ---- rules: what an operation does to differences. The last pair holds the reference's result. ----------------


def _linear(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Operations that only move, repeat, add up or negate their first operand; the others say how."""
    first, *others = pairs[:-1]
    if any(pair.change is not None for pair in others):
        raise RenderError(f"The operation {op.one.primitive.name!r} has no rule for places that differ between lanes.")
    return op.on(first.change, *op.spread(pairs[:-1])[1:])


def _concatenate(op: Operation, pairs: list[Pair]) -> jax.Array:
    return op.on(*op.changes(pairs[:-1]))


def _convert(op: Operation, pairs: list[Pair]) -> jax.Array:
    into_float = _is_float(pairs[-1].ref)
    if _is_float(pairs[0].ref) and into_float:
        return op.on(pairs[0].change)
    own = op.on(*op.values(pairs[:-1]))
    return own - _spread(pairs[-1].ref, op.shape) if into_float else own


def _discrete(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Operations on booleans and whole numbers: each lane's own."""
    return op.on(*op.values(pairs[:-1]))


def _add(op: Operation, pairs: list[Pair]) -> jax.Array:
    if not _is_float(pairs[-1].ref):
        return _discrete(op, pairs)
    left, right, _ = pairs
    if right.change is None:
        return jnp.broadcast_to(_some(left), op.shape)
    return jnp.broadcast_to(right.change if left.change is None else left.change + right.change, op.shape)


def _subtract(op: Operation, pairs: list[Pair]) -> jax.Array:
    if not _is_float(pairs[-1].ref):
        return _discrete(op, pairs)
    left, right, _ = pairs
    if right.change is None:
        return jnp.broadcast_to(_some(left), op.shape)
    return jnp.broadcast_to(-right.change if left.change is None else left.change - right.change, op.shape)


def _some(pair: Pair) -> jax.Array:
    assert pair.change is not None  # a rule is only asked where some operand has one
    return pair.change


def _multiply(op: Operation, pairs: list[Pair]) -> jax.Array:
    """(X + x)(Y + y) - XY = x (Y + y) + X y."""
    if not _is_float(pairs[-1].ref):
        return _discrete(op, pairs)
    return _product(op, pairs)


def _product(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Every operation that is linear in each of its two operands."""
    left, right, _ = pairs
    big_left, big_right = op.spread(pairs[:-1])
    if right.change is None:
        return op.on(left.change, big_right)
    if left.change is None:
        return op.on(big_left, right.change)
    return op.on(left.change, big_right + right.change) + op.on(big_left, right.change)


def _contract(op: Operation, pairs: list[Pair]) -> jax.Array:
    """dot_general. An outer product is written as a product of arrays, which XLA fuses with what is around it."""
    left, right, _ = pairs
    ((over_left, _), (batch_left, batch_right)) = op.all.params["dimension_numbers"]
    leading = tuple(range(len(batch_left)))
    if over_left or tuple(batch_left) != leading or tuple(batch_right) != leading:
        return _product(op, pairs)
    big_left, big_right = op.spread(pairs[:-1])
    free_left, free_right = big_left.ndim - len(leading), big_right.ndim - len(leading)

    def columns(a: jax.Array) -> jax.Array:
        return a.reshape(*a.shape, *[1] * free_right)

    def rows(a: jax.Array) -> jax.Array:
        return a.reshape(*a.shape[: len(leading)], *[1] * free_left, *a.shape[len(leading) :])

    if right.change is None:
        return columns(_some(left)) * rows(big_right)
    if left.change is None:
        return columns(big_left) * rows(right.change)
    return columns(left.change) * rows(big_right + right.change) + columns(big_left) * rows(right.change)


def _divide(op: Operation, pairs: list[Pair]) -> jax.Array:
    """(X + x) / (Y + y) - X / Y = (x - (X / Y) y) / (Y + y)."""
    left, right, quotient = pairs
    if right.change is None:
        return op.on(left.change, op.spread(pairs[:-1])[1])
    numerator = -_spread(quotient.ref, op.shape) * right.change
    if left.change is not None:
        numerator = left.change + numerator
    return numerator / op.values(pairs[:-1])[1]


def _power(op: Operation, pairs: list[Pair]) -> jax.Array:
    """(X + x)^n - X^n = x sum_k (X + x)^k X^(n-1-k); for n < 0 by what it does to the reciprocal."""
    exponent = op.all.params.get("y", 2)  # `square` has no parameter
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    own = big + x
    if exponent == 2:
        return (big + own) * x
    total, term = jnp.ones_like(x), jnp.ones_like(x)
    for _ in range(abs(exponent) - 1):
        term = term * own
        total = total * big + term
    if exponent > 0:
        return x * total
    power: jax.Array = own**-exponent
    return -x * total * _spread(pairs[-1].ref, op.shape) / power


def _square_root(op: Operation, pairs: list[Pair]) -> jax.Array:
    (x,), (own,) = op.changes(pairs[:1]), op.values(pairs[:1])
    both = _spread(pairs[-1].ref, op.shape) + jnp.sqrt(own)
    return jnp.where(both == 0, 0.0, x / jnp.where(both == 0, 1.0, both))


def _reciprocal_root(op: Operation, pairs: list[Pair]) -> jax.Array:
    """1/sqrt(X+x) - 1/sqrt(X) = -x R r^2 / (1 + r / R), with R and r both reciprocal roots."""
    (x,), (own,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big, r = _spread(pairs[-1].ref, op.shape), jax.lax.rsqrt(own)
    return -x * big * big * r * r / (big + r)


# A difference this large is no small number: its function is taken as it is, where the exact form could be 0 / 0.
_LARGE = 1.0


def _tanh(op: Operation, pairs: list[Pair]) -> jax.Array:
    """tanh(X + x) - H = t (1 - H^2) / (1 + H t) with H = tanh(X), t = tanh(x)."""
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    # 1 - H^2 would lose its digits where a unit is saturated; of the one reference, cosh costs nothing.
    h, slope = _spread(pairs[-1].ref, op.shape), _spread(1 / jnp.square(jnp.cosh(pairs[0].ref)), op.shape)
    small = jnp.abs(x) < _LARGE
    t = jnp.tanh(jnp.where(small, x, big + x))  # one tanh for either case
    return jnp.where(small, t * slope / (1 + h * t), t - h)


def _exp(op: Operation, pairs: list[Pair]) -> jax.Array:
    (x,), (own,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big = _spread(pairs[-1].ref, op.shape)
    return jnp.where(jnp.abs(x) < _LARGE, big * jnp.expm1(x), jnp.exp(own) - big)


def _expm1(op: Operation, pairs: list[Pair]) -> jax.Array:
    (x,), (own,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big = _spread(pairs[-1].ref, op.shape)
    return jnp.where(jnp.abs(x) < _LARGE, (1 + big) * jnp.expm1(x), jnp.expm1(own) - big)


def _log(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return jnp.log1p(x / big)


def _log1p(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return jnp.log1p(x / (1 + big))


def _logistic(op: Operation, pairs: list[Pair]) -> jax.Array:
    """s(X + x) - S = S (1 - S) e / (1 + S e) with e = exp(x) - 1."""
    (x,), (own,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big = _spread(pairs[-1].ref, op.shape)
    small = jnp.abs(x) < _LARGE
    e = jnp.expm1(jnp.where(small, x, 0.0))
    return jnp.where(small, big * (1 - big) * e / (1 + big * e), jax.lax.logistic(own) - big)


def _sin(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return 2 * jnp.cos(big + x / 2) * jnp.sin(x / 2)


def _cos(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return -2 * jnp.sin(big + x / 2) * jnp.sin(x / 2)


def _abs(op: Operation, pairs: list[Pair]) -> jax.Array:
    """By cases: on the reference's side of zero the difference itself; across it, (-X - x) - X without rounding."""
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    side = jnp.where(big < 0, -1.0, 1.0)
    return side * jnp.where(side * (big + x) >= 0, x, -2 * big - x)


def _sign(op: Operation, pairs: list[Pair]) -> jax.Array:
    return op.on(*op.values(pairs[:1])) - _spread(pairs[-1].ref, op.shape)


def _larger(op: Operation, pairs: list[Pair]) -> jax.Array:
    return _extreme(op, pairs, 1.0)


def _smaller(op: Operation, pairs: list[Pair]) -> jax.Array:
    return _extreme(op, pairs, -1.0)


def _extreme(op: Operation, pairs: list[Pair], sense: float) -> jax.Array:
    """Max and min by cases: which operand the reference takes, and which the lane."""
    (left, right), (x, y) = op.spread(pairs[:2]), op.changes(pairs[:2])
    apart = left - right
    ref_left, own_left = sense * apart >= 0, sense * (apart + (x - y)) >= 0
    crossed = jnp.where(own_left, apart + x, y - apart)
    return jnp.where(ref_left == own_left, jnp.where(own_left, x, y), crossed)


def _largest(op: Operation, pairs: list[Pair]) -> jax.Array:
    """max(X + x) - max(X) = max((X - max X) + x): near the largest, the inner difference is exact."""
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    kept = [axis for axis in range(big.ndim) if axis not in op.all.params["axes"]]
    largest = jax.lax.broadcast_in_dim(_spread(pairs[-1].ref, op.shape), big.shape, kept)
    return op.on((big - largest) + x)


def _compare(op: Operation, pairs: list[Pair]) -> jax.Array:
    """The sign of X - Y + (x - y), compared with zero."""
    if not _is_float(pairs[0].ref):
        return _discrete(op, pairs)
    (left, right), (x, y) = op.spread(pairs[:2]), op.changes(pairs[:2])
    apart = jnp.asarray((left - right) + (x - y))
    return op.on(apart, jnp.zeros_like(apart))


def _select(op: Operation, pairs: list[Pair]) -> jax.Array:
    """By cases: where a lane takes the reference's case, that case's difference; else from one case to the other."""
    which, *cases, result = pairs
    own = op.values([which, *cases])[0]
    if not _is_float(result.ref):
        return op.on(own, *op.values(pairs[:-1])[1:])
    changes = op.on(own, *op.changes(pairs[:-1])[1:])
    if which.change is None:
        return changes
    across = op.on(own, *op.spread(pairs[:-1])[1:]) - _spread(result.ref, op.shape)
    return across + changes  # where it takes the reference's case, `across` is exactly zero


RULES: dict[str, Rule] = {
    **dict.fromkeys(("neg", "reshape", "transpose", "broadcast_in_dim", "squeeze", "slice", "rev", "copy"), _linear),
    **dict.fromkeys(("reduce_sum", "dynamic_slice", "gather", "cumsum", "expand_dims"), _linear),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), _compare),
    **dict.fromkeys(("and", "or", "not", "xor", "is_finite"), _discrete),
    "concatenate": _concatenate,
    "stack": _concatenate,
    "convert_element_type": _convert,
    "add": _add,
    "add_any": _add,
    "sub": _subtract,
    "mul": _multiply,
    "dot_general": _contract,
    "div": _divide,
    "integer_pow": _power,
    "square": _power,
    "sqrt": _square_root,
    "rsqrt": _reciprocal_root,
    "tanh": _tanh,
    "exp": _exp,
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "logistic": _logistic,
    "sin": _sin,
    "cos": _cos,
    "abs": _abs,
    "sign": _sign,
    "max": _larger,
    "min": _smaller,
    "reduce_max": _largest,
    "select_n": _select,
}
