"""Measures: running sums that turn a trajectory of losses into one signed value, without storing the losses.

A measure is a row of MEASURES. A new one needs a few functions here, and its name in the catalogue rows that offer it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float64, Int

# Losses relative to the first are capped here, and non-finite losses count as this (published code).
CAP = 1e6

# A run has converged if the mean of its last 20 relative losses is below 1 (published code).
TAIL = 20

# A run whose losses are all zero (c = 0 of the Mandelbrot set) still needs a value below zero.
_TINY = np.finfo(np.float64).tiny


# The length of a run: the problem's, or that of a prefix.
Steps = int | Int[Array, ""]


class Ends(NamedTuple):
    """The sums over a run's first or last losses, which differ in a run of another length.

    head, tail: names of the fields of the sums. losses(steps) -> the number of losses at either end, which never falls
    as steps (a number or an array) rises; 0 if there are no such fields.
    """

    head: tuple[str, ...]
    tail: tuple[str, ...]
    losses: Callable[[Any], Any]


class Measure(NamedTuple):
    """The functions over [lane] arrays by which a run is judged.

    begin(lanes) -> the sums before step 0, a NamedTuple of arrays.
    reference(sums, loss, t) -> the loss that the escape radius is relative to.
    add(sums, loss, alive, t, steps) -> the sums with the loss before update t of the lanes that are alive.
    above_cap(sums, loss, t) -> the amount by which the term of this loss exceeds the cap.
    finish(sums, escape_step, steps), in NumPy -> (value float64, < 0 if converged; converged bool).
    ends: which of the sums depend on the number of steps, see `Ends`.
    """

    begin: Callable[[int], Any]
    reference: Callable[[Any, jax.Array, jax.Array], jax.Array]
    add: Callable[[Any, jax.Array, jax.Array, jax.Array, Steps], Any]
    finish: Callable[[Any, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
    above_cap: Callable[[Any, jax.Array, jax.Array], jax.Array]
    ends: Ends


class Sums(NamedTuple):
    """Running sums of one lane each, [lane] float64; an escaped lane adds nothing more."""

    first: jax.Array  # loss 0, non-finite -> CAP
    total: jax.Array  # sum of v
    inverse: jax.Array  # sum of 1 / v
    tail: jax.Array  # sum of v over the last TAIL steps


def begin(lanes: int) -> Sums:
    """Return the sums before step 0."""
    return Sums(*(jnp.zeros(lanes) for _ in Sums._fields))


def add(sums: Sums, loss: Float64[Array, "lane"], alive: Bool[Array, "lane"], t: Int[Array, ""], steps: Steps) -> Sums:
    """Add the loss before update t of the lanes that are alive: v = min(l_t / l_0, CAP)."""
    first = jnp.where(t == 0, jnp.where(jnp.isfinite(loss), loss, CAP), sums.first)
    return _added(sums, first, loss, alive, t, steps)


def add_absolute(
    sums: Sums, loss: Float64[Array, "lane"], alive: Bool[Array, "lane"], t: Int[Array, ""], steps: Steps
) -> Sums:
    """Add the absolute loss before update t of the lanes that are alive: v = min(l_t, CAP)."""
    return _added(sums, jnp.ones_like(loss), loss, alive, t, steps)


def _added(
    sums: Sums,
    first: Float64[Array, "lane"],
    loss: Float64[Array, "lane"],
    alive: Bool[Array, "lane"],
    t: Int[Array, ""],
    steps: Steps,
) -> Sums:
    v = jnp.minimum(loss / first, CAP)
    return Sums(
        first,
        jnp.where(alive, sums.total + v, sums.total),
        jnp.where(alive, sums.inverse + 1 / v, sums.inverse),
        jnp.where(alive & (t >= steps - TAIL), sums.tail + v, sums.tail),
    )


def finish(
    sums: Sums, escape_step: Int[np.ndarray, "lane"], steps: int
) -> tuple[Float64[np.ndarray, "lane"], Bool[np.ndarray, "lane"]]:
    """Return (value [lane] float64, converged [lane] bool) of NumPy sums after the last step.

    From its escape step on, a lane counts CAP for every step. The published code counts 1e6 / l_0 once a loss is
    no longer finite, which lowers |value| by at most steps * (l_0 - 1) * 1e-6 where l_0 > 1. A run whose very
    first loss is not finite counts 1 for every step, as published.
    """
    cap = np.where(escape_step == 0, 1.0, CAP)
    total, inverse, tail = _filled(sums, escape_step, steps, cap)
    converged = tail / min(TAIL, steps) < 1
    return np.where(converged, -total, inverse), converged


def finish_absolute(
    sums: Sums, escape_step: Int[np.ndarray, "lane"], steps: int
) -> tuple[Float64[np.ndarray, "lane"], Bool[np.ndarray, "lane"]]:
    """Return value and converged for absolute losses: a run has converged if the mean of the last 20 is below 1."""
    total, inverse, tail = _filled(sums, escape_step, steps, np.full(escape_step.shape, CAP))
    converged = tail / min(TAIL, steps) < 1
    return np.where(converged, -np.maximum(total, _TINY), inverse), converged


def finish_bounded(
    sums: Sums, escape_step: Int[np.ndarray, "lane"], steps: int
) -> tuple[Float64[np.ndarray, "lane"], Bool[np.ndarray, "lane"]]:
    """Return value and converged, which here means that the run never escaped (Liu 2024)."""
    total, inverse, _ = _filled(sums, escape_step, steps, np.full(escape_step.shape, CAP))
    converged = escape_step < 0
    return np.where(converged, -np.maximum(total, _TINY), inverse), converged


class Chart(NamedTuple):
    """Running sums of the measure of `torkamandi`, [lane] float64; v is at most CHART_CAP."""

    first: jax.Array  # loss 0, non-finite -> CHART_CAP
    total: jax.Array  # sum of v
    head: jax.Array  # sum of v over the first twentieth of the run
    tail: jax.Array  # sum of v over the last twentieth
    tail_squares: jax.Array  # sum of v^2 over the last twentieth


# Losses relative to the first are capped here, and non-finite losses count as this.
CHART_CAP = 10.0


def begin_chart(lanes: int) -> Chart:
    """Return the sums before step 0."""
    return Chart(*(jnp.zeros(lanes) for _ in Chart._fields))


def add_chart(
    sums: Chart, loss: Float64[Array, "lane"], alive: Bool[Array, "lane"], t: Int[Array, ""], steps: Steps
) -> Chart:
    """Add the loss before update t of the lanes that are alive."""
    counted = jnp.where(jnp.isfinite(loss), loss, CHART_CAP)
    first = jnp.where(t == 0, counted, sums.first)
    v = jnp.where(alive, jnp.minimum(counted / first, CHART_CAP), 0.0)
    ends = _twentieth(steps)
    head, tail = jnp.where(t < ends, v, 0.0), jnp.where(t >= steps - ends, v, 0.0)
    return Chart(first, sums.total + v, sums.head + head, sums.tail + tail, sums.tail_squares + tail * tail)


def finish_chart(
    sums: Chart, escape_step: Int[np.ndarray, "lane"], steps: int
) -> tuple[Float64[np.ndarray, "lane"], Bool[np.ndarray, "lane"]]:
    """Return value and converged by the rule of Torkamandi 2025 (arXiv:2501.04286, released code).

    Converged: over n = steps / 20 losses at either end, mean(last) + 0.1 < mean(first), variance(last) < 0.01 and
    mean(last) < 0.4. With S the sum of all and A = 1 + 0.4 (steps - 1), the published magnitude is
    m = sqrt((A - S) / (0.4 (steps - 1))) if converged, else sqrt((S - A) / (1 + 9.6 (steps - 1))): large is fast.
    Here large is slow, as with every measure, so the value is m - 2 if converged, else 2 - m. Where the root is not
    real, m is 0. From the escape step on, every loss counts as a non-finite loss does.
    """
    ends = _twentieth(steps)
    gone = escape_step >= 0
    begin = np.where(gone, escape_step, steps)

    cap = np.minimum(CHART_CAP / np.asarray(sums.first), CHART_CAP)

    def capped(first: int, end: int) -> np.ndarray:
        filled: np.ndarray = cap * np.clip(end - np.maximum(begin, first), 0, None)
        return filled

    total = np.asarray(sums.total) + capped(0, steps)
    head = (np.asarray(sums.head) + capped(0, ends)) / ends
    tail = (np.asarray(sums.tail) + capped(steps - ends, steps)) / ends
    squares = (np.asarray(sums.tail_squares) + cap * capped(steps - ends, steps)) / ends
    converged = (tail + 0.1 < head) & (squares - tail**2 < 0.01) & (tail < 0.4)
    even = 1 + 0.4 * (steps - 1)
    span = np.where(converged, max(0.4 * (steps - 1), 1e-300), 1 + 9.6 * (steps - 1))
    size = np.sqrt(np.maximum(np.where(converged, even - total, total - even), 0) / span)
    return np.where(converged, size - 2, 2 - size), converged


def _filled(
    sums: Sums, escape_step: np.ndarray, steps: int, cap: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return total, inverse and tail with cap for every step from the escape step on."""
    left = np.where(escape_step >= 0, steps - escape_step, 0)
    total = np.asarray(sums.total) + left * cap
    inverse = np.asarray(sums.inverse) + left / cap
    tail = np.asarray(sums.tail) + np.minimum(left, TAIL) * cap
    return total, inverse, tail


