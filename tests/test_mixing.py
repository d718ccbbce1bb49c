"""Mixup: every result is a blend of two, with the shares that Beta gives. Cutmix: by the area shown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fer_jax.transforms.mixing import cutmix, mixup

KEY = jax.random.key(2)
COUNT = 4000
# As in training; by themselves, the operations take longer to compile.
compiled_mixup = jax.jit(mixup, static_argnames="alpha")
compiled_cutmix = jax.jit(cutmix, static_argnames="alpha")


def mixed(alpha, count=COUNT, key=KEY):
    """One-pixel images that hold their row number, and targets that are one-hot in it."""
    images = jnp.arange(count, dtype=jnp.uint16).reshape(count, 1, 1, 1)
    out, targets = compiled_mixup(key, images, jnp.eye(count, dtype=jnp.float32), alpha=alpha)
    return np.asarray(out)[:, 0, 0, 0], np.asarray(targets)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_targets_and_images_are_blended_alike(alpha):
    images, targets = mixed(alpha, count=50)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    assert np.all(np.count_nonzero(targets, axis=1) <= 2)
    np.testing.assert_allclose(images, targets @ np.arange(50), rtol=1e-5, atol=1e-5)
    assert np.all(targets.argmax(1) == np.arange(50))


def test_partners_are_a_permutation():
    """Each face is once the lesser part of a blend, so that it keeps its weight in the epoch."""
    _, targets = mixed(1.0, count=50)
    lesser = targets * (1 - np.eye(50))
    assert np.all(np.count_nonzero(lesser, axis=0) <= 1)
    assert np.count_nonzero(lesser) >= 45


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_follow_the_folded_beta_distribution(alpha):
    """The larger of X and 1 - X, X from Beta(alpha, alpha): P(< x) = F(x) - F(1 - x)."""
    _, targets = mixed(alpha)
    share = np.diag(targets)
    share = share[np.count_nonzero(targets, axis=1) == 2]
    beta = scipy.stats.beta(alpha, alpha)
    assert len(share) > 0.95 * COUNT or alpha < 1
    assert np.all(share >= 0.5)
    if alpha == 1.0:
        assert scipy.stats.kstest(share, lambda x: beta.cdf(x) - beta.cdf(1 - x)).pvalue > 1e-3
    else:
        # Float32 rounds shares next to 1 up to it; those are blends of one.
        whole = np.mean(np.diag(targets) > 0.999)
        assert whole == pytest.approx(2 * beta.cdf(0.001), abs=0.03)


def test_draws_depend_on_the_key_alone():
    first, again, other = mixed(1.0, 20), mixed(1.0, 20), mixed(1.0, 20, jax.random.key(3))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_compiled_is_the_same():
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8))
    targets = jnp.eye(6, dtype=jnp.float32)
    found = compiled_mixup(KEY, images, targets, alpha=0.4)
    expected = mixup(KEY, images, targets, alpha=0.4)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert a.dtype == jnp.float32


def pasted(alpha, count, side=24):
    """Cutmix of images whose pixels all hold their row number -> images, targets, one-hot in the row."""
    images = jnp.broadcast_to(
        jnp.arange(count, dtype=jnp.uint16).reshape(-1, 1, 1, 1), (count, side, side, 1)
    )
    out, targets = compiled_cutmix(KEY, images, jnp.eye(count, dtype=jnp.float32), alpha=alpha)
    return np.asarray(out)[..., 0], np.asarray(targets)


def test_cutmix_targets_are_the_areas():
    """Each image shows its own face and at most one other, that one in a full rectangle."""
    images, targets = pasted(1.0, count=60)
    for row, (image, target) in enumerate(zip(images, targets, strict=True)):
        areas = np.bincount(image.astype(int).ravel(), minlength=60) / image.size
        np.testing.assert_allclose(target, areas, atol=1e-6)
        other = image != row
        rectangle = other.any(1)[:, None] & other.any(0)[None]
        np.testing.assert_array_equal(other, rectangle)
    assert np.count_nonzero(targets * (1 - np.eye(60))) > 40


def test_cutmix_areas():
    """Of a rectangle of the image's proportions with any centre, beta's share kept: in closed form by area.

    With half-sides r = sqrt(u) / 2, u uniform, a side's mean part inside is 2 r - r ** 2.
    """
    _, targets = pasted(1.0, count=3000, side=48)
    own = targets[np.eye(3000, dtype=bool)]
    half = np.sqrt(np.linspace(0, 1, 100_001)) / 2
    assert 1 - own.mean() == pytest.approx(np.mean((2 * half - half**2) ** 2), abs=0.01)


def test_cutmix_of_colour_and_shape():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8)
    out, targets = cutmix(KEY, jnp.asarray(images), jnp.eye(5), alpha=0.5)
    assert (out.shape, out.dtype, targets.shape) == ((5, 8, 6, 3), jnp.float32, (5, 5))
