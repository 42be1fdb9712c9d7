"""Null models: masks of known dimension, on which an estimator shows its bias.

A smooth boundary has dimension 1, and outcomes that are drawn independently have dimension 2. By how much an estimator
misses these, it may miss the dimension of the boundary under study too.
"""

from __future__ import annotations

import numpy as np


def smooth(side: int, share: float, seed: int) -> np.ndarray:
    """Return a mask [side, side] whose boundary is one straight line in a random direction; `share` of it is True."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    y, x = np.mgrid[:side, :side]
    height = x * np.cos(angle) + y * np.sin(angle)
    mask: np.ndarray = height <= np.quantile(height, share)
    return mask


def noise(side: int, share: float, seed: int) -> np.ndarray:
    """Return a mask [side, side] of independent draws, True with probability `share`."""
    return np.random.default_rng(seed).random((side, side)) < share


NULLS = {"smooth": smooth, "noise": noise}
