"""The trained networks that come with the package: ``weights/NAME.npz`` and ``weights/NAME.json``.

The arrays are in NumPy's own format, read without pickle, so that a file of weights cannot run code.
"""

import io
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fer_jax.checkpoints.weights import Record, Weights, as_tree, from_tree, weight_shapes
from fer_jax.classifier import Classifier
from fer_jax.data.compressed import DAMAGED_ARRAYS
from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line, os_reason, replacing, write_json
from fer_jax.runtime.signals import held

_SIGNIFICANT_BITS = 5
"""Of a number in a kernel, which is then off by 1.3 % (root mean square). Accuracies moved by
0.2 points at most, and the files have two thirds of the size that float16's eleven bits need."""

FOLDER = Path(__file__).parents[1] / "weights"


def names(folder: Path | None = None) -> list[str]:
    """The names that ``read`` knows, sorted."""
    return sorted(path.stem for path in (folder or FOLDER).glob("*.npz"))


def round_to_shipped(weights: Weights) -> Weights:
    """The weights as ``read`` returns them after ``write``: float32, with rounded kernels."""
    variables = jax.tree.map(lambda leaf: np.asarray(_stored(leaf), np.float32), weights.variables)
    return weights._replace(variables=variables)


def write(
    name: str, weights: Weights, record: Record, figures: dict[str, Any], folder: Path | None = None
) -> None:
    """Write both files, each atomically.

    Args:
      name: of the files.
      weights: kernels are rounded to few bits and stored in float16, all others in float32.
      record: of the run; its last row is the epoch of the weights.
      figures: what was measured with these weights, for people and tests.
      folder: where to; ``FOLDER`` if None.
    """
    folder = folder or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    stored = weights._replace(variables=jax.tree.map(_stored, weights.variables))
    weights_file = folder / f"{name}.npz"
    about = {
        "labels": record.labels,
        "temperatures": weights.temperatures,
        "config": record.config,
        "row": record.rows[-1],
        "data": record.data,
        "figures": figures,
    }
    with held():
        with replacing(weights_file) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **_by_name(stored))
        write_json(folder / f"{name}.json", about)


def read(name: str, folder: Path | None = None) -> Classifier:
    """Read the shipped network ``name``.

    Raises UserError if there are no such weights, or a file is damaged or does not fit its config.
    """
    folder = folder or FOLDER
    if name not in names(folder):
        known = ", ".join(names(folder)) or "none"
        raise UserError(f"{name}: no such run, and no weights of this name come with fer_jax ({known})")
    about = read_about(name, folder)
    arrays = _read_arrays(folder / f"{name}.npz")
    shapes = _by_name(weight_shapes(about["config"], len(about["labels"])))
    for key, leaf in shapes.items():
        found = arrays[key].shape if key in arrays else "none"
        if found != leaf.shape:
            raise UserError(f"{folder / name}.npz: {key} is {found}, expected {leaf.shape}; install again")
    variables = unflatten_dict({key: arrays[key].astype(np.float32) for key in shapes}, sep="/")
    tree = {"normalization": variables.pop("normalization"), "variables": {"batch_stats": {}} | variables}
    record = Record(about["config"], [about["row"]], about["labels"], about["data"])
    source = f"fer_jax/weights/{name}.npz, which comes with fer_jax"
    return Classifier(from_tree(tree, about["temperatures"]), record, source)


def read_about(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Read ``NAME.json``. Raises UserError if it is damaged."""
    path = (folder or FOLDER) / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {os_reason(error)}; install fer_jax again") from error
    except ValueError as error:
        raise UserError(f"{path}: damaged ({one_line(error)}); install fer_jax again") from error


def _by_name(weights: Weights) -> dict[str, Any]:
    """Each array by the name that it has in the file, as ``params/Conv_0/kernel``."""
    tree = as_tree(weights)
    return flatten_dict({**tree["variables"], "normalization": tree["normalization"]}, sep="/")


def _stored(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf, np.float32)
    if array.ndim < 2:
        return array
    # The bits that are left are zeros, which the file's compression makes small.
    fraction, exponent = np.frexp(array)
    steps = 2.0**_SIGNIFICANT_BITS
    return np.ldexp(np.round(fraction * steps) / steps, exponent).astype(np.float16)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # From memory, since NumPy leaves a damaged file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        raise UserError(f"{path}: {os_reason(error)}; install fer_jax again") from error
    except DAMAGED_ARRAYS as error:
        raise UserError(f"{path}: damaged ({error}); install fer_jax again") from error
