"""Normalization and class weights against scikit-learn and NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from fer_jax.train.batches import class_weights
from fer_jax.transforms.normalize import (
    NORMALIZATIONS,
    fit_normalization,
    normalization_shape,
    normalize,
)


def random_images(count, seed=0):
    """Each pixel position with its own level and spread."""
    rng = np.random.default_rng(seed)
    level, spread = rng.integers(0, 150, (2, 1, 48, 48, 1))
    return (level + rng.random((count, 48, 48, 1)) * np.minimum(spread, 100)).astype(np.uint8)


def fit_and_apply(training, images, kind):
    result = normalize(jnp.asarray(images), fit_normalization(training, kind=kind), kind=kind)
    assert result.dtype == jnp.float32
    assert result.shape == images.shape
    return np.asarray(result)


def test_pixelwise_is_sklearns_standard_scaler():
    training, others = random_images(30), random_images(4, seed=0)[::-1]
    training[:, 5, 7] = 93
    scaler = StandardScaler().fit(training.reshape(30, -1).astype(float))
    expected = scaler.transform(others.reshape(4, -1).astype(float)).reshape(others.shape)
    np.testing.assert_allclose(fit_and_apply(training, others, "pixelwise"), expected, rtol=1e-4, atol=1e-4)


def test_global_uses_one_mean_and_deviation():
    training, others = random_images(30), random_images(4, seed=1)
    expected = (others - training.astype(float).mean()) / training.astype(float).std()
    np.testing.assert_allclose(fit_and_apply(training, others, "global"), expected, rtol=1e-5, atol=1e-5)


def test_global_statistics_are_exact_for_many_images():
    """A float32 sum would lose digits; integer sums are exact."""
    images = np.full((1500, 48, 48, 1), 251, np.uint8)
    images[::2] = 253
    statistics = fit_normalization(images, kind="global")
    assert statistics.mean.item() == 252
    assert statistics.std.item() == 1


def test_none_divides_by_255():
    images = random_images(4)
    np.testing.assert_allclose(fit_and_apply(images, images, "none"), images / 255, rtol=1e-6)


def test_samplewise_standardizes_each_image():
    images = random_images(4)
    images[2] = 77
    result = fit_and_apply(random_images(9, seed=2), images, "samplewise")
    for image, normalized in zip(images.astype(float), result, strict=True):
        expected = (image - image.mean()) / (image.std() or 1)
        np.testing.assert_allclose(normalized, expected, rtol=1e-4, atol=1e-4)
    assert np.all(result[2] == 0)


@pytest.mark.parametrize("kind", ["pixelwise", "global", "samplewise"])
def test_constant_pixels_divide_by_one(kind):
    training = np.full((6, 48, 48, 1), 140, np.uint8)
    assert np.all(fit_normalization(training, kind=kind).std == 1)
    assert np.all(fit_and_apply(training, training, kind) == 0)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_statistics_have_the_announced_shape(kind):
    for statistic in fit_normalization(random_images(3), kind=kind):
        assert statistic.dtype == np.float32
        assert statistic.shape == normalization_shape(kind)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_float_images_are_normalized_as_whole_numbers_are(kind):
    images = random_images(3)
    statistics = fit_normalization(images, kind=kind)
    as_floats = normalize(jnp.asarray(images, jnp.float32), statistics, kind=kind)
    assert np.array_equal(as_floats, fit_and_apply(images, images, kind))


def test_unknown_kind():
    with pytest.raises(
        ValueError, match=r"normalize='zscore' is unknown.*none, pixelwise, global, samplewise"
    ):
        fit_normalization(random_images(2), kind="zscore")


@pytest.mark.parametrize("present", [range(7), [0, 2, 3, 6], [4]])
def test_class_weights_are_sklearns_balanced(present):
    present = np.array(present)
    rng = np.random.default_rng(0)
    labels = np.concatenate([present, rng.choice(present, 200, p=rng.dirichlet(np.ones(len(present))))])
    weights = class_weights(labels, 7)
    assert weights.dtype == np.float32
    expected = np.zeros(7)
    expected[present] = compute_class_weight("balanced", classes=present, y=labels)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
