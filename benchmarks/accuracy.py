"""Scores trained networks side by side on a data set's validation faces.

python benchmarks/accuracy.py --csv=fer2013.csv tiny cnn best runs/mine

Each network, a run's folder or the name of weights that come with fer_jax, by each kind of test-time views:
accuracy with its 95 % interval, without the faces that also occur in training, macro F1, calibration error,
and the p-value of the exact McNemar test against the same network's single view and against the first network
with the same views.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_jax.checkpoints.choose import by_path_or_name
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_splits
from fer_jax.data.split import rows_shared
from fer_jax.errors import UserError
from fer_jax.evaluate.calibration import add_to_bins, empty_bins, expected_calibration_error
from fer_jax.evaluate.metrics import accuracy_interval, mcnemar
from fer_jax.evaluate.run import probabilities
from fer_jax.labels import NUM_CLASSES
from fer_jax.transforms.views import VIEWS

HEADER = (
    "| network | views | accuracy (95 % interval) | without shared faces | macro F1 | calibration error "
    "| p, against one view | p, against the first |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


class Score(NamedTuple):
    """One network by one kind of views; ``right`` is bool (N,), the faces that it told right."""

    name: str
    views: str
    right: np.ndarray
    figures: str


def score_all(
    names: list[str], faces: Faces, apart: np.ndarray, views: tuple[str, ...] = VIEWS
) -> list[Score]:
    """Each network by each kind of views.

    Args:
      names: runs' folders, or weights that come with fer_jax.
      faces: labelled.
      apart: bool (N,), the faces that do not occur in training.
      views: ``one`` first.
    """
    scores = []
    for name in names:
        weights, record = by_path_or_name(name)
        for kind in views:
            chances = probabilities(weights, record.config, faces.images, views=kind)
            right = chances.argmax(1) == faces.labels
            scores.append(Score(name, kind, right, row(chances, faces.labels, apart)))
    return scores


def table(scores: list[Score]) -> str:
    """As Markdown; the p-values are against the same network's first views, and the first network's same."""
    lines, first = [HEADER], scores[0]
    right = {(score.name, score.views): score.right for score in scores}
    for name, kind, hits, figures in scores:
        alone = "" if kind == first.views else f"{mcnemar(right[name, first.views], hits):.2g}"
        other = "" if name == first.name else f"{mcnemar(right[first.name, kind], hits):.2g}"
        lines.append(f"| {name} | {kind} | {figures} | {alone} | {other} |")
    return "\n".join(lines)


def row(chances: np.ndarray, labels: np.ndarray, apart: np.ndarray) -> str:
    """The four figures of probabilities (N, 7), as cells of the table."""
    predicted = chances.argmax(1)
    hits = predicted == labels
    low, high = accuracy_interval(confusion_matrix(labels, predicted, labels=range(NUM_CLASSES)))
    bins = add_to_bins(empty_bins(), chances, labels, np.ones(len(labels), bool))
    return (
        f"{hits.mean():.2%} ({low:.1%} to {high:.1%}) | {hits[apart].mean():.2%} "
        f"| {f1_score(labels, predicted, average='macro'):.3f} | {expected_calibration_error(bins):.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="+", help="runs' folders, or weights that come with fer_jax")
    parser.add_argument("--csv", required=True, help="the data set: a CSV file or folder with labels")
    options = parser.parse_args()
    splits = load_splits(options.csv, validation_fraction=0.1, seed=0)
    apart = ~rows_shared(splits.validation.images, splits.train.images)
    print(table(score_all(options.names, splits.validation, apart)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
