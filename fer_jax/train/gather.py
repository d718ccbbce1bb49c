"""Gather the arrays of a tree in one, so that a GPU launches fewer kernels for them."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp


def gather(gradients: Any) -> tuple[Any, jax.Array]:
    """Copy all arrays into one, float32 (N,), and return the tree with parts of it in their place, and it.

    The arrays of one shape are then updated by one kernel, since they come from one array. cuDNN returns the
    gradients of kernels transposed, outputs first. Transposed back within an update, these would keep it from
    taking place in the state's own memory, and cost a copy of each array of the state. So those with equally
    many outputs are joined and transposed here.
    """
    leaves, structure = jax.tree.flatten(gradients)
    # Those of one number of outputs stand together; 0 for all that are no kernels.
    outputs = [leaf.shape[-1] if leaf.ndim > 1 else 0 for leaf in leaves]
    order = sorted(range(len(leaves)), key=lambda number: outputs[number])
    parts = []
    for count, numbers in itertools.groupby(order, key=lambda number: outputs[number]):
        group = [leaves[number] for number in numbers]
        if count:
            parts.append(jnp.concatenate([leaf.reshape(-1, count).T for leaf in group], 1).T.ravel())
        else:
            parts += [leaf.ravel() for leaf in group]
    flat = jax.lax.optimization_barrier(jnp.concatenate(parts))
    ends = list(itertools.accumulate(leaves[number].size for number in order))
    gathered = dict(zip(order, jnp.split(flat, ends[:-1]), strict=True))
    return structure.unflatten([gathered[n].reshape(leaf.shape) for n, leaf in enumerate(leaves)]), flat
