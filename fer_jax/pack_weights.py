"""Make weights that ship with the package from a finished run.

python -m fer_jax.pack_weights runs/best best
    fits a temperature for each kind of views on the run's validation faces, measures the weights, and writes
    fer_jax/weights/best.npz and best.json.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.restore import load_best
from fer_jax.classifier import Classifier
from fer_jax.data.batches import padded_batches
from fer_jax.data.class_names import relabel
from fer_jax.data.faces import Splits
from fer_jax.data.load import load_dataset
from fer_jax.data.split import rows_shared
from fer_jax.data.synthetic import synthetic_splits
from fer_jax.errors import UserError
from fer_jax.evaluate.calibration import expected_calibration_error, fit_temperature
from fer_jax.evaluate.metrics import accuracy, accuracy_interval, summarize
from fer_jax.evaluate.step import Evaluation, score_probabilities
from fer_jax.models.forward import make_logits
from fer_jax.runtime.command import split_names
from fer_jax.transforms.views import VIEWS, view_log_probabilities


def pack(workdir: Path, name: str, folder: Path | None = None) -> dict[str, Any]:
    """Write the best checkpoint of the run in ``workdir`` as shipped weights, and return its figures.

    Raises:
      UserError: no checkpoint, or the run's data set cannot be read.
    """
    best = load_best(workdir)
    rounded = dataclasses.replace(best, weights=shipped.round_to_shipped(best.weights))
    measured, figures = measure(rounded, load_dataset(best.config))
    figures = {"seconds_of_training": best.row["seconds"], **figures}
    record = best.record._replace(config=best.config | _base_names(best.config), rows=[best.row])
    shipped.write(name, measured.weights, record, figures, folder)
    return figures


def _base_names(config: dict[str, Any]) -> dict[str, str]:
    """Return the fields that hold paths, without their folders, which mean nothing on other machines."""
    one = {field: Path(config.get(field, "")).name for field in ("dataset", "votes", "teacher_votes")}
    several = {field: split_names(config.get(field, "")) for field in ("initial_weights", "teacher")}
    return one | {field: ",".join(Path(name).name for name in names) for field, names in several.items()}


def measure(classifier: Classifier, splits: Splits) -> tuple[Classifier, dict[str, Any]]:
    """Fit temperatures on the validation faces -> the classifier with them, and its figures there."""
    faces, _ = relabel(splits.validation, splits.labels, classifier.labels)
    apart = ~rows_shared(faces.images, splits.train.images)
    logits = {views: _logits(classifier, faces.images, views) for views in VIEWS}
    temperatures = {views: fit_temperature(logits[views], faces.labels) for views in VIEWS}
    labels = classifier.labels
    weights = classifier.weights._replace(temperatures=temperatures)
    classifier = dataclasses.replace(classifier, weights=weights)
    figures = {
        "parameters": classifier.num_parameters,
        "validation": {v: _figures(logits[v], faces.labels, apart, (temperatures[v], labels)) for v in VIEWS},
        "synthetic_probabilities": np.round(classifier.predict(check_faces(), views="one"), 5).tolist(),
    }
    return classifier, figures


def check_faces() -> np.ndarray:
    """Draw the faces, uint8 (14, 48, 48, 1), on which shipped weights are checked."""
    return synthetic_splits(num_train=7, num_validation=7, num_test=14, seed=0).test.images


def _logits(classifier: Classifier, images: np.ndarray, views: str) -> np.ndarray:
    """Logits float32 (V, N, 7) of each test-time view."""
    config, weights = classifier.config, classifier.weights
    logits_of = jax.jit(make_logits(model=classifier.model, normalize_kind=config["normalize"], views=views))
    parts = [
        np.asarray(logits_of(weights.variables, weights.normalization, images[rows]))[:, mask]
        for rows, mask in padded_batches(len(images), min(config["batch_size"], len(images)))
    ]
    return np.concatenate(parts, 1)


def _figures(
    logits: np.ndarray,
    labels: np.ndarray,
    apart: np.ndarray,
    temperature_and_names: tuple[float, Sequence[str]],
) -> dict[str, Any]:
    """Score one kind of views; ``apart`` bool (N,) has the faces that do not occur in training."""
    temperature, names = temperature_and_names
    before, after = _score(logits, labels), _score(logits / temperature, labels)
    return {
        # The temperature hardly changes which class has the largest probability.
        **summarize(before, names),
        "accuracy_interval": accuracy_interval(before.confusion),
        "accuracy_without_training_faces": accuracy(_score(logits[:, apart], labels[apart]).confusion),
        "loss": after.loss,
        "loss_before_temperature": before.loss,
        "calibration_error_before_temperature": expected_calibration_error(before.bins),
        "expected_calibration_error": expected_calibration_error(after.bins),
    }


def _score(logits: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Score the mean probabilities of logits (V, N, 7)."""
    return score_probabilities(np.exp(view_log_probabilities(logits)), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workdir", type=Path, help="the run's folder")
    parser.add_argument("name", help="name of the weights: that of the config file")
    args = parser.parse_args()
    figures = pack(args.workdir, args.name)
    for views, result in figures["validation"].items():
        low, high = result["accuracy_interval"]
        print(
            f"{views}: accuracy {result['accuracy']:.2%} ({low:.2%} to {high:.2%}), without faces that also "
            f"occur in training {result['accuracy_without_training_faces']:.2%}, macro F1 "
            f"{result['macro_f1']:.3f}, calibration error "
            f"{result['calibration_error_before_temperature']:.2%} before the temperature, "
            f"{result['expected_calibration_error']:.2%} after"
        )
    print(f"written: {shipped.FOLDER / args.name}.npz, {args.name}.json")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
