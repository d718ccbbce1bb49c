"""Muon's update: orthogonalized momentum, by Newton-Schulz iterations on the Gram matrix."""

import math

import jax
import jax.numpy as jnp
import optax

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""a, b, c of the iteration X -> a X + b (X X^T) X + c (X X^T)^2 X; from Jordan et al., "Muon", 2024."""

_ITERATIONS = 5


def orthogonalize(kernel: jax.Array) -> jax.Array:
    """Bring the singular values of a kernel near 1 (0.7 to 1.2), and keep its singular vectors.

    The kernel, float32 (..., outputs), is read as a matrix of inputs by outputs. The result is that of Muon's
    five Newton-Schulz iterations (Jordan et al., "Muon", 2024), with a third of the arithmetic. An iteration
    multiplies the matrix by a polynomial of its Gram matrix, so all five run on the small Gram matrix, and
    the matrix itself is multiplied once, at the end.

    All products are in full float32. With TF32 or bfloat16, the default on GPUs and TPUs, the Gram matrix
    gets eigenvalues below zero, which the iterations blow up. They would not blow up the matrix itself.
    """
    with jax.default_matmul_precision("highest"):
        return _orthogonalize(kernel)


def _orthogonalize(kernel: jax.Array) -> jax.Array:
    matrix = kernel.reshape(-1, kernel.shape[-1])
    tall = matrix.shape[0] >= matrix.shape[1]
    gram = matrix.T @ matrix if tall else matrix @ matrix.T
    squared_norm = jnp.trace(gram)
    gram = gram / (squared_norm + 1e-16)
    identity = jnp.eye(len(gram), dtype=gram.dtype)
    product = identity
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        factor = a * identity + b * gram + c * (gram @ gram)
        product = product @ factor
        gram = factor @ gram @ factor
    product = product / (jnp.sqrt(squared_norm) + 1e-8)
    return (matrix @ product if tall else product @ matrix).reshape(kernel.shape)


def scale_by_muon(*, momentum: float) -> optax.GradientTransformation:
    """Make a transformation: gradients of kernels -> Nesterov's momentum, orthogonalized and scaled.

    The scale is sqrt(max(1, outputs / inputs)), so that one learning rate suits all widths (Bernstein and
    Newhouse, "Modular duality", 2024).
    """

    def update(gradients, trace, params=None):
        del params
        trace = _blend(trace, gradients, momentum)
        ahead = _blend(trace, gradients, momentum)
        return jax.tree.map(lambda g: _width_scale(g) * orthogonalize(g), ahead), trace

    return optax.GradientTransformation(optax.tree.zeros_like, update)


def _blend(old: optax.Updates, new: optax.Updates, share: float) -> optax.Updates:
    return jax.tree.map(lambda o, n: share * o + (1 - share) * n, old, new)


def _width_scale(kernel: jax.Array) -> float:
    outputs = kernel.shape[-1]
    return math.sqrt(max(1.0, outputs / (kernel.size // outputs)))
