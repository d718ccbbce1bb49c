"""Compute figures of merit from a confusion matrix, int (K, K), rows true, columns predicted."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_jax.evaluate.calibration import expected_calibration_error
from fer_jax.evaluate.step import Evaluation


def accuracy(confusion: np.ndarray) -> float:
    """Share of the diagonal, a fraction; 0 for an empty matrix."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else 0.0


def accuracy_interval(confusion: np.ndarray) -> tuple[float, float]:
    """95 % interval of the accuracy: Wilson's ("Probable inference", 1927). 0 to 1 for an empty matrix."""
    from scipy.stats import binomtest

    if not confusion.sum():
        return 0.0, 1.0
    found = binomtest(int(np.trace(confusion)), int(confusion.sum())).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class, float64 (K,); 0 if undefined (no prediction, no example)."""
    hits = np.diag(confusion).astype(float)
    predicted, support = confusion.sum(0), confusion.sum(1)
    precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=predicted > 0)
    recall = np.divide(hits, support, out=np.zeros_like(hits), where=support > 0)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(hits), where=both > 0)
    return precision, recall, f1


def balanced_accuracy(confusion: np.ndarray) -> float:
    """Mean recall over the classes that have examples; 0 if none has."""
    present = confusion.sum(1) > 0
    return float(precision_recall_f1(confusion)[1][present].mean()) if present.any() else 0.0


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur as a label or as a prediction; 0 if none does."""
    occurs = (confusion.sum(0) + confusion.sum(1)) > 0
    return float(precision_recall_f1(confusion)[2][occurs].mean()) if occurs.any() else 0.0


def summarize(result: Evaluation, labels: Sequence[str]) -> dict[str, Any]:
    """Return the figures of ``eval/metrics.json`` that follow from the scores of a split.

    ``labels`` are the names of the K classes.
    """
    confusion = result.confusion
    per_class = {
        label: {"precision": p.item(), "recall": r.item(), "f1": f1.item(), "support": n.item()}
        for label, p, r, f1, n in zip(labels, *precision_recall_f1(confusion), confusion.sum(1), strict=True)
    }
    return {
        "num_examples": int(confusion.sum()),
        "accuracy": accuracy(confusion),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "loss": float(result.loss),
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
        "expected_calibration_error": expected_calibration_error(result.bins),
    }
