"""Makes weights that ship with the package out of a finished run.

python -m fer_jax.pack_weights runs/best best
    fits a temperature for each kind of views on the run's validation faces, measures what is written, and
    writes fer_jax/weights/best.npz and best.json.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.metrics import confusion_matrix

from fer_jax.checkpoints import save as checkpoint
from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.save import Record, Weights
from fer_jax.data import load_dataset
from fer_jax.data.faces import Splits
from fer_jax.data.split import rows_shared
from fer_jax.data.synthetic.faces import synthetic_splits
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.evaluate.calibration import (
    Bins,
    add_to_bins,
    empty_bins,
    expected_calibration_error,
    fit_temperature,
)
from fer_jax.evaluate.metrics import accuracy, accuracy_interval, summarize
from fer_jax.evaluate.step import make_logits, padded_batches
from fer_jax.labels import NUM_CLASSES
from fer_jax.models import count_parameters, create_model
from fer_jax.transforms.views import VIEWS, view_log_probabilities


def pack(workdir: Path, name: str, folder: Path | None = None) -> dict[str, Any]:
    """Writes the best checkpoint of the run in ``workdir`` as shipped weights -> its figures.

    Raises:
      UserError: no checkpoint, or the run's data set cannot be read.
    """
    weights, record, row = checkpoint.load_best(workdir)
    weights, measured = measure(shipped.round_to_shipped(weights), record.config, load_dataset(record.config))
    figures = {"seconds_of_training": record.rows[-1]["seconds"], **measured}
    # A path of the machine that trained is of no use elsewhere.
    paths = {field: [record.config.get(field, "")] for field in ("dataset", "initial_weights")}
    paths["teacher"] = record.config.get("teacher", "").split(",")
    names = {field: ",".join(Path(path.strip()).name for path in several) for field, several in paths.items()}
    config = {**record.config, **names}
    shipped.save(name, weights, Record(config, [row], record.labels, record.data), figures, folder)
    return figures


def measure(weights: Weights, config: dict[str, Any], splits: Splits) -> tuple[Weights, dict[str, Any]]:
    """The weights with temperatures fitted on the validation faces, and what they achieve there."""
    faces = splits.validation
    apart = ~rows_shared(faces.images, splits.train.images)
    logits = {views: _logits(weights, config, faces.images, views) for views in VIEWS}
    temperatures = {views: fit_temperature(logits[views], faces.labels) for views in VIEWS}
    weights = weights._replace(temperatures=temperatures)
    chances = run_evaluate.probabilities(weights, config, check_faces(), views="one")
    return weights, {
        "parameters": count_parameters(weights.variables["params"]),
        "validation": {v: _figures(logits[v], faces.labels, apart, temperatures[v]) for v in VIEWS},
        "synthetic_probabilities": np.round(chances, 5).tolist(),
    }


def check_faces() -> np.ndarray:
    """Built-in faces, uint8 (14, 48, 48, 1), on which shipped weights are checked."""
    return synthetic_splits(num_train=7, num_validation=7, num_test=14, seed=0).test.images


def _logits(weights: Weights, config: dict[str, Any], images: np.ndarray, views: str) -> np.ndarray:
    """float32 (V, N, 7)."""
    model = create_model(config["model"], config[config["model"]])
    logits_of = jax.jit(make_logits(model=model, normalize_kind=config["normalize"], views=views))
    parts = [
        np.asarray(logits_of(weights.variables, weights.normalization, images[rows]))[:, mask]
        for rows, mask in padded_batches(len(images), min(config["batch_size"], len(images)))
    ]
    return np.concatenate(parts, 1)


def _figures(logits: np.ndarray, labels: np.ndarray, apart: np.ndarray, temperature: float) -> dict[str, Any]:
    """``apart`` bool (N,): the faces that do not occur in training."""
    before, before_loss, before_bins = _score(logits, labels)
    _, loss, bins = _score(logits / temperature, labels)
    rest = _score(logits[:, apart], labels[apart])[0]
    return {
        **summarize(before, loss),
        "accuracy_interval": accuracy_interval(before),
        "accuracy_without_training_faces": accuracy(rest),
        "loss_before_temperature": before_loss,
        "calibration_error_before_temperature": expected_calibration_error(before_bins),
        "expected_calibration_error": expected_calibration_error(bins),
    }


def _score(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float, Bins]:
    """Confusion matrix, mean cross-entropy, and bins of confidence."""
    log_probabilities = np.asarray(view_log_probabilities(logits))
    confusion = confusion_matrix(labels, log_probabilities.argmax(-1), labels=range(NUM_CLASSES))
    loss = -np.take_along_axis(log_probabilities, labels[:, None], -1).mean()
    everyone = np.ones(len(labels), bool)
    return confusion, float(loss), add_to_bins(empty_bins(), np.exp(log_probabilities), labels, everyone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workdir", type=Path, help="the run's folder")
    parser.add_argument("name", help="of the weights: that of the config file")
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
