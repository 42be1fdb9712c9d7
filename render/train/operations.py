"""A system's functions as lists of primitive operations (jaxprs), for modules that evaluate them in another way."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from render.problem import Problem

# Operations that only wrap others, which are evaluated in their place. Loops are not unwrapped.
_WRAPPERS = ("pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint")


def inside(eqn: Any) -> Any | None:
    """Return the closed jaxpr that an equation wraps; None if the equation is an operation itself."""
    if eqn.primitive.name not in _WRAPPERS:
        return None
    jaxpr = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr") or eqn.params.get("fun_jaxpr")
    return core.ClosedJaxpr(jaxpr, ()) if isinstance(jaxpr, core.Jaxpr) else jaxpr


def bound(eqn: Any, values: list[Any]) -> list[Any]:
    """Return the results of an equation's operation, applied to other values."""
    results = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
    return list(results) if eqn.primitive.multiple_results else [results]


def hyperparameters(problem: Problem) -> tuple[str, ...]:
    """Return the names of all hyperparameters of a problem's system."""
    return (problem.x.name, problem.y.name, *(name for name, _ in problem.fixed))


def literal(var: Any) -> jax.Array:
    """Return the value of a literal of a jaxpr, in its dtype."""
    return jnp.asarray(var.val, var.aval.dtype)


def shaped(shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    """Return an abstract array, for tracing."""
    make: Any = jax.ShapeDtypeStruct
    return make(shape, np.dtype(dtype))
