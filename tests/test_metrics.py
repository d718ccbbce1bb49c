"""Figures of merit against scikit-learn."""

import json
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from fer_jax.evaluate import metrics
from fer_jax.evaluate.calibration import empty_bins
from fer_jax.evaluate.step import Evaluation
from fer_jax.labels import LABELS

EMPTY = np.zeros((7, 7), np.int64)


def draw(seed):
    """True and predicted labels, each with some classes missing in most draws."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    true = rng.choice(rng.choice(7, rng.integers(1, 8), replace=False), count)
    guess = rng.choice(rng.choice(7, rng.integers(1, 8), replace=False), count)
    return true, np.where(rng.random(count) < 0.4, true, guess)


def confusion_of(true, predicted):
    confusion = EMPTY.copy()
    np.add.at(confusion, (true, predicted), 1)
    return confusion


DRAWS = pytest.mark.parametrize("seed", range(25))


@DRAWS
def test_accuracy(seed):
    true, predicted = draw(seed)
    expected = sk.accuracy_score(true, predicted)
    assert metrics.accuracy(confusion_of(true, predicted)) == pytest.approx(expected)


@DRAWS
def test_balanced_accuracy(seed):
    true, predicted = draw(seed)
    with warnings.catch_warnings():
        # scikit-learn says aloud that it leaves out the classes without examples, and does so.
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", "A single label was found")
        expected = sk.balanced_accuracy_score(true, predicted)
    assert metrics.balanced_accuracy(confusion_of(true, predicted)) == pytest.approx(expected)


@DRAWS
def test_precision_recall_f1(seed):
    true, predicted = draw(seed)
    expected = sk.precision_recall_fscore_support(true, predicted, labels=range(7), zero_division=0)[:3]
    np.testing.assert_allclose(metrics.precision_recall_f1(confusion_of(true, predicted)), expected)


@DRAWS
def test_macro_f1(seed):
    true, predicted = draw(seed)
    expected = sk.f1_score(true, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(confusion_of(true, predicted)) == pytest.approx(expected)


def test_draws_have_missing_classes():
    """The tests above would say little otherwise."""
    missing = [confusion_of(*draw(seed)) for seed in range(25)]
    assert any(
        (matrix.sum(1) == 0).any() and (matrix.sum(0)[matrix.sum(1) == 0] > 0).any() for matrix in missing
    )
    assert any((matrix.sum(0)[matrix.sum(1) > 0] == 0).any() for matrix in missing)


def test_empty_matrix():
    assert metrics.accuracy(EMPTY) == metrics.balanced_accuracy(EMPTY) == metrics.macro_f1(EMPTY) == 0
    assert np.array_equal(metrics.precision_recall_f1(EMPTY), np.zeros((3, 7)))
    summary = metrics.summarize(Evaluation(EMPTY, 0.0, empty_bins()), LABELS)
    assert summary["num_examples"] == 0
    assert summary["per_class"]["happy"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_summary_is_plain_json_of_all_figures():
    true, predicted = draw(3)
    confusion = confusion_of(true, predicted)
    summary = metrics.summarize(Evaluation(confusion, np.float32(0.75), empty_bins()), LABELS)
    assert json.loads(json.dumps(summary)) == summary
    assert summary["num_examples"] == len(true)
    assert summary["loss"] == 0.75
    assert summary["accuracy"] == metrics.accuracy(confusion)
    assert summary["balanced_accuracy"] == metrics.balanced_accuracy(confusion)
    assert summary["macro_f1"] == metrics.macro_f1(confusion)
    assert summary["confusion_matrix"] == sk.confusion_matrix(true, predicted, labels=range(7)).tolist()
    assert list(summary["per_class"]) == list(LABELS)
    assert [row["support"] for row in summary["per_class"].values()] == np.bincount(
        true, minlength=7
    ).tolist()
