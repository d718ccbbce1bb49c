"""Muon's update: orthogonalized momentum, by Newton-Schulz iterations on the Gram matrix."""

import math
from collections.abc import Sequence

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
    for _ in range(_ITERATIONS):
        product, gram = _iterate(product, gram, identity)
    product = product / (jnp.sqrt(squared_norm) + 1e-8)
    return (matrix @ product if tall else product @ matrix).reshape(kernel.shape)


def _iterate(product: jax.Array, gram: jax.Array, identity: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One iteration: the product of the polynomials so far, and the Gram matrix after them."""
    a, b, c = _QUINTIC
    factor = a * identity + b * gram + c * (gram @ gram)
    return product @ factor, factor @ gram @ factor


def orthogonalize_all(kernels: Sequence[jax.Array]) -> list[jax.Array]:
    """Orthogonalize each of several kernels: one by one on a CPU, otherwise in groups."""

    def one_by_one(*kernels: jax.Array) -> list[jax.Array]:
        return [orthogonalize(kernel) for kernel in kernels]

    def in_groups(*kernels: jax.Array) -> list[jax.Array]:
        return orthogonalize_in_groups(kernels)

    return jax.lax.platform_dependent(*kernels, cpu=one_by_one, default=in_groups)


def orthogonalize_in_groups(kernels: Sequence[jax.Array]) -> list[jax.Array]:
    """Orthogonalize kernels with Gram matrices of one size together; equal to one by one to about 1e-6.

    A GPU computes a small product in less time than it takes to launch it, so few batched products are
    faster than many. One loop does the iterations of all groups, so that each product is compiled once.
    """
    groups: dict[int, list[int]] = {}
    for number, kernel in enumerate(kernels):
        outputs = kernel.shape[-1]
        groups.setdefault(min(outputs, kernel.size // outputs), []).append(number)
    with jax.default_matmul_precision("highest"):
        stacks = [_stack([kernels[number] for number in numbers]) for numbers in groups.values()]
        stacks = _orthogonalize_stacks(stacks)
    result = {}
    for numbers, stack in zip(groups.values(), stacks, strict=True):
        for number, matrix in zip(numbers, stack, strict=True):
            result[number] = _kernel_of(matrix, kernels[number].shape)
    return [result[number] for number in range(len(kernels))]


def _orthogonalize_stacks(stacks: list[jax.Array]) -> list[jax.Array]:
    """The same of matrices (N, rows, columns), each at least as tall as wide."""
    grams = [stack.mT @ stack for stack in stacks]
    squared_norms = [jnp.trace(gram, axis1=1, axis2=2)[:, None, None] for gram in grams]
    grams = [gram / (norm + 1e-16) for gram, norm in zip(grams, squared_norms, strict=True)]
    identities = [jnp.eye(gram.shape[-1], dtype=gram.dtype)[None] for gram in grams]
    products = [jnp.broadcast_to(eye, gram.shape) for eye, gram in zip(identities, grams, strict=True)]

    def iterate(_: jax.Array, pairs: list[tuple[jax.Array, jax.Array]]) -> list[tuple[jax.Array, jax.Array]]:
        return [_iterate(*pair, eye) for pair, eye in zip(pairs, identities, strict=True)]

    pairs = jax.lax.fori_loop(0, _ITERATIONS, iterate, list(zip(products, grams, strict=True)))
    return [
        stack @ (product / (jnp.sqrt(norm) + 1e-8))
        for stack, (product, _), norm in zip(stacks, pairs, squared_norms, strict=True)
    ]


def _stack(kernels: list[jax.Array]) -> jax.Array:
    """Kernels as matrices (N, rows, columns), at least as tall as wide.

    The shorter ones end in rows of zeros, which change no Gram matrix.
    """
    matrices = [kernel.reshape(-1, kernel.shape[-1]) for kernel in kernels]
    matrices = [matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T for matrix in matrices]
    rows = max(len(matrix) for matrix in matrices)
    return jnp.stack([jnp.pad(matrix, ((0, rows - len(matrix)), (0, 0))) for matrix in matrices])


def _kernel_of(matrix: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A matrix of ``_stack`` as the kernel of a shape that it was made of."""
    outputs = shape[-1]
    inputs = math.prod(shape[:-1])
    cut = matrix[: max(inputs, outputs)]
    return (cut if inputs >= outputs else cut.T).reshape(shape)


def scale_by_muon(*, momentum: float) -> optax.GradientTransformation:
    """Make a transformation: gradients of kernels -> Nesterov's momentum, orthogonalized and scaled.

    The scale is sqrt(max(1, outputs / inputs)), so that one learning rate suits all widths (Bernstein and
    Newhouse, "Modular duality", 2024).
    """

    def update(gradients, trace, params=None):
        del params
        trace = _blend(trace, gradients, momentum)
        ahead = _blend(trace, gradients, momentum)
        leaves, structure = jax.tree.flatten(ahead)
        moved = [_width_scale(m) * m for m in orthogonalize_all(leaves)]
        return structure.unflatten(moved), trace

    return optax.GradientTransformation(optax.tree.zeros_like, update)


def _blend(old: optax.Updates, new: optax.Updates, share: float) -> optax.Updates:
    return jax.tree.map(lambda o, n: share * o + (1 - share) * n, old, new)


def _width_scale(kernel: jax.Array) -> float:
    outputs = kernel.shape[-1]
    return math.sqrt(max(1.0, outputs / (kernel.size // outputs)))
