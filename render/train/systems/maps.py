"""Iterated maps of the complex plane, whose pictures are known: Mandelbrot, Julia, Newton.

They go through the same engine, store, camera and film as training, so what is known of them tests all of these. A
"loss" is a size that stays below 1 on one side of the border.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from render.problem import Problem
from render.problem.catalogue.settings import NewtonSettings
from render.train.measures import CAP
from render.train.systems import Hyper, System

Point = tuple[jax.Array, jax.Array]  # real and imaginary parts, [lane] each

# abs(z) / 2 beyond the measure's cap counts as the cap, and grows from there on.
_ESCAPE_RADIUS = CAP


def make(problem: Problem) -> System:
    """Return the map that the problem names."""
    return _newton(problem) if problem.system == "newton" else _quadratic(*_CONSTANTS[problem.system])


# Which hyperparameters c is. Mandelbrot's orbit of 0 is at c after one step, so from z = c its losses are the published
# ones: the first is abs(c) / 2.
_CONSTANTS = {"mandelbrot": ("re", "im"), "julia": ("c_re", "c_im")}


def _quadratic(c_re: str, c_im: str) -> System:
    """z -> z^2 + c from z = the sample; the loss before step t is abs(z_t) / 2."""

    def start(hyper: Hyper) -> Point:
        return hyper["re"], hyper["im"]

    def step(z: Point, hyper: Hyper, t: jax.Array) -> tuple[Point, jax.Array]:
        return _squared_plus(z, (hyper[c_re], hyper[c_im])), jnp.hypot(*z) / 2

    return System(start, step, _ESCAPE_RADIUS)


def _newton(problem: Problem) -> System:
    """z -> z - a (z^n - 1) / (n z^(n-1)); the loss is the distance to the root 1 over half that between two roots."""
    degree = problem.settings_as(NewtonSettings).degree
    radius = math.sin(math.pi / degree)

    def start(hyper: Hyper) -> Point:
        return hyper["re"], hyper["im"]

    def step(z: Point, hyper: Hyper, t: jax.Array) -> tuple[Point, jax.Array]:
        power: Point = (jnp.ones_like(z[0]), jnp.zeros_like(z[0]))
        for _ in range(degree - 1):
            power = _product(power, z)
        # (z^n - 1) / (n z^(n-1)) = (z - z^(1-n)) / n. At z = 0 it is not finite, and the run counts as escaped.
        size = power[0] ** 2 + power[1] ** 2
        rate = hyper["relaxation"] / degree
        moved = z[0] - rate * (z[0] - power[0] / size), z[1] - rate * (z[1] + power[1] / size)
        return moved, jnp.hypot(z[0] - 1, z[1]) / radius

    def readout(z: Point, hyper: Hyper) -> dict[str, jax.Array]:
        turns = jnp.arctan2(z[1], z[0]) / (2 * math.pi)
        return {"root": jnp.round(turns * degree) % degree}

    return System(start, step, math.inf, readout)


def _product(a: Point, b: Point) -> Point:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _squared_plus(z: Point, c: Point) -> Point:
    return z[0] * z[0] - z[1] * z[1] + c[0], 2 * z[0] * z[1] + c[1]
