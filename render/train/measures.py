"""Measures: running sums that turn a trajectory of losses into one signed value, with no history kept."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Losses relative to the first are capped here, and non-finite losses count as this (published code).
CAP = 1e6

# A run converged when the mean of its last 20 relative losses is below 1 (published code).
TAIL = 20


class Sums(NamedTuple):
    """Running sums of one lane each, [lane] float64; an escaped lane adds nothing more."""

    first: jax.Array  # loss 0, non-finite -> CAP
    total: jax.Array  # sum of v
    inverse: jax.Array  # sum of 1 / v
    tail: jax.Array  # sum of v over the last TAIL steps


def begin(lanes: int) -> Sums:
    """Return the sums before step 0."""
    return Sums(*(jnp.zeros(lanes) for _ in Sums._fields))


def add(sums: Sums, loss: jax.Array, alive: jax.Array, t: jax.Array, steps: int) -> Sums:
    """Add the loss before update t of the lanes that are alive: v = min(l_t / l_0, CAP)."""
    first = jnp.where(t == 0, jnp.where(jnp.isfinite(loss), loss, CAP), sums.first)
    v = jnp.minimum(loss / first, CAP)
    return Sums(
        first,
        jnp.where(alive, sums.total + v, sums.total),
        jnp.where(alive, sums.inverse + 1 / v, sums.inverse),
        jnp.where(alive & (t >= steps - TAIL), sums.tail + v, sums.tail),
    )


def finish(sums: Sums, escape_step: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (value [lane] float64, converged [lane] bool) of NumPy sums after the last step.

    From its escape step on, a lane counts CAP for every step. The published code counts 1e6 / l_0 once a loss is
    no longer finite, which lowers |value| by at most steps * (l_0 - 1) * 1e-6 where l_0 > 1. A run whose very
    first loss is not finite counts 1 for every step, as published.
    """
    gone = escape_step >= 0
    left = np.where(gone, steps - escape_step, 0)
    cap = np.where(escape_step == 0, 1.0, CAP)
    total = np.asarray(sums.total) + left * cap
    inverse = np.asarray(sums.inverse) + left / cap
    tail = np.asarray(sums.tail) + np.minimum(left, TAIL) * cap
    converged = tail / min(TAIL, steps) < 1
    return np.where(converged, -total, inverse), converged
