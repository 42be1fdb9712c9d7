"""The quantity of a training run that colours show: one signed number for each sample, made from the stored channels.

As in the published measure: negative converged, positive diverged, and the farther from 0 the slower.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from render.samples import Field, Status

# Magnitudes stay away from 0, where the two signs meet.
_LEAST = 1e-300


class Channel(NamedTuple):
    """One way to see a field.

    signed: float64 of a field's samples. most: the largest usual magnitude, None for the number of steps. name: for a
    person. converged, diverged: what lies at the two ends of either half of the palette; next to its middle first.
    sides: what the halves are called, and means: what they say of a run, each the negative one first.
    """

    signed: Callable[[Field], np.ndarray]
    most: float | None
    name: str
    converged: tuple[str, str] = ("fast", "slow")
    diverged: tuple[str, str] = ("at once", "slow")
    sides: tuple[str, str] = ("converged", "diverged")
    means: tuple[str, str] = ("loss ended below where it began", "it did not")


def _converged(field: Field) -> Bool[np.ndarray, "*shape"]:
    mask: np.ndarray = field.status == Status.CONVERGED
    return mask


def _final_loss(field: Field) -> Float64[np.ndarray, "*shape"]:
    # A small loss is fast convergence; a large one is fast divergence, and an infinite one the fastest.
    loss = np.maximum(np.nan_to_num(field.final_loss, nan=np.inf, posinf=np.inf), _LEAST)
    signed: np.ndarray = np.where(_converged(field), -np.minimum(loss, 1 / _LEAST), np.maximum(1 / loss, _LEAST))
    return signed


def _escape_time(field: Field) -> Float64[np.ndarray, "*shape"]:
    # Steps are whole; within one, the published measure (a sum of 1 / loss) rises as the loss grew later. A run that
    # never escaped is slower than any that did.
    steps = np.where(field.escape_step >= 0, field.escape_step, np.iinfo(np.int32).max).astype(float)
    within = np.abs(field.value) / (1 + np.abs(field.value))
    return np.where(_converged(field), field.value, steps + np.clip(within, 0.0, 1 - 1e-6) + 1e-6)


def _measured(name: str) -> Callable[[Field], np.ndarray]:
    """Return the signed size for a channel that a system measures besides: larger is farther out, on either side."""

    def signed(field: Field) -> np.ndarray:
        x = np.nan_to_num(field.more[name], nan=0.0)
        # Ranks are what counts: any rising map of the line onto the positive numbers will do.
        size = np.where(x >= 0, 1 + np.abs(x), 1 / (1 + np.abs(x)))
        either: np.ndarray = np.where(_converged(field), -size, size)
        return either

    return signed


def _lyapunov(field: Field) -> Float64[np.ndarray, "*shape"]:
    # As in the pictures of Markus and Hess 1989: the sign is that of the exponent, so 0 is in the palette's middle. A
    # run that left has grown without bound, faster than any other.
    exponent = np.nan_to_num(field.more["lyapunov"], nan=_FASTEST, posinf=_FASTEST, neginf=-_FASTEST)
    signed: np.ndarray = np.where(field.escape_step >= 0, _FASTEST, exponent)
    return signed


# More than any exponent of steps in float64, whose logarithms are below 710.
_FASTEST = 1e3


def _steps_to_loss(field: Field) -> Float64[np.ndarray, "*shape"]:
    # Runs that got there take the converged half, the sooner the nearer to the middle; among the others those that lose
    # most slowly are farthest out, as in the published measure.
    steps = field.more["steps_to_loss"]
    signed: np.ndarray = np.where(np.isnan(steps), np.maximum(np.abs(field.value), _LEAST), -1 - np.nan_to_num(steps))
    return signed


# A new channel is a row here.
CHANNELS: dict[str, Channel] = {
    "value": Channel(lambda field: field.value, None, "speed"),
    "final_loss": Channel(_final_loss, 2.0, "final loss", ("low loss", "high"), ("high loss", "low")),
    "escape_time": Channel(_escape_time, None, "escape time", diverged=("escaped at once", "late or never")),
    "status": Channel(lambda field: field.status.astype(float), None, "status"),
}


# Channels of what a scene may ask of any system's runs besides: a row for each of `catalogue.OBSERVABLES`.
# fmt: off
OBSERVED: dict[str, Channel] = {
    "lyapunov": Channel(
        _lyapunov, 1.0, "Lyapunov exponent", ("exponent near 0", "below"), ("exponent near 0", "above, or escaped"),
        ("order", "chaos"), ("nearby runs come together", "they part"),
    ),
    "steps_to_loss": Channel(
        _steps_to_loss, None, "steps to the loss", ("soon", "late"), ("fast", "slow"),
        ("reached the loss", "did not"), ("loss was below the threshold at some step", "it never was"),
    ),
}
# fmt: on


@functools.cache
def channel(name: str) -> Channel:
    """Return a row of CHANNELS or OBSERVED, or that of a channel of its own which a system measures and stores so.

    What systems measure (outputs, singular values, numbers of roots) is some ones: `most` is 1 + 3.
    """
    if row := CHANNELS.get(name) or OBSERVED.get(name):
        return row
    words = name.replace("_", " ")
    return Channel(_measured(name), 4.0, words, (f"low {words}", "high"), (f"low {words}", "high"))


# How a run ended, in colours that red-blind, green-blind and blue-blind eyes can tell apart (after P. Tol's "bright"),
# and in words for a legend.
STATUS_COLOURS: dict[Status, tuple[str, str]] = {
    Status.CONVERGED: ("#2f6fb0", "converged"),
    Status.DIVERGED: ("#e9c95a", "diverged, bounded"),
    Status.ESCAPED: ("#b3304a", "escaped"),
    Status.NON_FINITE: ("#8a5fb8", "not finite"),
}
