"""The effect of each primitive operation on differences from a reference run: one exact rule each.

With reference values in capitals and differences small, a rule returns f(X + x) - f(X) without subtracting two nearly
equal numbers. Adding one is a function here and its name in RULES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from render.errors import RenderError
from render.train import operations


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
        result: jax.Array = operations.bound(self.one, [pair.ref for pair in pairs])[0]
        return result

    def on(self, *values: Any) -> jax.Array:
        """Return the operation on values of all lanes."""
        result: jax.Array = operations.bound(self.all, list(values))[0]
        return result

    def spread(self, pairs: list[Pair]) -> list[jax.Array]:
        """Return the reference's operands, as shaped with all lanes."""
        return [spread(pair.ref, var.aval.shape) for pair, var in zip(pairs, self.all.invars, strict=True)]

    def changes(self, pairs: list[Pair]) -> list[jax.Array]:
        """Return the differences of the operands, zeros where there are none."""
        shapes = [var.aval.shape for var in self.all.invars]
        return [
            jnp.zeros(shape, pair.ref.dtype) if pair.change is None else pair.change
            for pair, shape in zip(pairs, shapes, strict=True)
        ]

    def values(self, pairs: list[Pair]) -> list[jax.Array]:
        """Return each lane's own operands."""
        return [lane_value(big, pair.change) for big, pair in zip(self.spread(pairs), pairs, strict=True)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result with all lanes."""
        shape: tuple[int, ...] = self.all.outvars[0].aval.shape
        return shape


Rule = Callable[[Operation, list[Pair]], Any]


def is_float(value: jax.Array) -> bool:
    """Return whether an array has differences at all: booleans and whole numbers are carried as they are."""
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


def lane_value(ref: jax.Array, change: jax.Array | None) -> jax.Array:
    """Return what the lanes themselves have."""
    if change is None:
        return ref
    return ref + change if is_float(change) else change


def spread(ref: jax.Array, shape: tuple[int, ...]) -> jax.Array:
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
    into_float = is_float(pairs[-1].ref)
    if is_float(pairs[0].ref) and into_float:
        return op.on(pairs[0].change)
    converted = op.on(*op.values(pairs[:-1]))
    return converted - spread(pairs[-1].ref, op.shape) if into_float else converted


def _discrete(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Operations on booleans and whole numbers: each lane's own."""
    return op.on(*op.values(pairs[:-1]))


def _add(op: Operation, pairs: list[Pair]) -> jax.Array:
    return _sum(op, pairs, jnp.positive)


def _subtract(op: Operation, pairs: list[Pair]) -> jax.Array:
    return _sum(op, pairs, jnp.negative)


def _sum(op: Operation, pairs: list[Pair], signed: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Sum, with the right operand signed; an operand without differences adds none."""
    if not is_float(pairs[-1].ref):
        return _discrete(op, pairs)
    left, right, _ = pairs
    if right.change is None:
        change = _some(left)
    else:
        change = signed(right.change) if left.change is None else left.change + signed(right.change)
    return jnp.broadcast_to(change, op.shape)


def _some(pair: Pair) -> jax.Array:
    assert pair.change is not None  # a rule is only asked where some operand has one
    return pair.change


def _multiply(op: Operation, pairs: list[Pair]) -> jax.Array:
    """(X + x)(Y + y) - XY = x (Y + y) + X y."""
    if not is_float(pairs[-1].ref):
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
    numerator = -spread(quotient.ref, op.shape) * right.change
    if left.change is not None:
        numerator = left.change + numerator
    return numerator / op.values(pairs[:-1])[1]


def _power(op: Operation, pairs: list[Pair]) -> jax.Array:
    """(X + x)^n - X^n = x sum_k (X + x)^k X^(n-1-k); for n < 0 by what it does to the reciprocal."""
    exponent = op.all.params.get("y", 2)  # `square` has no parameter
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    moved = big + x
    if exponent == 2:
        return (big + moved) * x
    total, term = jnp.ones_like(x), jnp.ones_like(x)
    for _ in range(abs(exponent) - 1):
        term = term * moved
        total = total * big + term
    if exponent > 0:
        return x * total
    power: jax.Array = moved**-exponent
    return -x * total * spread(pairs[-1].ref, op.shape) / power


def _square_root(op: Operation, pairs: list[Pair]) -> jax.Array:
    (x,), (operand,) = op.changes(pairs[:1]), op.values(pairs[:1])
    both = spread(pairs[-1].ref, op.shape) + jnp.sqrt(operand)
    return jnp.where(both == 0, 0.0, x / jnp.where(both == 0, 1.0, both))


def _reciprocal_root(op: Operation, pairs: list[Pair]) -> jax.Array:
    """1/sqrt(X+x) - 1/sqrt(X) = -x R r^2 / (1 + r / R), with R and r both reciprocal roots."""
    (x,), (operand,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big, r = spread(pairs[-1].ref, op.shape), jax.lax.rsqrt(operand)
    return -x * big * big * r * r / (big + r)


# A difference this large is no small number: its function is taken as it is, where the exact form could be 0 / 0.
_LARGE = 1.0


def _tanh(op: Operation, pairs: list[Pair]) -> jax.Array:
    """tanh(X + x) - H = t (1 - H^2) / (1 + H t) with H = tanh(X), t = tanh(x)."""
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    # 1 - H^2 would lose its digits where a unit is saturated; of the one reference, cosh costs nothing.
    h, slope = spread(pairs[-1].ref, op.shape), spread(1 / jnp.square(jnp.cosh(pairs[0].ref)), op.shape)
    small = jnp.abs(x) < _LARGE
    t = jnp.tanh(jnp.where(small, x, big + x))  # one tanh for either case
    return jnp.where(small, t * slope / (1 + h * t), t - h)


def _exp(op: Operation, pairs: list[Pair]) -> jax.Array:
    (x,), (operand,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big = spread(pairs[-1].ref, op.shape)
    return jnp.where(jnp.abs(x) < _LARGE, big * jnp.expm1(x), jnp.exp(operand) - big)


def _expm1(op: Operation, pairs: list[Pair]) -> jax.Array:
    (x,), (operand,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big = spread(pairs[-1].ref, op.shape)
    return jnp.where(jnp.abs(x) < _LARGE, (1 + big) * jnp.expm1(x), jnp.expm1(operand) - big)


def _log(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return jnp.log1p(x / big)


def _log1p(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return jnp.log1p(x / (1 + big))


def _logistic(op: Operation, pairs: list[Pair]) -> jax.Array:
    """s(X + x) - S = S (1 - S) e / (1 + S e) with e = exp(x) - 1."""
    (x,), (operand,) = op.changes(pairs[:1]), op.values(pairs[:1])
    big = spread(pairs[-1].ref, op.shape)
    small = jnp.abs(x) < _LARGE
    e = jnp.expm1(jnp.where(small, x, 0.0))
    return jnp.where(small, big * (1 - big) * e / (1 + big * e), jax.lax.logistic(operand) - big)


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


def _stepped(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Functions with whole values: where lane and reference are on one step, the difference is exactly zero."""
    return op.on(*op.values(pairs[:1])) - spread(pairs[-1].ref, op.shape)


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
    largest = jax.lax.broadcast_in_dim(spread(pairs[-1].ref, op.shape), big.shape, kept)
    return op.on((big - largest) + x)


def _compare(op: Operation, pairs: list[Pair]) -> jax.Array:
    """The sign of X - Y + (x - y), compared with zero."""
    if not is_float(pairs[0].ref):
        return _discrete(op, pairs)
    (left, right), (x, y) = op.spread(pairs[:2]), op.changes(pairs[:2])
    apart = jnp.asarray((left - right) + (x - y))
    return op.on(apart, jnp.zeros_like(apart))


def _select(op: Operation, pairs: list[Pair]) -> jax.Array:
    """By cases: where a lane takes the reference's case, that case's difference; else from one case to the other."""
    which, *cases, result = pairs
    case = op.values([which, *cases])[0]
    if not is_float(result.ref):
        return op.on(case, *op.values(pairs[:-1])[1:])
    changes = op.on(case, *op.changes(pairs[:-1])[1:])
    if which.change is None:
        return changes
    across = op.on(case, *op.spread(pairs[:-1])[1:]) - spread(result.ref, op.shape)
    return across + changes  # where it takes the reference's case, `across` is exactly zero


RULES: dict[str, Rule] = {
    **dict.fromkeys(("neg", "reshape", "transpose", "broadcast_in_dim", "squeeze", "slice", "rev", "copy"), _linear),
    "optimization_barrier": _linear,  # with one operand, as `reversed_sums` puts it
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
    **dict.fromkeys(("sign", "round", "floor", "ceil"), _stepped),
    "max": _larger,
    "min": _smaller,
    "reduce_max": _largest,
    "select_n": _select,
}
