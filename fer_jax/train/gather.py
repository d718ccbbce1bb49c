"""Gather the arrays of a tree in one, so that a GPU launches fewer kernels for them."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp


def gather(tree: Any) -> tuple[Any, jax.Array]:
    """Copy all arrays into one, float32 (N,), and return the tree with parts of it in their place, and it.

    The arrays of one shape are then updated by one kernel, since they come from one array. cuDNN and Muon
    return some kernels transposed. Transposed back within an update, these would keep it from taking place
    in the state's own memory, and cost a copy of each array of the state.
    """
    leaves, structure = jax.tree.flatten(tree)
    flat = jax.lax.optimization_barrier(jnp.concatenate([leaf.ravel() for leaf in leaves]))
    ends = list(itertools.accumulate(math.prod(leaf.shape) for leaf in leaves))
    parts = jnp.split(flat, ends[:-1])
    return structure.unflatten([p.reshape(leaf.shape) for p, leaf in zip(parts, leaves, strict=True)]), flat
