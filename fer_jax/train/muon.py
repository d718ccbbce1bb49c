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
        # Without this, XLA computes the momentum of each kernel apart.
        return orthogonalize_in_groups(jax.lax.optimization_barrier(kernels))

    return jax.lax.platform_dependent(*kernels, cpu=one_by_one, default=in_groups)


def orthogonalize_in_groups(kernels: Sequence[jax.Array]) -> list[jax.Array]:
    """Orthogonalize kernels with Gram matrices of one size together; equal to one by one to about 1e-6.

    A GPU computes a small product in less time than it takes to launch it, so few batched products are
    faster than many. One loop does the iterations of all groups, so that each product is compiled once.
    The matrices are outputs by inputs, as kernels lie in a GPU's memory (``sharding.state_placement``).
    """
    kernels = [jnp.moveaxis(kernel, -1, 0) for kernel in kernels]
    matrices = [kernel.reshape(len(kernel), -1) for kernel in kernels]
    groups: dict[int, dict[bool, list[int]]] = {}
    for number, (rows, columns) in enumerate(matrix.shape for matrix in matrices):
        groups.setdefault(min(rows, columns), {}).setdefault(rows >= columns, []).append(number)
    groups = {size: dict(sorted(group.items())) for size, group in sorted(groups.items())}
    with jax.default_matmul_precision("highest"):
        stacks = [
            {tall: _stack([matrices[number] for number in numbers], tall) for tall, numbers in group.items()}
            for group in groups.values()
        ]
        grams = [jnp.concatenate([_gram(s, tall) for tall, s in group.items()]) for group in stacks]
        moved = [_multiply(group, *by) for group, by in zip(stacks, _polynomials(grams), strict=True)]
    result = {}
    for group, of_group in zip(groups.values(), moved, strict=True):
        for tall, numbers in group.items():
            for number, matrix in zip(numbers, of_group[tall], strict=True):
                rows, columns = matrices[number].shape
                result[number] = matrix[:rows, :columns].reshape(kernels[number].shape)
    return [jnp.moveaxis(result[number], 0, -1) for number in range(len(kernels))]


def _stack(matrices: list[jax.Array], tall: bool) -> jax.Array:
    """Stack matrices that share their shorter side; those less long end in zeros, which add to no product."""
    longest = max(matrix.shape[0 if tall else 1] for matrix in matrices)
    shape = (longest, matrices[0].shape[1]) if tall else (matrices[0].shape[0], longest)
    ends = ([(0, n - m) for n, m in zip(shape, matrix.shape, strict=True)] for matrix in matrices)
    return jnp.stack([jnp.pad(matrix, end) for matrix, end in zip(matrices, ends, strict=True)])


def _gram(stack: jax.Array, tall: bool) -> jax.Array:
    return stack.mT @ stack if tall else stack @ stack.mT


def _polynomials(grams: list[jax.Array]) -> list[tuple[jax.Array, jax.Array]]:
    """What to multiply matrices by and then divide them by, from stacks of Gram matrices (N, size, size)."""
    norms = [jnp.trace(gram, axis1=1, axis2=2)[:, None, None] for gram in grams]
    grams = [gram / (norm + 1e-16) for gram, norm in zip(grams, norms, strict=True)]
    identities = [jnp.broadcast_to(_identity(gram), gram.shape) for gram in grams]

    def iterate(_: jax.Array, pairs: list[tuple[jax.Array, jax.Array]]) -> list[tuple[jax.Array, jax.Array]]:
        # Made anew each time, the identity is part of a kernel; kept, it is one more array to read.
        return [_iterate(product, gram, _identity(gram)) for product, gram in pairs]

    pairs = jax.lax.fori_loop(0, _ITERATIONS, iterate, list(zip(identities, grams, strict=True)))
    return [(product, jnp.sqrt(norm) + 1e-8) for (product, _), norm in zip(pairs, norms, strict=True)]


def _identity(gram: jax.Array) -> jax.Array:
    return jnp.eye(gram.shape[-1], dtype=gram.dtype)[None]


def _multiply(
    stacks: dict[bool, jax.Array], products: jax.Array, divisors: jax.Array
) -> dict[bool, jax.Array]:
    """Multiply the wide and the tall matrices of a group by their products, which come in this order."""
    multiplied, begin = {}, 0
    for tall, stack in stacks.items():
        these = slice(begin, begin + len(stack))
        product = stack @ products[these] if tall else products[these] @ stack
        multiplied[tall] = product / divisors[these]
        begin += len(stack)
    return multiplied


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
