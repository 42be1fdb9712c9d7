"""Directions in the space of a system's states: tangents of its floating leaves, and their norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float64


def norm(tree: Any) -> Float64[Array, "lane"]:
    """Return the Euclidean norm [lane] of all floating leaves, scaled so that large ones do not overflow on the way."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if is_floating(leaf)]
    flat = jnp.concatenate([jnp.abs(leaf).reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)
    largest = flat.max(axis=1, keepdims=True)
    scale = jnp.where(largest > 0, largest, 1.0)
    return jnp.sqrt(jnp.square(flat / scale).sum(axis=1)) * scale[:, 0]


def still(before: jax.Array, after: jax.Array, moves: jax.Array) -> jax.Array:
    """Return a leaf's tangent, with zero for elements that do not move at all.

    Adam divides by the root of a mean square that is exactly zero where no gradient ever comes (tokens that no example
    has); the slope of the root is infinite there, and infinity times zero is not a number.
    """
    if not is_floating(before):
        return moves
    return jnp.where(jnp.isnan(moves) & (before == after), 0.0, moves)


def is_floating(leaf: jax.Array) -> bool:
    """Return whether a leaf of a state holds real or complex numbers, which have tangents."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def floating(state: Any) -> list[jax.Array]:
    """Return the floating leaves of a state, in order."""
    return [leaf for leaf in jax.tree.leaves(state) if is_floating(leaf)]


def pushed(step: Callable[[Any], Any], state: Any, direction: list[jax.Array]) -> list[jax.Array]:
    """Return the direction after a step: the derivative of the step at a state, times the direction.

    step: from a state to the next state. direction: one array for each floating leaf of the state, in order.
    """
    leaves, tree = jax.tree.flatten(state)
    places = [i for i, leaf in enumerate(leaves) if is_floating(leaf)]

    def along(moving: list[jax.Array]) -> list[jax.Array]:
        replaced = list(leaves)
        for place, leaf in zip(places, moving, strict=True):
            replaced[place] = leaf
        return floating(step(jax.tree.unflatten(tree, replaced)))

    before = floating(state)
    after, moved = jax.jvp(along, (before,), (direction,))
    return [still(*parts) for parts in zip(before, after, moved, strict=True)]
