"""Data sets and losses of the networks. A data set is a row of EXAMPLES, a loss a row of LOSSES."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import NetworkSettings

# The stream of a problem's seed from which the data are drawn.
_DATA = 0


class Examples(NamedTuple):
    """inputs: float64 [example, input]. targets: float64 [example, output].

    Two classes are +1 and -1 on one output. More classes have one output each, with 1 for the right class and 0 else.
    """

    inputs: np.ndarray
    targets: np.ndarray


def make(problem: Problem) -> Examples:
    """Return the examples that all samples of a problem share; with cross-entropy, targets are classes."""
    settings = problem.settings_as(NetworkSettings)
    examples = EXAMPLES[settings.data](settings, np.random.default_rng([problem.seed, _DATA]))
    if settings.loss == "cross-entropy" and examples.targets.shape[1] == 1:
        return Examples(examples.inputs, np.where(examples.targets >= 0, 1.0, -1.0))
    return examples


def _gaussian(settings: NetworkSettings, rng: np.random.Generator) -> Examples:
    """Return inputs and targets i.i.d. N(0, 1): there is nothing to learn but the examples themselves."""
    count = settings.examples
    return Examples(rng.standard_normal((count, _inputs(settings))), rng.standard_normal((count, 1)))


def _teacher(settings: NetworkSettings, rng: np.random.Generator) -> Examples:
    """Return N(0, 1) inputs, and noisy outputs of a random tanh network, of standard deviation about 1/2."""
    inputs, units = _inputs(settings), settings.teacher_width
    x = rng.standard_normal((settings.examples, inputs))
    hidden = np.tanh(x @ rng.standard_normal((inputs, units)) / math.sqrt(inputs))
    clean = hidden @ rng.standard_normal((units, 1)) / math.sqrt(units)
    return Examples(x, clean + settings.noise * rng.standard_normal(clean.shape))


def _xor(settings: NetworkSettings, rng: np.random.Generator) -> Examples:
    """Return the four corners of the square; +1 where the signs differ."""
    x = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return Examples(x, -x[:, :1] * x[:, 1:])


def _moons(settings: NetworkSettings, rng: np.random.Generator) -> Examples:
    """Return two interleaved half circles of radius 1, shifted to the middle, with noise."""
    upper = np.arange(settings.examples) % 2 == 0
    angle = rng.uniform(0, math.pi, settings.examples)
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle)) - 0.5
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle)) - 0.25
    points = np.stack([x, y], axis=1)
    return Examples(points + settings.noise * rng.standard_normal(points.shape), np.where(upper, 1.0, -1.0)[:, None])


def _digits(settings: NetworkSettings, rng: np.random.Generator) -> Examples:
    """Return the first handwritten digits of 8 x 8 pixels. Each pixel has mean 0; all pixels together have variance 1.

    Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0; the
    first 500 of its test part.
    """
    with np.load(Path(__file__).parent / "data" / "digits.npz") as stored:
        images, labels = stored["images"], stored["labels"]
    x = images[: settings.examples].astype(np.float64)
    x -= x.mean(axis=0)
    return Examples(x / x.std(), np.eye(10)[labels[: settings.examples]])


EXAMPLES: dict[str, Callable[[NetworkSettings, np.random.Generator], Examples]] = {
    "gaussian": _gaussian,
    "teacher": _teacher,
    "xor": _xor,
    "moons": _moons,
    "digits": _digits,
}


def _inputs(settings: NetworkSettings) -> int:
    return settings.width if settings.inputs is None else settings.inputs


def _by_lane(target: Float64[Array, "*lane output example"]) -> Float64[Array, "lane output example"]:
    return target if target.ndim == 3 else target[None]


def _squared(
    output: Float64[Array, "lane output example"], target: Float64[Array, "*lane output example"]
) -> Float64[Array, "lane example"]:
    return ((output - _by_lane(target)) ** 2).mean(axis=-2)


def _cross_entropy(
    output: Float64[Array, "lane output example"], target: Float64[Array, "*lane output example"]
) -> Float64[Array, "lane example"]:
    if output.shape[-2] == 1:
        return jax.nn.softplus(-output * _by_lane(target))[..., 0, :]
    return jax.nn.logsumexp(output, axis=-2) - (output * _by_lane(target)).sum(axis=-2)


# name -> loss of each example [lane, example] of outputs [lane, output, example] and targets [(lane,) output, example]
LOSSES = {"mse": _squared, "cross-entropy": _cross_entropy}
