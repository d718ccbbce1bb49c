"""Scores teachers, who may know FER+'s votes, on a data set's validation faces by one view.

python benchmarks/teachers.py --csv=fer2013.csv --votes=fer2013new.csv best cnn best,cnn

A teacher is a run's folder or the name of weights that come with fer_jax; A,B is the mean of several. Each by
each share of the votes in what it says, as ``config.teacher_votes_share`` sets it: accuracy, and mean loss.
Share 1 is votes alone.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_jax.checkpoints.choose import load
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_splits
from fer_jax.errors import UserError
from fer_jax.evaluate.metrics import accuracy
from fer_jax.evaluate.step import score_probabilities
from fer_jax.labels import LABELS
from fer_jax.train.examples import said
from fer_jax.train.teachers import probabilities_by_votes


def figures(chances: np.ndarray, labels: np.ndarray) -> str:
    """Accuracy and mean cross-entropy of probabilities (N, K), as a cell of the table."""
    result = score_probabilities(chances, labels)
    return f"{accuracy(result.confusion):.2%}, {result.loss:.3f}"


def table(teachers: Sequence[str], shares: Sequence[float], train: Faces, faces: Faces) -> str:
    """As Markdown: a row for each teacher, a column for each share of the votes."""
    heads = ["teacher", *(f"votes {share:g}" for share in shares)]
    lines = [heads, ["---"] * len(heads)]
    by_votes = probabilities_by_votes(train, len(LABELS), faces)
    networks = {name for teacher in teachers for name in teacher.split(",")}
    known = {name: load(name).predict(faces.images, views="one") for name in networks}
    for teacher in teachers:
        seen = np.mean([known[name] for name in teacher.split(",")], 0)
        lines.append([teacher, *(figures(said(seen, by_votes, share), faces.labels) for share in shares)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("teachers", nargs="+", help="networks; A,B for the mean of several")
    parser.add_argument("--csv", required=True, help="fer2013.csv")
    parser.add_argument("--votes", required=True, help="FER+'s fer2013new.csv, row by row for the CSV file")
    parser.add_argument("--shares", default="0,0.35,0.5,0.65,1", help="shares of the votes")
    options = parser.parse_args()
    splits = load_splits(options.csv, validation_fraction=0.1, seed=0, teacher_votes=options.votes)
    print(f"{len(splits.validation):,} faces; accuracy, loss")
    shares = [float(share) for share in options.shares.split(",")]
    print(table(options.teachers, shares, splits.train, splits.validation))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
