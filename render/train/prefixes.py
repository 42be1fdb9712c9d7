"""The measure of a run's first steps, as if the run had ended there: one run gives the values of all shorter runs.

Most sums of a measure grow from loss to loss, and those of a shorter run are what they were at its end. Some are of
the last losses of a run, or of a first share of it (`measures.Ends`): for these a lane keeps its first losses and its
last ones, and they are added up once more, by the measure itself, in the order in which the shorter run would have
added them. So a value has the bits that a problem with so many steps gives it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float64, Int

from render.train.measures import Measure


class Kept(NamedTuple):
    """Losses of each lane, float64 [lane, loss]: the first, and the last, by their step modulo how many are kept."""

    first: jax.Array
    last: jax.Array


def begin(measure: Measure, lanes: int, steps: int) -> Kept:
    """Return room for the losses that the longest run of so many steps needs."""
    count = int(measure.ends.losses(steps))
    return Kept(
        jnp.zeros((lanes, count if measure.ends.head else 0)), jnp.zeros((lanes, count if measure.ends.tail else 0))
    )


def keep(kept: Kept, loss: Float64[Array, "lane"], t: Int[Array, ""]) -> Kept:
    """Return the losses with that before step t."""
    first, last = kept
    if count := first.shape[1]:
        place = jnp.minimum(t, count - 1)
        first = first.at[:, place].set(jnp.where(t < count, loss, first[:, place]))
    if count := last.shape[1]:
        last = last.at[:, t % count].set(loss)
    return Kept(first, last)


def sums_of(measure: Measure, sums: Any, kept: Kept, escape_step: Int[Array, "lane"], steps: Int[Array, ""]) -> Any:
    """Return the sums of runs of so many steps, given those that grew up to there and the losses kept by then.

    escape_step: of the runs, -1 where they have not escaped by then. A lane that has escaped may have been left alone
    since: what it kept is still what its last steps need, since it was kept when it escaped, or later.
    """
    ends = measure.ends

    def added(names: tuple[str, ...], losses: jax.Array, first: Any, end: Any) -> dict[str, jax.Array]:
        def one(t: jax.Array, part: Any) -> Any:
            alive = (escape_step < 0) | (t < escape_step)
            return measure.add(part, losses[:, t % losses.shape[1]], alive, t, steps)

        empty = sums._replace(**{name: jnp.zeros_like(getattr(sums, name)) for name in names})
        done = jax.lax.fori_loop(first, end, one, empty)
        return {name: getattr(done, name) for name in names}

    found: dict[str, jax.Array] = {}
    if ends.head:
        found |= added(ends.head, kept.first, 0, jnp.minimum(ends.losses(steps), steps))
    if ends.tail:
        found |= added(ends.tail, kept.last, jnp.maximum(0, steps - ends.losses(steps)), steps)
    return sums._replace(**found)
