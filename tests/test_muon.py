"""Against optax's Newton-Schulz iterations, which work on the matrix itself, and NumPy's SVD."""

import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

from fer_jax.train.muon import orthogonalize, orthogonalize_all, orthogonalize_in_groups, scale_by_muon

JORDAN = (3.4445, -4.7750, 2.0315)


def kernel(shape, seed=0):
    """Random, of very different singular values."""
    scale = 10.0 ** np.linspace(-2, 1, shape[-1])
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def optax_orthogonalize(array):
    """optax's own, on the matrix of inputs by outputs."""
    with jax.numpy_dtype_promotion("standard"):
        muon = optax.contrib.scale_by_muon(JORDAN, beta=0.0, nesterov=False)
        matrix = jnp.asarray(array.reshape(-1, array.shape[-1]))
        return np.asarray(muon.update(matrix, muon.init(matrix))[0]).reshape(array.shape)


@pytest.mark.parametrize("shape", [(3, 3, 4, 24), (3, 3, 1, 24), (40, 8), (8, 40)])
def test_orthogonalize_is_optaxs(shape):
    expected = optax_orthogonalize(kernel(shape))
    np.testing.assert_allclose(orthogonalize(kernel(shape)), expected, atol=1e-4 * np.abs(expected).max())


def test_orthogonalize_keeps_singular_vectors():
    left, _, right = np.linalg.svd(kernel((40, 8)), full_matrices=False)
    values = left.T @ np.asarray(orthogonalize(kernel((40, 8)))) @ right.T
    np.testing.assert_allclose(values, np.diag(np.diag(values)), atol=1e-3)


def test_products_are_in_full_precision():
    """What GPUs and TPUs take by default rounds to fewer bits than the iterations bear."""
    text = str(jax.make_jaxpr(orthogonalize)(kernel((40, 8))))
    assert text.count("dot_general[") == text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") > 10


SHAPES = [(3, 3, 4, 24), (40, 8), (3, 3, 1, 24), (8, 40), (2, 2, 12, 8), (3, 3, 4, 24)]
"""Gram matrices of 24, 9 and 8; tall and wide ones in one group, of several heights."""


def test_groups_equal_one_by_one():
    kernels = [kernel(shape, seed) for seed, shape in enumerate(SHAPES)]
    for found, alone in zip(jax.jit(orthogonalize_in_groups)(kernels), kernels, strict=True):
        expected = np.asarray(jax.jit(orthogonalize)(alone))
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_groups_keep_singular_vectors():
    """By NumPy's SVD: the same vectors, values near 1."""
    kernels = [np.random.default_rng(seed).normal(size=shape) for seed, shape in enumerate(SHAPES)]
    kernels = [array.astype(np.float32) for array in kernels]
    for found, alone in zip(orthogonalize_in_groups(kernels), kernels, strict=True):
        left, _, right = np.linalg.svd(alone.reshape(-1, alone.shape[-1]), full_matrices=False)
        values = left.T @ np.asarray(found).reshape(-1, alone.shape[-1]) @ right.T
        np.testing.assert_allclose(values, np.diag(np.diag(values)), atol=1e-3)
        assert 0.6 < np.diag(values).min() <= np.diag(values).max() < 1.3


def test_groups_of_nothing():
    np.testing.assert_array_equal(orthogonalize_in_groups([np.zeros((3, 3, 2, 4), np.float32)])[0], 0)


def test_groups_share_products():
    """Four an iteration for each of three sizes, and two for each of four stacks; in full precision."""
    text = str(jax.make_jaxpr(orthogonalize_in_groups)([kernel(shape) for shape in SHAPES]))
    assert text.count("dot_general[") == 3 * 4 + 4 * 2
    assert text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == 3 * 4 + 4 * 2


def test_a_cpu_has_the_bits_of_one_by_one():
    kernels = [kernel(shape, seed) for seed, shape in enumerate(SHAPES[:2])]
    one_by_one = jax.jit(lambda kernels: [orthogonalize(k) for k in kernels])(kernels)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(orthogonalize_all)(kernels), one_by_one)


def test_no_gradient_no_update():
    np.testing.assert_array_equal(orthogonalize(np.zeros((3, 3, 2, 4), np.float32)), 0)


def test_momentum_looks_ahead():
    """Two steps by hand; the wide kernel's update is longer by the root of outputs by inputs."""
    first, second = kernel((3, 12), seed=1), kernel((3, 12), seed=2)
    muon = scale_by_muon(momentum=0.9)
    _, trace = muon.update({"k": first}, muon.init({"k": first}))
    update, trace = muon.update({"k": second}, trace)
    average = 0.9 * 0.1 * first + 0.1 * second
    np.testing.assert_allclose(trace["k"], average, rtol=1e-5, atol=1e-7)
    expected = 2 * np.asarray(orthogonalize(0.9 * average + 0.1 * second))
    np.testing.assert_allclose(update["k"], expected, rtol=1e-3, atol=1e-4)
