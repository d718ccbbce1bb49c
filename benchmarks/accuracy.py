"""Scores trained networks side by side on a data set's validation faces.

python benchmarks/accuracy.py --csv=fer2013.csv tiny cnn best runs/mine
python benchmarks/accuracy.py --csv=fer2013.csv --votes=fer2013new.csv plus best cnn tiny
    scores them on the faces with a majority of FER+'s votes. A network that does not know a class is wrong on
    its faces; another column leaves these faces out for all networks.

Each network, a run's folder or the name of weights that come with fer_jax, by each kind of test-time views:
accuracy with its 95 % interval, without the faces that also occur in training, macro F1, calibration error,
and the p-value of the exact McNemar test against the same network's single view and against the first network
with the same views.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_jax.checkpoints.choose import load
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_splits
from fer_jax.data.split import rows_shared
from fer_jax.errors import UserError
from fer_jax.evaluate.metrics import accuracy, accuracy_interval, summarize
from fer_jax.evaluate.step import score_probabilities
from fer_jax.labels import LABELS
from fer_jax.transforms.views import VIEWS

COLUMNS = ("accuracy (95 % interval)", "without shared faces", "macro F1", "calibration error")
COMPARISONS = ("p, against the first views", "p, against the first network")


class Score(NamedTuple):
    """One network by one kind of views; ``right`` is bool (N,), the faces that it told right."""

    name: str
    views: str
    right: np.ndarray
    figures: str


def score_all(
    names: list[str],
    faces: Faces,
    apart: np.ndarray,
    views: tuple[str, ...] = VIEWS,
    labels: Sequence[str] = LABELS,
) -> list[Score]:
    """Each network by each kind of views.

    Args:
      names: runs' folders, or weights that come with fer_jax.
      faces: labelled.
      apart: bool (N,), the faces that do not occur in training.
      views: ``one`` first.
      labels: names of the classes of the faces.
    """
    scores, networks = [], {name: load(name) for name in names}
    known = [all(label in network.labels for network in networks.values()) for label in labels]
    common = np.array(known)[faces.labels]
    for name, network in networks.items():
        classes = [*labels, *(label for label in network.labels if label not in labels)]
        for kind in views:
            chances = in_classes(network.predict(faces.images, views=kind), network.labels, classes)
            right = chances.argmax(1) == faces.labels
            figures = row(chances, faces.labels, apart, classes)
            if not all(known):
                figures = f"{right[common].mean():.2%} | {figures}"
            scores.append(Score(name, kind, right, figures))
    return scores


def in_classes(chances: np.ndarray, labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Probabilities (N, K) of ``labels`` as those of ``classes``, 0 for a class that is not a label."""
    wide = np.zeros((len(chances), len(classes)), chances.dtype)
    wide[:, [classes.index(label) for label in labels]] = chances
    return wide


def table(scores: list[Score]) -> str:
    """As Markdown; the p-values are against the same network's first views, and the first network's same."""
    columns = (
        COLUMNS if scores[0].figures.count(" | ") < len(COLUMNS) else ("on classes that all know", *COLUMNS)
    )
    heads = ("network", "views", *columns, *COMPARISONS)
    lines, first = (
        ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"],
        scores[0],
    )
    right = {(score.name, score.views): score.right for score in scores}
    for name, kind, hits, figures in scores:
        alone = "" if kind == first.views else f"{mcnemar(right[name, first.views], hits):.2g}"
        other = "" if name == first.name else f"{mcnemar(right[first.name, kind], hits):.2g}"
        lines.append(f"| {name} | {kind} | {figures} | {alone} | {other} |")
    return "\n".join(lines)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value that two classifiers err equally often: the exact McNemar test (1947).

    ``first``, ``second``: bool (N,), which examples each got right. 1 if they never differ.
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    differ = only_first + only_second
    return float(binomtest(only_first, differ).pvalue) if differ else 1.0


def row(chances: np.ndarray, labels: np.ndarray, apart: np.ndarray, classes: Sequence[str]) -> str:
    """The four figures of probabilities (N, K), as cells of the table; "none" if no face is ``apart``."""
    result = score_probabilities(chances, labels)
    figures, (low, high) = summarize(result, classes), accuracy_interval(result.confusion)
    rest = score_probabilities(chances[apart], labels[apart]).confusion
    without_shared = f"{accuracy(rest):.2%}" if apart.any() else "none"
    return (
        f"{figures['accuracy']:.2%} ({low:.1%} to {high:.1%}) | {without_shared} "
        f"| {figures['macro_f1']:.3f} | {figures['expected_calibration_error']:.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="+", help="runs' folders, or weights that come with fer_jax")
    parser.add_argument("--csv", required=True, help="the data set: a CSV file or folder with labels")
    parser.add_argument(
        "--votes", default="", help="FER+'s votes, fer2013new.csv, row by row for the CSV file"
    )
    parser.add_argument(
        "--views", default=",".join(VIEWS), help="test-time views; comparisons are with the first"
    )
    options = parser.parse_args()
    views = tuple(options.views.split(","))
    if unknown := set(views) - set(VIEWS):
        raise UserError(f"--views: {', '.join(sorted(unknown))} unknown; choose among {', '.join(VIEWS)}")
    splits = load_splits(options.csv, validation_fraction=0.1, seed=0, votes=options.votes)
    faces = splits.validation
    apart = ~rows_shared(faces.images, splits.train.images)
    print(f"{len(faces):,} faces")
    print(table(score_all(options.names, faces, apart, views, splits.labels)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
