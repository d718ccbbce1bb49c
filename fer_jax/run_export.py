"""``--mode=export``: the network as files that run without this code."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import fer_jax
from fer_jax import run_evaluate
from fer_jax.data import load_dataset
from fer_jax.data.faces import Splits
from fer_jax.data.files import replacing
from fer_jax.data.synthetic import draw_faces
from fer_jax.errors import UserError
from fer_jax.export_jax import PLATFORMS, to_jax_export
from fer_jax.export_onnx import INPUT, OPSET, OUTPUT, to_onnx
from fer_jax.labels import LABELS, NUM_CLASSES, SIDE
from fer_jax.models import count_parameters
from fer_jax.quantize import quantize

_SMALL = 100_000
"""Networks of at most so many parameters, made for phones and browsers, are also written in int8."""
_CALIBRATION_FACES = 512
_TOLERANCE = 1e-4


def export(
    where: Path,
    given: Mapping[str, Any],
    overrides: list[str],
    output: str | None,
    *,
    shipped_name: str | None = None,
) -> None:
    """Writes ``model.onnx``, ``model.jax_export`` and ``model.json``, of a small network ``model-int8.onnx``.

    Each graph is run on built-in faces and compared with the checkpoint before anything is written.

    Args:
      where: the workdir whose best checkpoint is exported.
      given: the command's config.
      overrides: the fields that the command line set.
      output: the folder to write to.
      shipped_name: see ``choose_weights``.

    Raises:
      UserError: no output, a library is missing, no checkpoint, or a graph that does not agree with it.
    """
    if output is None:
        raise UserError("--mode=export needs --output=DIR")
    check_libraries()
    weights, config, row = run_evaluate.load_weights(where, given, overrides, shipped_name=shipped_name)
    # bfloat16 is a matter of the machine that trains; the weights are in single precision.
    config = config | {"cnn": config["cnn"] | {"dtype": "float32"}}
    model = to_onnx(weights, config)
    files = {"model.onnx": model.SerializeToString(), "model.jax_export": to_jax_export(weights, config)}
    faces = draw_faces(14, seed=0).images
    expected = run_evaluate.make_predictor(weights, config, views="one")(faces, len(faces))
    for name, run in (("model.onnx", run_onnx), ("model.jax_export", run_jax_export)):
        difference = float(np.abs(run(files[name])(faces) - expected).max())
        if not difference <= _TOLERANCE:
            raise UserError(f"{name} differs from the checkpoint by {difference:.1e}; nothing was written")
        print(f"{name}: differs from the checkpoint by at most {difference:.0e} on {len(faces)} faces")
    about = describe(config, row, parameters=count_parameters(weights.variables["params"]))
    if about["parameters"] <= _SMALL:
        splits = _splits(config, required="dataset" in overrides)
        files["model-int8.onnx"], about["int8"] = _int8(model, splits, config)
    files["model.json"] = (json.dumps(about, indent=2) + "\n").encode()
    for name, content in files.items():
        path = Path(output) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        print(f"written: {path}, {len(content) / 1024:,.0f} KiB")


def check_libraries() -> None:
    """Raises UserError if one that exporting needs is not installed."""
    import importlib.util

    missing = [
        name for name in ("onnx", "onnxruntime", "flatbuffers") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UserError(f"--mode=export needs {', '.join(missing)}: pip install -r requirements-export.txt")


def describe(config: Mapping[str, Any], row: Mapping[str, Any], *, parameters: int) -> dict[str, Any]:
    """The content of ``model.json``."""
    return {
        "labels": list(LABELS),
        "input": {"name": INPUT, "dtype": "uint8", "shape": ["N", SIDE, SIDE, 1]},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": ["N", NUM_CLASSES]},
        "preprocessing": "inside the graph; give grey levels, 0 black to 255 white, of upright faces seen "
        "from the front, cropped as OpenCV's detector frames them, scaled to 48 x 48",
        "views": "one",
        "parameters": parameters,
        "trained_on": config["dataset"],
        "epoch": row["epoch"],
        "accuracy": {"split": "validation", "views": "one", "value": row["val_accuracy"]},
        "jax_export_platforms": list(PLATFORMS),
        "onnx_opset": OPSET,
        "versions": {"fer_jax": fer_jax.__version__, "jax": jax.__version__},
    }


def _splits(config: Mapping[str, Any], *, required: bool) -> Splits | None:
    """The run's data set; None where it is not at hand. Raises UserError if it was asked for."""
    try:
        return load_dataset(config)
    except UserError:
        if required:
            raise
        return None


def _int8(model: Any, splits: Splits | None, config: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The quantized graph, and what is known of it: what it was fitted to, the accuracy it keeps."""
    if splits is None:
        faces = draw_faces(_CALIBRATION_FACES, seed=0).images
        print(
            f"int8: {config['dataset']} is not at hand, so the ranges are fitted to built-in faces and the "
            "accuracy is not measured; --config.dataset=PATH gives better ones"
        )
        return quantize(model, faces), {"fitted_to": "built-in faces", "accuracy": None}
    content = quantize(model, splits.train.images[:_CALIBRATION_FACES])
    accuracies = [
        float(np.mean(run_onnx(graph)(splits.validation.images).argmax(1) == splits.validation.labels))
        for graph in (content, model.SerializeToString())
    ]
    print(
        f"int8: accuracy {accuracies[0]:.2%} on {len(splits.validation):,} validation faces, "
        f"{accuracies[1]:.2%} in float32"
    )
    about = {"fitted_to": f"{_CALIBRATION_FACES} training faces of {Path(config['dataset']).name}"}
    kept = dict(zip(("accuracy", "accuracy_of_float32"), accuracies, strict=True))
    return content, about | kept | {"split": "validation"}


def run_onnx(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """An ONNX graph as a function: uint8 (N, 48, 48, 1) -> float32 (N, 7)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def run_jax_export(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """A serialized JAX function as a function: uint8 (N, 48, 48, 1) -> float32 (N, 7)."""
    call = jax.export.deserialize(bytearray(content)).call
    return lambda images: np.asarray(call(images))
