"""The measure of a run's first steps, as if the run had ended there: one run gives the values of all shorter runs.

Most sums of a measure grow from loss to loss, and the sums of a shorter run are those at its end. Some sums are over
the last losses of a run, or over its first part (`measures.Ends`). For these a lane stores its first and its last
losses, and the measure adds them again in the order in which the shorter run would have added them. So a value has the
same bits as in a problem with that number of steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float64, Int

from render.train.measures import Measure


class Kept(NamedTuple):
    """Losses of each lane, float64 [lane, loss]: the first, and the last by step modulo their number."""

    first: jax.Array
    last: jax.Array


def begin(measure: Measure, lanes: int, steps: int) -> Kept:
    """Return empty arrays for the losses that a run of `steps` steps needs."""
    count = int(measure.ends.losses(steps))
    return Kept(
        jnp.zeros((lanes, count if measure.ends.head else 0)), jnp.zeros((lanes, count if measure.ends.tail else 0))
    )


def keep(kept: Kept, loss: Float64[Array, "lane"], t: Int[Array, ""]) -> Kept:
    """Return the stored losses with the loss before step t added."""
    first, last = kept
    if count := first.shape[1]:
        place = jnp.minimum(t, count - 1)
        first = first.at[:, place].set(jnp.where(t < count, loss, first[:, place]))
    if count := last.shape[1]:
        last = last.at[:, t % count].set(loss)
    return Kept(first, last)


def sums_of(measure: Measure, sums: Any, kept: Kept, escape_step: Int[Array, "lane"], steps: Int[Array, ""]) -> Any:
    """Return the sums of runs of `steps` steps, given the running sums and the stored losses after as many steps.

    escape_step: that of the runs; -1 where a run has not escaped by then. A lane that escaped may not have been updated
    since. Its stored losses are still those that are needed, because they were stored at its escape or later.
    """
    ends = measure.ends

    def added(names: tuple[str, ...], losses: jax.Array, first: Any, end: Any) -> dict[str, jax.Array]:
        def one(t: jax.Array, part: Any) -> Any:
            alive = (escape_step < 0) | (t < escape_step)
            return measure.add(part, losses[:, t % losses.shape[1]], alive, t, steps)

        empty = sums._replace(**{name: jnp.zeros_like(getattr(sums, name)) for name in names})
        done = jax.lax.fori_loop(first, end, one, empty)
        return {name: getattr(done, name) for name in names}

    replaced: dict[str, jax.Array] = {}
    if ends.head:
        replaced |= added(ends.head, kept.first, 0, jnp.minimum(ends.losses(steps), steps))
    if ends.tail:
        replaced |= added(ends.tail, kept.last, jnp.maximum(0, steps - ends.losses(steps)), steps)
    return sums._replace(**replaced)
