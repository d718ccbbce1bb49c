"""``--mode=eval``: the confusion matrix and all that follows from it, on screen and on disk."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from fer_jax.check_config import check_values, merge_for_evaluation
from fer_jax.checkpoints import save as checkpoint
from fer_jax.checkpoints.choose import choose_weights
from fer_jax.data import load_dataset
from fer_jax.data.faces import Faces, Splits, digest
from fer_jax.data.split import rows_shared
from fer_jax.errors import UserError
from fer_jax.evaluate import plots
from fer_jax.evaluate import step as evaluate
from fer_jax.evaluate.calibration import Bins, expected_calibration_error
from fer_jax.evaluate.metrics import accuracy_interval, summarize
from fer_jax.labels import LABELS
from fer_jax.models import create_model
from fer_jax.runtime import files as workdir


def evaluate_run(
    where: Path, given: Mapping[str, Any], overrides: list[str], *, shipped_name: str | None = None
) -> None:
    """Scores the best checkpoint in the workdir ``where`` on a split of its data set, or of another.

    Args:
      where: the workdir; ``eval/`` in it is written.
      given: the command's config.
      overrides: the fields that the command line set.
      shipped_name: see ``choose_weights``.

    Raises:
      UserError: no checkpoint, no such split, or bad input.
    """
    weights, record, config, row = load_record(where, given, overrides, shipped_name=shipped_name)
    splits, _ = load_told(record, config, set())
    score_and_report(weights, config, splits, where, epoch=row["epoch"])


def load_told(
    record: checkpoint.Record, config: Mapping[str, Any], told: set[str], *, of: str = "the weights"
) -> tuple[Splits, Faces]:
    """The config's data set, and the labelled faces in it to score.

    Prints what the data set says of its splits, and whether the weights may have been trained on the faces to
    score, but for what is in ``told``, which grows.

    Args:
      record: of the weights.
      config: what is scored by.
      told: lines printed before.
      of: what the lines call the weights.

    Raises:
      UserError: bad data, or no labelled faces in the split.
    """
    splits = load_dataset(config)
    faces = labelled_faces(config, splits)
    notes = list(splits.notes)
    if record.data["digest"] != digest(splits):
        notes.append(
            f"{of} were trained on other faces than {config['dataset']} has for training; if those "
            "scored here were among them, the figures below are too high"
        )
    for note in notes:
        if note not in told:
            print(f"  {note}")
    told.update(notes)
    return splits, faces


def labelled_faces(config: Mapping[str, Any], splits: Splits) -> Faces:
    """The faces of ``config["split"]``. Raises UserError if the data set gives none with labels."""
    faces = getattr(splits, config["split"])
    if faces is None or faces.labels is None or not len(faces):
        raise UserError(
            f"{config['dataset']}: gives no labelled {config['split']} faces; choose another split"
        )
    return faces


def load_weights(
    where: Path, given: Mapping[str, Any], overrides: list[str], *, shipped_name: str | None = None
) -> tuple[checkpoint.Weights, dict[str, Any], dict[str, Any]]:
    """The weights chosen, their run's config with what was given anew, their row of figures.

    Prints which weights these are. Raises UserError.
    """
    weights, _, config, row = load_record(where, given, overrides, shipped_name=shipped_name)
    return weights, config, row


def load_record(
    where: Path, given: Mapping[str, Any], overrides: list[str], *, shipped_name: str | None = None
) -> tuple[checkpoint.Weights, checkpoint.Record, dict[str, Any], dict[str, Any]]:
    """As ``load_weights``, with the record, whose config is as the run had it, after the weights."""
    check_values(given)
    weights, record, row, title = choose_weights(where, shipped_name)
    config = merge_for_evaluation(record.config, given, overrides, str(where))
    print(f"weights: {title}")
    return weights, record, config, row


def score_and_report(
    weights: checkpoint.Weights, config: Mapping[str, Any], splits: Splits, where: Path, *, epoch: int
) -> None:
    """Scores the split ``config["split"]``, reports it, and tells the accuracy on faces not trained on."""
    split, views = config["split"], config["views"]
    faces = getattr(splits, split)
    result, bins = score(weights, config, faces, split, views=views)
    report(result, bins, where, epoch=epoch)
    apart = ~rows_shared(faces.images, splits.train.images)
    if 0 < apart.sum() < len(faces):
        rest, _ = score(weights, config, faces.take(apart), split, views=views)
        print(f"without the {np.sum(~apart)} faces that also occur in training: {rest['accuracy']:.2%}")


def score(
    weights: checkpoint.Weights, config: Mapping[str, Any], faces: Faces, split: str, *, views: str
) -> tuple[dict[str, Any], Bins]:
    """The content of ``eval/metrics.json`` for labelled ``faces``, and their bins of confidence."""
    result = evaluate.evaluate(
        evaluate.make_eval_step(make_forward(weights, config, views=views)),
        weights.variables,
        weights.normalization,
        faces.images,
        faces.labels,
        batch_size=min(config["batch_size"], len(faces)),
    )
    error = {"expected_calibration_error": expected_calibration_error(result.bins)}
    return {"split": split, "views": views, **summarize(result.confusion, result.loss), **error}, result.bins


def report(result: dict[str, Any], bins: Bins, where: Path, *, epoch: int, quiet: bool = False) -> None:
    """Prints what ``score`` gave, unless ``quiet``, and writes it for programs and people to ``eval/``."""
    text = report_text(result, epoch=epoch)
    if not quiet:
        print(text)
    folder = where / "eval"
    workdir.write_json(folder / "metrics.json", result)
    workdir.write_text(folder / "report.txt", text + "\n")
    confusion = np.array(result["confusion_matrix"])
    table = pd.DataFrame(confusion, index=pd.Index(LABELS, name="true"), columns=LABELS)
    workdir.write_text(folder / "confusion_matrix.csv", table.to_csv())
    title = f"{result['split']}: {result['accuracy']:.1%} of {result['num_examples']:,} faces"
    plots.save_confusion_matrix(folder / "confusion_matrix.png", confusion, title=title)
    title = f"{result['split']}, views: {result['views']}"
    plots.save_reliability(folder / "reliability.png", bins, title=title)
    if not quiet:
        print(f"written: {folder}/metrics.json, report.txt, confusion_matrix.csv, .png, reliability.png")


def report_text(result: dict[str, Any], *, epoch: int) -> str:
    """The result as aligned text: matrix (rows true, columns predicted), per-class table, totals."""
    width = max(map(len, LABELS))
    header = f"{'true / predicted':<{width + 8}}" + "".join(f"{label:>9}" for label in LABELS)
    matrix = [
        f"{label:<{width + 8}}" + "".join(f"{count:>9,}" for count in counts)
        for label, counts in zip(LABELS, result["confusion_matrix"], strict=True)
    ]
    classes = [f"{'':<{width}}  precision     recall         f1    support"]
    for label, figures in result["per_class"].items():
        values = "".join(f"{figures[name]:>11.3f}" for name in ("precision", "recall", "f1"))
        classes.append(f"{label:<{width}}{values}{figures['support']:>11,}")
    low, high = accuracy_interval(np.array(result["confusion_matrix"]))
    totals = (
        f"accuracy {result['accuracy']:.2%}, balanced accuracy {result['balanced_accuracy']:.2%}, "
        f"macro F1 {result['macro_f1']:.3f}, loss {result['loss']:.3f} "
        f"({result['split']}, {result['num_examples']:,} faces, views: {result['views']}, epoch {epoch})\n"
        f"95% interval of the accuracy {low:.2%} to {high:.2%}; "
        f"expected calibration error {result['expected_calibration_error']:.2%}"
    )
    return "\n".join([header, *matrix, "", *classes, "", totals])


def make_forward(weights: checkpoint.Weights, config: Mapping[str, Any], *, views: str) -> Callable:
    """``evaluate.make_forward`` for the network that the config names, with its temperature for the views."""
    model = create_model(config["model"], config[config["model"]])
    return evaluate.make_forward(
        model=model, normalize_kind=config["normalize"], views=views, temperature=weights.temperature(views)
    )


def probabilities(
    weights: checkpoint.Weights, config: Mapping[str, Any], images: np.ndarray, *, views: str
) -> np.ndarray:
    """Probabilities float32 (N, 7) of images uint8 (N, 48, 48, 1).

    The compiled network is kept for the next call; a few images go in a small batch.
    """
    network = {name: config[name] for name in ("model", config["model"], "normalize")}
    forward = _compiled_forward(json.dumps(network, sort_keys=True), views, weights.temperature(views))
    return evaluate.predict_probabilities(
        forward,
        weights.variables,
        weights.normalization,
        images,
        batch_size=_batch_size(len(images), config["batch_size"]),
    )


@functools.lru_cache(maxsize=16)
def _compiled_forward(network: str, views: str, temperature: float) -> Callable:
    """The compiled ``evaluate.make_forward`` of a network given as JSON: a dict is no key of a cache."""
    config = json.loads(network)
    model = create_model(config["model"], config[config["model"]])
    return jax.jit(
        evaluate.make_forward(
            model=model, normalize_kind=config["normalize"], views=views, temperature=temperature
        )
    )


def _batch_size(count: int, most: int) -> int:
    """The least power of four that holds ``count``, at most ``most``: few sizes, since each is compiled."""
    size = 1
    while size < min(count, most):
        size *= 4
    return min(size, most)
