"""Random draws that a problem's samples share: initial weights, examples, the order of minibatches."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings


class Draws(NamedTuple):
    """The data that all samples of a problem share, as NumPy arrays.

    weights: per layer [inputs, outputs] float64. inputs: [examples, inputs]. targets: [examples].
    batches: [steps, batch] int32 example indices, or None for full-batch training.
    """

    weights: tuple[np.ndarray, ...]
    inputs: np.ndarray
    targets: np.ndarray
    batches: np.ndarray | None


def example_count(settings: MlpSettings) -> int:
    """Return the number of examples. The published rules are one per parameter, or one per input."""
    n = settings.width
    if isinstance(settings.examples, int):
        return settings.examples
    return {"parameters": n * n * (settings.depth - 1) + n, "inputs": n}[settings.examples]


# The key of the minibatch order in the published code, which is the same for every seed of weights and data.
_BATCH_SEED = 42


def gaussian(problem: Problem) -> Draws:
    """Draw weights, inputs and targets i.i.d. N(0, 1) in the published order (Sohl-Dickstein/fractal).

    The published pictures need the legacy threefry generator: JAX's present default gives other weights for the
    same seed, with which the published windows show no border at all.
    """
    settings = problem.settings_as(MlpSettings)
    n, count = settings.width, example_count(settings)
    with jax.threefry_partitionable(False):
        carry, use = jax.random.split(jax.random.key(problem.seed))
        layer_keys = jax.random.split(use, settings.depth)
        shapes = [(n, n)] * (settings.depth - 1) + [(n, 1)]
        weights = [
            np.asarray(jax.random.normal(k, shape, np.float64)) for k, shape in zip(layer_keys, shapes, strict=True)
        ]
        carry, use = jax.random.split(carry)
        inputs = np.asarray(jax.random.normal(use, (count, n), np.float64))
        carry, use = jax.random.split(carry)
        targets = np.asarray(jax.random.normal(use, (count, 1), np.float64))[:, 0]
        batches = None
        if settings.batch is not None:
            # split(key, steps) of the legacy generator depends on steps: a shorter run has a different order.
            step_keys = jax.random.split(jax.random.key(_BATCH_SEED), problem.steps)
            size = settings.batch
            batches = np.asarray(jax.vmap(lambda k: jax.random.randint(k, (size,), 0, count))(step_keys), np.int32)
    return Draws(tuple(weights), inputs, targets, batches)


DATASETS = {"gaussian": gaussian}
