"""The trained networks that come with the package: ``weights/NAME.npz`` and ``weights/NAME.json``.

The arrays are NumPy's own format, read without pickle, so that a file of weights cannot run code.
"""

import io
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_jax.checkpoints.save import Record, Weights, weight_shapes
from fer_jax.data.compressed import DAMAGED_ARRAYS, replacing
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.runtime import files as workdir
from fer_jax.transforms.normalize import Normalization

FOLDER = Path(__file__).parents[1] / "weights"
_SEPARATOR = "/"


def names(folder: Path | None = None) -> list[str]:
    """What ``load`` knows, sorted."""
    return sorted(path.stem for path in (folder or FOLDER).glob("*.npz"))


def round_to_shipped(weights: Weights) -> Weights:
    """Weights as they come back from a file: kernels in half precision, the rest in single."""
    variables = jax.tree.map(lambda leaf: np.asarray(_stored(leaf), np.float32), weights.variables)
    return weights._replace(variables=variables)


def save(
    name: str, weights: Weights, record: Record, figures: dict[str, Any], folder: Path | None = None
) -> None:
    """Writes both files, each atomically.

    Args:
      name: of the files.
      weights: kernels are stored in float16, all else in float32.
      record: of the run; its last row is the epoch of the weights.
      figures: what was measured with these weights, for people and tests.
      folder: where to; ``FOLDER`` if None.
    """
    folder = folder or FOLDER
    arrays = {
        _SEPARATOR.join(str(part.key) for part in path): _stored(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(weights.variables)
    }
    arrays |= {f"normalization/{key}": np.asarray(v) for key, v in weights.normalization._asdict().items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{name}.npz") as temporary:
        temporary.write_bytes(buffer.getvalue())
    about = {
        "labels": record.labels,
        "temperatures": weights.temperatures,
        "config": record.config,
        "row": record.rows[-1],
        "data": record.data,
        "figures": figures,
    }
    workdir.write_json(folder / f"{name}.json", about)


def load(name: str, folder: Path | None = None) -> tuple[Weights, Record, dict[str, Any]]:
    """Weights, record and row as ``checkpoint.load_best`` gives them for a run.

    Raises:
      UserError: no such weights, or a file that is damaged or not what its config says.
    """
    folder = folder or FOLDER
    if name not in names(folder):
        raise UserError(f"{name}: no weights of this name come with the package; {_listed(folder)}")
    about = read_about(name, folder)
    if tuple(about["labels"]) != LABELS:
        raise UserError(
            f"{folder / name}.json: made for the labels {about['labels']}, expected {list(LABELS)}"
        )
    shapes = weight_shapes(about["config"])
    arrays = _read_arrays(folder / f"{name}.npz")

    def find(path, leaf):
        key = _SEPARATOR.join(str(part.key) for part in path)
        if key not in arrays or arrays[key].shape != leaf.shape:
            found = arrays[key].shape if key in arrays else "none"
            raise UserError(f"{folder / name}.npz: {key} is {found}, expected {leaf.shape}; install again")
        return arrays[key].astype(np.float32)

    tree = {"variables": shapes.variables, "normalization": shapes.normalization._asdict()}
    variables = jax.tree_util.tree_map_with_path(find, tree["variables"])
    statistics = jax.tree_util.tree_map_with_path(find, {"normalization": tree["normalization"]})
    weights = Weights(variables, Normalization(**statistics["normalization"]), about["temperatures"])
    row = about["row"]
    return weights, Record(about["config"], [row], about["labels"], about["data"]), row


def read_about(name: str, folder: Path | None = None) -> dict[str, Any]:
    """The content of ``NAME.json``."""
    return json.loads(((folder or FOLDER) / f"{name}.json").read_text(encoding="utf-8"))


def _stored(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf, np.float32)
    return array.astype(np.float16) if array.ndim > 1 else array


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # From memory, since NumPy leaves a damaged file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return dict(file)
    except DAMAGED_ARRAYS as error:
        raise UserError(f"{path}: damaged ({error}); install again") from error


def _listed(folder: Path) -> str:
    return f"there are {', '.join(names(folder)) or 'none'}"
