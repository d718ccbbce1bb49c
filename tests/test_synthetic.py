"""Drawn faces: what is promised of their order, and that they are neither trivial nor all alike."""

import numpy as np
import pytest

from fer_jax.data.synthetic import faces as synthetic
from fer_jax.data.synthetic.faces import draw_faces, synthetic_splits
from fer_jax.labels import LABELS, NUM_CLASSES


@pytest.fixture(scope="module")
def faces():
    return draw_faces(700, seed=3)


def nearest_mean_accuracy(train, test) -> float:
    """Accuracy of giving each test face the class whose mean training face is nearest."""

    def standardised(images):
        flat = images.reshape(len(images), -1).astype(np.float32)
        return (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)

    known, unknown = standardised(train.images), standardised(test.images)
    means = np.stack([known[train.labels == label].mean(0) for label in range(NUM_CLASSES)])
    nearest = (unknown @ means.T - 0.5 * (means**2).sum(1)).argmax(1)
    return float((nearest == test.labels).mean())


def test_shapes_and_types(faces):
    assert faces.images.shape == (700, 48, 48, 1)
    assert faces.images.dtype == np.uint8
    assert faces.labels.shape == (700,)
    assert faces.labels.dtype == np.int32
    assert faces.ids.tolist() == [str(row) for row in range(700)]


@pytest.mark.parametrize("count", [0, 1, 6, 40])
def test_any_number_and_balance(count):
    few = draw_faces(count, seed=0)
    assert few.images.shape == (count, 48, 48, 1)
    assert len(few.ids) == len(few.labels) == count
    per_class = np.bincount(few.labels, minlength=NUM_CLASSES)
    assert per_class.max() - per_class.min() <= 1


def test_labels_are_shuffled(faces):
    orders = faces.labels.reshape(-1, NUM_CLASSES)
    assert (np.sort(orders, axis=1) == np.arange(NUM_CLASSES)).all()
    assert len(np.unique(orders, axis=0)) > 50


def test_longer_set_begins_with_the_shorter(faces):
    # 45 is no multiple of a block of faces, nor of the number of classes.
    shorter = draw_faces(45, seed=3)
    np.testing.assert_array_equal(shorter.images, faces.images[:45])
    np.testing.assert_array_equal(shorter.labels, faces.labels[:45])


def test_seed_decides():
    np.testing.assert_array_equal(draw_faces(20, seed=8).images, draw_faces(20, seed=8).images)
    different = draw_faces(20, seed=8).images != draw_faces(20, seed=9).images
    assert different.any((1, 2, 3)).all()


def test_splits_share_no_picture():
    splits = synthetic_splits(num_train=60, num_validation=40, num_test=30, seed=0)
    assert [len(part) for part in splits[:3]] == [60, 40, 30]
    pictures = {face.tobytes() for part in splits[:3] for face in part.images}
    assert len(pictures) == 130


def test_table_names_every_expression_and_only_known_units():
    assert tuple(synthetic.EXPRESSIONS) == LABELS
    assert {unit for units in synthetic.EXPRESSIONS.values() for unit in units} <= set(synthetic.ACTION_UNITS)


def test_expression_alone_changes_the_face():
    """One person, one pose, one light: seven labels, seven faces that differ around the features."""
    streams = [np.random.default_rng(4) for _ in LABELS]
    parameters = synthetic._sample(np.arange(NUM_CLASSES), streams)
    drawn = synthetic.portraits(parameters, np.zeros((NUM_CLASSES, 48, 48), np.float32))
    gaps = np.abs(drawn[:, None] - drawn[None]).max((2, 3))
    assert gaps[~np.eye(NUM_CLASSES, dtype=bool)].min() > 0.1
    # The hair and what is behind the head carry nothing of the expression.
    assert np.abs(drawn - drawn[:1])[:, 0].max() < 1e-6


def test_pictures_use_the_range_of_greys(faces):
    spread = faces.images.reshape(700, -1).astype(float).std(1)
    assert spread.min() > 5
    assert 90 < faces.images.mean() < 165


def test_too_varied_for_nearest_mean_yet_not_random(faces):
    """Pose, light and identity blur the mean faces; the expression is still in them."""
    accuracy = nearest_mean_accuracy(draw_faces(2100, seed=11), faces)
    assert 1 / NUM_CLASSES < accuracy < 0.6
