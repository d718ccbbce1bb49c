"""Figures of merit: pure functions of a confusion matrix (rows true, columns predicted)."""

from typing import Any

import numpy as np

from fer_jax.labels import LABELS


def accuracy(confusion: np.ndarray) -> float:
    """Share of the diagonal, a fraction; 0 for an empty matrix. ``confusion``: int (K, K)."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else 0.0


def accuracy_interval(confusion: np.ndarray) -> tuple[float, float]:
    """95 % interval of the accuracy: Wilson's ("Probable inference", 1927). 0 to 1 for an empty matrix."""
    from scipy.stats import binomtest

    if not confusion.sum():
        return 0.0, 1.0
    found = binomtest(int(np.trace(confusion)), int(confusion.sum())).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value that two classifiers err equally often: the exact McNemar test (1947).

    ``first``, ``second``: bool (N,), which examples each got right. 1 where they never differ.
    """
    from scipy.stats import binomtest

    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    differ = only_first + only_second
    return float(binomtest(only_first, differ).pvalue) if differ else 1.0


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per class, float64 (K,) each; 0 where undefined (no such prediction, no such example)."""
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


def summarize(confusion: np.ndarray, loss: float) -> dict[str, Any]:
    """All figures of ``eval/metrics.json`` that follow from the matrix (7, 7) and the mean cross-entropy."""
    precision, recall, f1 = precision_recall_f1(confusion)
    support = confusion.sum(1)
    per_class = {
        label: {
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
            "support": int(support[k]),
        }
        for k, label in enumerate(LABELS)
    }
    return {
        "num_examples": int(confusion.sum()),
        "accuracy": accuracy(confusion),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "loss": float(loss),
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
    }
