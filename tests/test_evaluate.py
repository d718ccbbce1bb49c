"""Evaluation against scikit-learn, for batch sizes that do not divide the number of images."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from fer_jax.data.batches import padded_batches
from fer_jax.evaluate import step as ev
from fer_jax.evaluate.metrics import summarize
from fer_jax.labels import LABELS
from fer_jax.models import init_variables
from fer_jax.models.forward import make_forward, predict_probabilities
from fer_jax.transforms.normalize import fit_normalization, normalize
from fer_jax.transforms.views import make_views

COUNT = 45


class Linear(nn.Module):
    """A dense layer on a few of the pixels; BatchNorm to need all variables."""

    @nn.compact
    def __call__(self, x, *, train):
        x = x[:, ::12, ::12].reshape(x.shape[0], -1)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(7, kernel_init=nn.initializers.normal(0.7))(x)


@functools.cache
def faces():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 48, 48, 1), np.uint8)
    return images, rng.permutation(np.arange(COUNT) % 7).astype(np.int32)


@functools.cache
def network():
    """Model, variables (of which the running mean is not its default), statistics."""
    variables = init_variables(Linear(), jax.random.key(0))
    variables["batch_stats"] = jax.tree.map(lambda leaf: leaf + 0.1, variables["batch_stats"])
    return Linear(), variables, fit_normalization(faces()[0], kind="global")


@functools.cache
def compiled(views="one"):
    """Forward pass and eval step."""
    forward = jax.jit(make_forward(model=network()[0], normalize_kind="global", views=views))
    return forward, ev.make_eval_step(forward)


def probabilities(views="one", batch_size=COUNT):
    return predict_probabilities(
        compiled(views)[0], *network()[1:], faces()[0], num_classes=7, batch_size=batch_size
    )


def evaluated(views="one", batch_size=COUNT):
    return ev.evaluate(compiled(views)[1], *network()[1:], *faces(), num_classes=7, batch_size=batch_size)


@pytest.mark.parametrize("views", ["one", "flip"])
def test_figures_are_sklearns(views):
    labels, predicted = faces()[1], probabilities(views)
    confusion, loss, _ = evaluated(views)
    assert confusion.dtype == np.int64
    expected = sk.confusion_matrix(labels, predicted.argmax(-1), labels=range(7))
    assert np.array_equal(confusion, expected)
    assert loss == pytest.approx(sk.log_loss(labels, predicted, labels=range(7)), rel=1e-4)


@pytest.mark.parametrize("batch_size", [7, 16, 64])
def test_figures_do_not_depend_on_the_batch_size(batch_size):
    """64 is more than there are images; 7 and 16 leave a rest."""
    confusion, loss, _ = evaluated(batch_size=batch_size)
    expected_confusion, expected_loss, _ = evaluated()
    assert np.array_equal(confusion, expected_confusion)
    assert confusion.sum() == COUNT
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(probabilities(batch_size=batch_size), probabilities(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("count", "batch_size"), [(0, 4), (1, 4), (8, 4), (9, 4), (10, 1), (3, 100)])
def test_each_row_is_counted_once(count, batch_size):
    batches = list(padded_batches(count, batch_size))
    counted = [row for rows, mask in batches for row in rows[mask]]
    assert counted == list(range(count))
    assert all(rows.shape == mask.shape == (batch_size,) for rows, mask in batches)
    assert all(np.all(rows < count) for rows, _ in batches)


def test_no_images():
    images, labels = faces()
    confusion, loss, _ = ev.evaluate(
        compiled()[1], *network()[1:], images[:0], labels[:0], num_classes=7, batch_size=4
    )
    assert np.array_equal(confusion, np.zeros((7, 7)))
    assert loss == 0
    assert predict_probabilities(
        compiled()[0], *network()[1:], images[:0], num_classes=7, batch_size=4
    ).shape == (0, 7)


def test_forward_in_numpy():
    """One linear layer after BatchNorm with known statistics, written out."""
    variables, statistics = jax.tree.map(np.asarray, network()[1:])
    images = (faces()[0].astype(float) - statistics.mean) / statistics.std
    norm, dense = variables["params"]["BatchNorm_0"], variables["params"]["Dense_0"]
    stats = variables["batch_stats"]["BatchNorm_0"]
    x = images[:, ::12, ::12].reshape(COUNT, -1)
    x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * norm["scale"] + norm["bias"]
    odds = np.exp(x @ dense["kernel"] + dense["bias"])
    expected = odds / odds.sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities(), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("views", ["flip", "zoom", "ten_crop"])
def test_views_average_probabilities(views):
    model, variables, statistics = network()
    seen = make_views(jnp.asarray(faces()[0]), views=views)
    by_hand = [
        jax.nn.softmax(model.apply(variables, normalize(view, statistics, kind="global"), train=False))
        for view in seen
    ]
    np.testing.assert_allclose(probabilities(views), np.mean(by_hand, 0), rtol=1e-4, atol=1e-6)
    assert np.abs(probabilities(views) - probabilities()).max() > 0.01


def test_summary_is_sklearns_classification_report():
    labels, predicted = faces()[1], probabilities().argmax(-1)
    summary = summarize(evaluated(), LABELS)
    report = sk.classification_report(
        labels, predicted, labels=range(7), target_names=LABELS, output_dict=True, zero_division=0
    )
    assert summary["accuracy"] == pytest.approx(report["accuracy"])
    assert summary["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    assert summary["balanced_accuracy"] == pytest.approx(report["macro avg"]["recall"])
    for label in LABELS:
        expected = {name.removesuffix("-score"): value for name, value in report[label].items()}
        assert summary["per_class"][label] == pytest.approx(expected)
