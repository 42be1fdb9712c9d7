"""Detection of lanes near a kink: a place where an operation takes one of several cases, such as max(z, 0) at z = 0.

Between kinks a run is a smooth function of its hyperparameters. On a kink it is not, and a polynomial that is fitted to
probes on both sides, or on one side where the fold lies between them, is wrong without a sign of it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from render.train.past_float64.rules import Operation, Pair, is_float, spread

# A kink is near where this many times a lane's difference reaches it. Probes stand in the corners of what they speak
# for, and below 1 % of the reference differences are all but linear: so none is between them that this does not see.
_REACH = 2.0


def near(name: str, operation: Operation, pairs: list[Pair]) -> jax.Array | None:
    """Return a bool: whether a lane of an operation is near a kink; None if the operation has none.

    name: of the operation. pairs: its operands, then its result.
    """
    kink = _KINKS.get(name)
    return None if kink is None else kink(operation, pairs).any()


def _compared(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Operations that ask which of two operands is larger."""
    if not is_float(pairs[0].ref):
        return _discrete(op, pairs)
    (left, right), (x, y) = op.spread(pairs[:2]), op.changes(pairs[:2])
    return _crosses(left - right, x - y)


def _around_zero(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return _crosses(big, x)


def _crosses(ref: jax.Array, change: jax.Array) -> jax.Array:
    return jnp.sign(ref) != jnp.sign(ref + _REACH * change)


def _stepped(op: Operation, pairs: list[Pair]) -> jax.Array:
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    return op.on(big + _REACH * x) != spread(pairs[-1].ref, op.shape)


def _largest(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Return whether moving the values by the reach changes which of them is the largest for reduce_max."""
    (big,), (x,) = op.spread(pairs[:1]), op.changes(pairs[:1])
    axes = op.all.params["axes"]
    moved = big + _REACH * x
    return (big == big.max(axis=axes, keepdims=True)) != (moved == moved.max(axis=axes, keepdims=True))


def _selected(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Return whether a lane selects another case than the reference. The comparison itself is checked before."""
    which = pairs[0]
    if which.change is None:
        return jnp.zeros(1, dtype=bool)
    return which.change != spread(which.ref, which.change.shape)


def _discrete(op: Operation, pairs: list[Pair]) -> jax.Array:
    """Return whether a lane has another result than the reference, for operations whose result is not a float."""
    return op.on(*op.values(pairs[:-1])) != spread(pairs[-1].ref, op.shape)


def _converted(op: Operation, pairs: list[Pair]) -> jax.Array:
    to_float = is_float(pairs[0].ref) and is_float(pairs[-1].ref)
    return jnp.zeros(1, dtype=bool) if to_float else _discrete(op, pairs)


_KINKS: dict[str, Callable[[Operation, list[Pair]], jax.Array]] = {
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "max", "min"), _compared),
    **dict.fromkeys(("abs", "sign"), _around_zero),
    **dict.fromkeys(("round", "floor", "ceil"), _stepped),
    **dict.fromkeys(("and", "or", "not", "xor", "is_finite"), _discrete),
    "convert_element_type": _converted,
    "reduce_max": _largest,
    "select_n": _selected,
}
