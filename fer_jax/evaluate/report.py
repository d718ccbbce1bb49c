"""Score a network on a split, and report it on the screen and in ``eval/``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fer_jax.classifier import Classifier
from fer_jax.data.class_names import relabel
from fer_jax.data.faces import Faces, Splits, digest
from fer_jax.data.load import labelled_faces, load_to_score
from fer_jax.data.split import rows_shared
from fer_jax.evaluate import plots
from fer_jax.evaluate.calibration import Bins
from fer_jax.evaluate.metrics import accuracy_interval, summarize
from fer_jax.evaluate.step import evaluate, make_eval_step
from fer_jax.runtime.files import write_json, write_text
from fer_jax.runtime.progress import announced
from fer_jax.runtime.signals import held
from fer_jax.runtime.words import number_of

_MOST_COLUMNS, _MOST_ERRORS = 15, 10
"""Of the printed matrix, and of the errors that are printed in its place."""


class Scored(NamedTuple):
    """A data set to score a network on.

    Attributes:
      splits: as loaded.
      faces: those of the split to score, labelled by the classes of the network.
      unnamed: how many faces of the split have a class that the network does not know.
    """

    splits: Splits
    faces: Faces
    unnamed: int


def load_scored(classifier: Classifier, printed: set[str], *, weights: str = "the weights") -> Scored:
    """Load the data set of the classifier's config, and the labelled faces in it to score.

    Print the notes of the data set, and a warning if the weights may have been trained on the faces to score.

    Args:
      classifier: the one to score.
      printed: lines that are not printed again; the new ones are added.
      weights: the name of the weights in the warning.

    Raises:
      UserError: bad data, or no labelled faces in the split.
    """
    config = classifier.config
    splits = load_to_score(config, trained_on=classifier.record.data["digest"])
    faces = labelled_faces(splits, split=config["split"], dataset=config["dataset"])
    faces, left_out = relabel(faces, splits.labels, classifier.labels)
    notes = list(splits.notes)
    if left_out:
        classes = " and ".join(f"{number_of(count, 'face')} of {name}" for name, count in left_out.items())
        notes.append(f"left out: {classes}, which the network does not know")
    if classifier.record.data["digest"] != digest(splits):
        has = f"{config['dataset']} has{' for training' if len(splits.train) else ''}"
        notes.append(
            f"{weights} were trained on other faces than {has}; if they include faces that are scored here, "
            "the figures below are too high"
        )
    for note in notes:
        if note not in printed:
            print(f"  {note}")
    printed.update(notes)
    return Scored(splits, faces, sum(left_out.values()))


def score_and_report(classifier: Classifier, scored: Scored, workdir: Path) -> None:
    """Score the split and the views of the classifier's config, and report them.

    Print also the accuracy on the faces that do not occur in training.
    """
    faces = scored.faces
    result, bins = score(classifier, faces)
    report(result, bins, workdir, classifier)
    if scored.unnamed:
        share = result["accuracy"] * len(faces) / (len(faces) + scored.unnamed)
        print(f"with the {scored.unnamed:,} faces that it cannot name counted as wrong: {share:.2%}")
    apart = ~rows_shared(faces.images, scored.splits.train.images)
    if 0 < apart.sum() < len(faces):
        rest, _ = score(classifier, faces.take(apart))
        print(f"without the {np.sum(~apart)} faces that also occur in training: {rest['accuracy']:.2%}")


def score(classifier: Classifier, faces: Faces) -> tuple[dict[str, Any], Bins]:
    """Score labelled ``faces`` -> the content of ``eval/metrics.json``, and the bins of confidence."""
    config = classifier.config
    with announced(f"scoring {number_of(len(faces), 'face')}"):
        result = evaluate(
            make_eval_step(classifier.forward(config["views"])),
            classifier.weights.variables,
            classifier.weights.normalization,
            faces.images,
            faces.labels,
            num_classes=len(classifier.labels),
            batch_size=min(config["batch_size"], len(faces)),
        )
    return {
        "split": config["split"],
        "views": config["views"],
        **summarize(result, classifier.labels),
    }, result.bins


def report(
    result: dict[str, Any], bins: Bins, workdir: Path, classifier: Classifier, *, quiet: bool = False
) -> None:
    """Print what ``score`` returned, unless ``quiet``, and write it to ``eval/`` in the workdir."""
    text = report_text(result, epoch=classifier.row["epoch"])
    if not quiet:
        print(text)
    folder = workdir / "eval"
    with held():
        _write(folder, text, result, bins, plots.run_title(workdir, classifier.config["dataset"]))
    if not quiet:
        print(f"written: {folder}/metrics.json, report.txt, confusion_matrix.csv, .png, reliability.png")


def _write(folder: Path, text: str, result: dict[str, Any], bins: Bins, run: str) -> None:
    write_json(folder / "metrics.json", result)
    write_text(folder / "report.txt", text + "\n")
    confusion = np.array(result["confusion_matrix"])
    labels = list(result["per_class"])
    table = pd.DataFrame(confusion, index=pd.Index(labels, name="true"), columns=labels)
    write_text(folder / "confusion_matrix.csv", table.to_csv())
    faces = number_of(result["num_examples"], "face")
    title = f"{run}\n{result['split']}: {result['accuracy']:.1%} of {faces}"
    plots.save_confusion_matrix(folder / "confusion_matrix.png", confusion, labels, title=title)
    title = f"{run}\n{result['split']}, views: {result['views']}"
    plots.save_reliability(folder / "reliability.png", bins, title=title)


def report_text(result: dict[str, Any], *, epoch: int) -> str:
    """Format a result as aligned text: matrix (rows true, columns predicted), table of classes, totals.

    With more than 15 classes, whose matrix no line could hold, its largest errors stand in its place.
    """
    labels = list(result["per_class"])
    width = max(map(len, labels))
    matrix = (_matrix if len(labels) <= _MOST_COLUMNS else _largest_errors)(
        result["confusion_matrix"], labels
    )
    classes = [f"{'':<{width}}  precision     recall         f1    support"]
    for label, figures in result["per_class"].items():
        values = "".join(f"{figures[name]:>11.3f}" for name in ("precision", "recall", "f1"))
        classes.append(f"{label:<{width}}{values}{figures['support']:>11,}")
    low, high = accuracy_interval(np.array(result["confusion_matrix"]))
    faces = number_of(result["num_examples"], "face")
    totals = (
        f"accuracy {result['accuracy']:.2%}, balanced accuracy {result['balanced_accuracy']:.2%}, "
        f"macro F1 {result['macro_f1']:.3f}, loss {result['loss']:.3f} "
        f"({result['split']}, {faces}, views: {result['views']}, epoch {epoch})\n"
        f"95% interval of the accuracy {low:.2%} to {high:.2%}; "
        f"expected calibration error {result['expected_calibration_error']:.2%}"
    )
    return "\n".join([*matrix, "", *classes, "", totals])


def _matrix(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> list[str]:
    width = max(map(len, labels))
    # Without the blanks in front, long names would run into each other.
    header = f"{'true / predicted':<{width + 8}}" + "".join(f"{label:>{_cell(label)}}" for label in labels)
    return [
        header,
        *(
            f"{label:<{width + 8}}"
            + "".join(f"{count:>{_cell(name)},}" for name, count in zip(labels, counts, strict=True))
            for label, counts in zip(labels, confusion, strict=True)
        ),
    ]


def _largest_errors(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> list[str]:
    """Make a line for each of the ten most frequent confusions."""
    errors = [
        (count, true, predicted)
        for true, counts in zip(labels, confusion, strict=True)
        for predicted, count in zip(labels, counts, strict=True)
        if count and true != predicted
    ]
    errors.sort(key=lambda error: -error[0])
    shown = [
        f"{count:>7,}  {true}, predicted {predicted}" for count, true, predicted in errors[:_MOST_ERRORS]
    ]
    title = (
        f"the {len(shown)} most frequent errors; all are in confusion_matrix.csv" if shown else "no errors"
    )
    return [title, *shown]


def _cell(label: str) -> int:
    """The width of a class's column in the matrix."""
    return max(9, len(label) + 2)
