"""Requirements on a system from a user's file, checked by tracing its step: float64 throughout, constant shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from render.errors import RenderError
from render.problem import Problem, own_model
from render.problem.catalogue import LANES
from render.problem.own_model import Known
from render.train import operations, own_code, systems
from render.train.past_float64.rules import RULES
from render.train.systems import System


def check(problem: Problem, declared: System) -> None:
    """Trace a step. Raises RenderError if it leaves float64 or does not fit its own state."""
    known, hyper = own_model.find(problem.system), _stand_ins(problem, 2)
    state = jax.eval_shape(declared.start, hyper)
    traced, shapes = jax.make_jaxpr(declared.step, return_shape=True)(state, hyper, jnp.int32(0))
    after, loss = shapes
    name = known.source.name
    before = jax.tree.leaves_with_path(state)
    if str(jax.tree.structure(state)) != str(jax.tree.structure(after)):
        raise RenderError(f"{name}: a step must return the parameters in the structure that they had before it.")
    for (path, old), new in zip(before, jax.tree.leaves(after), strict=True):
        if old.shape != new.shape or old.dtype != new.dtype:
            raise RenderError(
                f"{name}: a step must leave {jax.tree_util.keystr(path)} as {old.dtype} {list(old.shape[1:])}, not "
                f"{new.dtype} {list(new.shape[1:])}."
            )
    if loss.shape != (2,) or loss.dtype != jnp.float64:
        raise RenderError(f"{name}: the loss must be one float64 a lane, not {loss.dtype} {list(loss.shape)}.")
    for where, what in rounded(known, traced.jaxpr):
        raise RenderError(
            f"{where or name}: computes in {what}, but samples must be float64 throughout. Give the layers and arrays "
            "dtype float64 (flax: param_dtype=jnp.float64), or leave the dtype out."
        )


def rounded(known: Known, jaxpr: Any) -> Iterator[tuple[str, str]]:
    """Yield (line of the user's file or "", dtype) of operations whose results have fewer bits than float64."""
    for eqn in jaxpr.eqns:
        for var in eqn.outvars:
            dtype = getattr(var.aval, "dtype", None)
            if dtype is not None and _is_rounded(dtype):
                yield line_of(known, eqn), str(dtype)
        for inner in core.jaxprs_in_params(eqn.params):
            yield from rounded(known, inner)


def _is_rounded(dtype: Any) -> bool:
    is_complex = bool(jnp.issubdtype(dtype, jnp.complexfloating))
    return bool(jnp.issubdtype(dtype, jnp.inexact)) and dtype.itemsize < (16 if is_complex else 8)


def line_of(known: Known, eqn: Any) -> str:
    """Return the line of the user's file that an operation comes from; "" if it comes from none."""
    trace = eqn.source_info.traceback
    frames = [(frame.file_name, frame.line_num) for frame in trace.frames][::-1] if trace is not None else []
    return own_code.line_of(known, frames)


def _stand_ins(problem: Problem, lanes: int) -> dict[str, Any]:
    """Return a table of abstract hyperparameters."""
    return {name: operations.shaped((lanes,)) for name in operations.hyperparameters(problem)}


def bytes_per_lane(start: Callable[..., Any], step: Callable[..., Any], problem: Problem) -> int:
    """Return an upper limit of the memory of a lane's step: the size of all its results, as if none were freed."""
    hyper = _stand_ins(problem, 2)
    state = jax.eval_shape(start, hyper)
    jaxpr = jax.make_jaxpr(step)(state, hyper, jnp.int32(0)).jaxpr

    def size(jaxpr: Any) -> int:
        own_size = sum(math.prod(v.aval.shape) * v.aval.dtype.itemsize for e in jaxpr.eqns for v in e.outvars)
        return int(own_size) + sum(size(inner) for e in jaxpr.eqns for inner in core.jaxprs_in_params(e.params))

    return size(jaxpr) // 2


# ---- for `render check` ---------------------------------------------------------------------------------------------


def without_rules(problem: Problem) -> dict[str, str]:
    """Return the operations of a step that cannot be followed by differences, each with a line of the user's file.

    Levels past float64 cannot be trained with any. Operations on what all lanes share need no rule.
    """
    known, system, hyper = own_model.find(problem.system), systems.make(problem), _stand_ins(problem, 2)
    state = jax.eval_shape(system.start, hyper)
    lines: dict[str, str] = {}
    for function, given in ((system.start, (hyper,)), (system.step, (state, hyper, jnp.int32(0)))):
        traced = jax.make_jaxpr(function)(*given)
        lanes = {id(leaf) for leaf in jax.tree.leaves(given[:2])}
        own_inputs = [id(leaf) in lanes for leaf in jax.tree.leaves(given)]
        _add_without_rules(known, traced.jaxpr, own_inputs, lines)
    return lines


def _add_without_rules(known: Known, jaxpr: Any, own_inputs: list[bool], lines: dict[str, str]) -> list[bool]:
    """Add what a jaxpr has; return which of its results differ from lane to lane. own_inputs: which inputs do."""
    by_lane = {var for var, is_own in zip(jaxpr.invars, own_inputs, strict=True) if is_own}

    def differs(var: Any) -> bool:
        return not isinstance(var, core.Literal) and var in by_lane

    for eqn in jaxpr.eqns:
        inputs = [differs(var) for var in eqn.invars]
        inner = operations.inside(eqn)
        if inner is not None:
            results = _add_without_rules(known, inner.jaxpr, inputs, lines)
        else:
            results = [any(inputs)] * len(eqn.outvars)
            if any(inputs) and eqn.primitive.name not in RULES:
                lines.setdefault(eqn.primitive.name, line_of(known, eqn))
        by_lane |= {var for var, is_own in zip(eqn.outvars, results, strict=True) if is_own}
    return [differs(var) for var in jaxpr.outvars]


def compiled_bytes_per_lane(problem: Problem) -> int:
    """Return what a lane of a compiled step takes while it runs: its state before and after, and all in between."""
    system, lanes = systems.make(problem), problem.row.lanes or LANES
    hyper = _stand_ins(problem, lanes)
    state = jax.eval_shape(system.start, hyper)
    used: Any = jax.jit(system.step).lower(state, hyper, jnp.int32(0)).compile().memory_analysis()
    return int(used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes) // lanes
