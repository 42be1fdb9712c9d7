"""Riddled basins: how little precision of the initial weights helps, and what theory predicts.

python -m tests.bench riddled          the figures of assets/docs/chaos.md: half a minute of one core
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from render import scene
from render.problem import Problem
from render.train import engine

TARGET, RATE = 1.5, 0.27  # of committee_riddled


def outcomes(problem: Problem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether each run converged: the mean of its last 20 losses is below 1."""
    kernel, pieces = engine.Engine(problem), range(0, x.size, 4_096)
    values = [kernel.run(x.ravel()[i : i + 4_096], y.ravel()[i : i + 4_096]).value for i in pieces]
    return np.concatenate(values).reshape(x.shape) < 0


def exponents(lr: float, orbits: int = 400, steps: int = 5_000) -> tuple[float, float, float]:
    """The transverse Lyapunov exponent on the line of equal neurons, the exponent along it, and the diffusion.

    In the variable of the line, u <- u - a (u^3 - 1) u^2, by means over many orbits. Diffusion: half the rate at
    which the variance of sums of the transverse logarithms rises, over 100 steps.
    """
    a = lr * 3 * TARGET * (TARGET / 2) ** (1 / 3)
    u, across, along = np.linspace(0.9, 0.95, orbits), [], 0.0
    for t in range(steps + 300):
        if t >= 300:
            across.append(np.log(abs(1 - 2 * a * (u**3 - 1) * u)))
            along += float(np.log(abs(1 - a * (5 * u**4 - 2 * u))).mean()) / steps
        u = u - a * (u**3 - 1) * u**2
    logs = np.array(across)
    return float(logs.mean()), along, float(logs.reshape(-1, 100, orbits).sum(axis=1).var()) / 200


def predicted(across: float, along: float, diffusion: float) -> float:
    """Return the uncertainty exponent if the logarithm of the distance to the line diffuses (Ott and others 1994)."""
    return across**2 / (4 * diffusion * along)


def shares(distances_log10: Sequence[int], count: int = 6_000) -> list[float]:
    """Return, for each distance, the share of pairs of runs of `committee_riddled` that end differently.

    The first run of each pair starts anywhere in the square of 0.4 x 0.4 around (0.8, 1.1).
    """
    rng = np.random.default_rng(0)
    x, y = 0.6 + 0.4 * rng.random(count), 0.9 + 0.4 * rng.random(count)
    problem = scene.load("committee_riddled").problem
    first = outcomes(problem, x, y)
    return [float(np.mean(outcomes(problem, x + 10.0**power, y) != first)) for power in distances_log10]