def _reference_first(sums: Any, loss: Float64[Array, "lane"], t: Int[Array, ""]) -> Float64[Array, "lane"]:
    return jnp.where(t == 0, loss, sums.first)  # the first loss itself, finite or not


def _reference_one(sums: Any, loss: Float64[Array, "lane"], t: Int[Array, ""]) -> Float64[Array, "lane"]:
    return jnp.ones_like(loss)


def _relative_above(cap: float) -> Callable[[Any, jax.Array, jax.Array], jax.Array]:
    return lambda sums, loss, t: jnp.where(t == 0, 1.0, loss / sums.first) - cap


def _above(sums: Any, loss: jax.Array, t: jax.Array) -> jax.Array:
    return loss - CAP


def _twentieth(steps: Any) -> Any:
    """Return a twentieth of a number of steps, or of an array of such numbers, at least 1."""
    return max(1, steps // 20) if isinstance(steps, int) else jnp.maximum(1, steps // 20)


_TAIL_ONLY = Ends((), ("tail",), lambda steps: TAIL)
_TWENTIETHS = Ends(("head",), ("tail", "tail_squares"), _twentieth)
_NO_ENDS = Ends((), (), lambda steps: 0)

MEASURES = {
    "published": Measure(begin, _reference_first, add, finish, _relative_above(CAP), _TAIL_ONLY),
    "absolute": Measure(begin, _reference_one, add_absolute, finish_absolute, _above, _TAIL_ONLY),
    "torkamandi": Measure(
        begin_chart, _reference_one, add_chart, finish_chart, _relative_above(CHART_CAP), _TWENTIETHS
    ),
    "bounded": Measure(begin, _reference_one, add_absolute, finish_bounded, _above, _NO_ENDS),
}


def before_tail(steps: int) -> int:
    """Return the step from which on a measure may depend on the end of a run of so many steps."""
    return max(0, steps - max(TAIL, steps // 20))
