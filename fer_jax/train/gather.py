"""Gather the arrays of a tree in one, so that a GPU launches fewer kernels for them."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp


def gather(gradients: Any) -> tuple[Any, jax.Array]:
    """Copy all arrays into one, float32 (N,), and return the tree with parts of it in their place, and it.

    The arrays of one shape are then updated by one kernel, since they come from one array. Kernels of
    convolutions stand in it with their outputs first, in the order in which they lie in a GPU's memory
    (``sharding.state_placement``): in another order an update would transpose them.
    """
    leaves, structure = jax.tree.flatten(gradients)
    leaves = [_outputs_first(leaf) for leaf in leaves]
    flat = jax.lax.optimization_barrier(jnp.concatenate([leaf.ravel() for leaf in leaves]))
    ends = itertools.accumulate(leaf.size for leaf in leaves)
    parts = jnp.split(flat, list(ends)[:-1])
    gathered = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return structure.unflatten([_outputs_last(part) for part in gathered]), flat


def _outputs_first(leaf: jax.Array) -> jax.Array:
    return jnp.moveaxis(leaf, -1, 0) if leaf.ndim == 4 else leaf


def _outputs_last(leaf: jax.Array) -> jax.Array:
    return jnp.moveaxis(leaf, 0, -1) if leaf.ndim == 4 else leaf
