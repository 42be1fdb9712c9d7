"""Gradient descent on a product of equal scalars, with two learning rates that take turns in a fixed order.

With k factors that start equal, and so stay equal, the loss (u^k - target)^2 / 2 + l2 / 2 k u^2 gives

    u <- u - lr_t ((u^k - target) u^(k-1) + l2 u),        lr_t = lr_a or lr_b, in the order A A B A B, again and again

It is the forced map of Markus and Hess 1989 (Computers & Graphics 13, 553), with gradient descent in place of the
logistic map. Over the plane of both rates the sign of the largest Lyapunov exponent shows windows of order in chaos,
which have the shape of shrimps (Gallas 1993, Phys. Rev. Lett. 70, 2714).

For lr_a = lr_b it is `product` with equal factors.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import CyclicSettings, rates_in_order
from render.train.systems import Hyper, System, product

Factors = product.Factors


def make(problem: Problem) -> System:
    """Return the descent as a system; hyper holds lr_a, lr_b, target, l2 and start."""
    settings = problem.settings_as(CyclicSettings)
    equal = product.make(Problem(problem.x, problem.y, "product", factors=settings.factors, starts=1))
    is_b = jnp.asarray([letter == "b" for letter in rates_in_order(settings.order)])

    def of_product(hyper: Hyper, rate: jax.Array) -> Hyper:
        return {"lr": rate, "target": hyper["target"], "l2": hyper["l2"], "start_1": hyper["start"]}

    def start(hyper: Hyper) -> Factors:
        state: Factors = equal.start(of_product(hyper, hyper["lr_a"]))
        return state

    def step(state: Factors, hyper: Hyper, t: jax.Array) -> tuple[Factors, Float64[Array, "lane"]]:
        rate = jnp.where(is_b[t % is_b.size], hyper["lr_b"], hyper["lr_a"])
        moved: tuple[Factors, Float64[Array, "lane"]] = equal.step(state, of_product(hyper, rate), t)
        return moved

    return System(start, step, equal.escape_radius, visited=lambda state: state[:1])
