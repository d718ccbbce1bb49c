"""``fer_jax.load(...).predict``: compiled once, and small batches for few faces."""

import dataclasses

import numpy as np
import pytest

import fer_jax
from fer_jax import classifier as module
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError


def test_compiled_once(monkeypatch):
    images = draw_faces(5, seed=0).images
    classifier = fer_jax.load("tiny")
    chances = classifier.predict(images)

    def refuse(*_):
        raise AssertionError("built again")

    monkeypatch.setattr(module, "create_model", refuse)
    np.testing.assert_array_equal(classifier.predict(images), chances)
    # One face in a batch of its own.
    np.testing.assert_allclose(classifier.predict(images[3:4]), chances[3:4], atol=1e-5)


def test_the_kept_network_is_that_of_the_weights():
    """Another temperature, another network: no mix-up."""
    images = draw_faces(3, seed=0).images
    tiny = fer_jax.load("tiny")
    hot = fer_jax.load("tiny")
    hot = dataclasses.replace(hot, weights=hot.weights._replace(temperatures={"one": 100.0}))
    np.testing.assert_allclose(hot.predict(images), 1 / 7, atol=0.05)
    assert tiny.predict(images).max() > 0.3


@pytest.mark.parametrize(
    ("count", "most", "size"),
    [
        (0, 128, 1),
        (1, 128, 1),
        (2, 128, 4),
        (5, 128, 16),
        (64, 128, 64),
        (65, 128, 128),
        (500, 128, 128),
        (7, 3, 3),
    ],
)
def test_batch_size(count, most, size):
    assert module._batch_size(count, most) == size


def test_wrong_images():
    with pytest.raises(UserError, match=r"float32 \(1, 48, 48, 1\); expected uint8 \(N, 48, 48, 1\)"):
        fer_jax.load("tiny").predict(np.zeros((1, 48, 48, 1), np.float32))
