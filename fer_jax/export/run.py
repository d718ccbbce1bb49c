"""``--mode=export``: the network as files that run without this package."""

import importlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import fer_jax
from fer_jax.checkpoints import choose as choose_weights
from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.save import Record, Weights
from fer_jax.data import load_dataset
from fer_jax.data.faces import Faces
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.export.files import (
    ABOUT,
    INT8,
    JAX_EXPORT,
    ONNX,
    compare,
    jax_predict,
    onnx_predict,
    write,
)
from fer_jax.export.int8 import CALIBRATION_FACES, MOST_PARAMETERS, quantize_onnx
from fer_jax.export.jax_export import PLATFORMS, export_jax
from fer_jax.export.onnx import IR_VERSION, OPSET, build_onnx
from fer_jax.labels import NUM_CLASSES, SIDE
from fer_jax.models import count_parameters
from fer_jax.train import seeds as run_seeds

_PACKAGES = ("jax", "jaxlib", "flax", "onnx", "onnxruntime")


def export(
    where: Path,
    given: Mapping[str, Any],
    overrides: list[str],
    output: str | None,
    *,
    shipped_name: str | None = None,
) -> None:
    """Writes the best checkpoint in the workdir ``where`` as ONNX and ``jax.export`` into a folder.

    ``model.onnx``, ``model.jax_export`` and ``model.json``, which describes them, and ``model-int8.onnx`` for
    a network of at most ``MOST_PARAMETERS``. The first two are run on a few faces and compared with the
    checkpoint before anything is written.

    Args:
      where: the workdir whose best checkpoint is used.
      given: the command's config.
      overrides: the fields that the command line set.
      output: the folder to write to; made if need be.
      shipped_name: see ``choose_weights``.

    Raises:
      UserError: no output, a library that is missing, no checkpoint, bad input, or a file that does not give
        the checkpoint's probabilities.
    """
    folder = _check_request(where, given, overrides, output)
    weights, record, config, row = run_evaluate.load_record(
        where, given, overrides, shipped_name=shipped_name
    )
    if config["views"] != "one":
        print(f"one view of each face is in the files; this run is evaluated with views={config['views']}")
    contents = {
        ONNX: build_onnx(weights, config).SerializeToString(),
        JAX_EXPORT: export_jax(weights, config),
    }
    readers = {ONNX: onnx_predict, JAX_EXPORT: jax_predict}
    differences = {name: compare(name, readers[name](contents[name]), weights, config) for name in contents}
    about = describe(weights, record, _accuracy(where, shipped_name, record, row))
    if count_parameters(weights.variables["params"]) <= MOST_PARAMETERS:
        contents[INT8], about["int8"] = _int8(contents[ONNX], config, named="dataset" in overrides)
    about["files"] = {
        name: {"bytes": len(content)} | ({"largest_difference": differences[name]} if name in readers else {})
        for name, content in contents.items()
    }
    contents[ABOUT] = (json.dumps(about, indent=2) + "\n").encode()
    write(folder, contents)
    _report(folder, contents, about)


def _check_request(where: Path, given: Mapping[str, Any], overrides: list[str], output: str | None) -> Path:
    if output is None:
        raise UserError("--mode=export needs --output=DIR")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{output}: is a file; a folder to write the model's files to was expected")
    if "views" in overrides and given["views"] != "one":
        raise UserError(f"config.views is {given['views']!r}; an exported network sees one view of a face")
    run_seeds.require_one(where)
    for name in ("onnx", "onnxruntime", "flatbuffers"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"--mode=export needs {name}: pip install -r requirements-export.txt") from error
    return folder


def describe(weights: Weights, record: Record, accuracy: dict[str, Any]) -> dict[str, Any]:
    """The content of ``model.json``, but for the files."""
    return {
        "labels": record.labels,
        "input": {"name": "images", "dtype": "uint8", "shape": ["N", SIDE, SIDE, 1]},
        "output": {"name": "probabilities", "dtype": "float32", "shape": ["N", NUM_CLASSES]},
        "preprocessing": "inside the graph; give grey levels, 0 black to 255 white, of a face that is "
        "upright and cropped tightly, as in FER2013",
        "postprocessing": "none: probabilities in the order of the labels, the temperature inside the graph",
        "views": "one",
        "model": {
            "name": record.config["model"],
            "sizes": record.config[record.config["model"]],
            "normalize": record.config["normalize"],
            "parameters": count_parameters(weights.variables["params"]),
            "temperature": float(weights.temperature("one")),
        },
        "trained": {
            "dataset": Path(record.config["dataset"]).name,
            "data": record.data,
            "epoch": record.rows[-1]["epoch"],
        },
        "accuracy": accuracy,
        "onnx": {"opset": OPSET, "ir_version": IR_VERSION},
        "jax_export": {"platforms": list(PLATFORMS)},
        "versions": {"fer_jax": fer_jax.__version__} | {name: metadata.version(name) for name in _PACKAGES},
    }


def _accuracy(where: Path, shipped_name: str | None, record: Record, row: dict[str, Any]) -> dict[str, Any]:
    """What is known of the checkpoint: the shipped figures, or those of the run's epoch."""
    about = {"split": "validation", "views": "one"}
    if choose_weights.uses_shipped(where, shipped_name):
        figures = shipped.read_about(shipped_name)["figures"]["validation"]["one"]
        return about | {name: figures[name] for name in ("accuracy", "num_examples")}
    return about | {"accuracy": row["val_accuracy"], "num_examples": record.data.get("validation")}


def _int8(model: bytes, config: Mapping[str, Any], *, named: bool) -> tuple[bytes, dict[str, Any]]:
    """The quantized graph and what is known of it.

    Args:
      model: the float graph.
      config: of the run; its data set gives the faces, if it is there and labelled.
      named: whether the command line gave the data set, which then must be readable.
    """
    train, scored, reason = None, None, None
    try:
        splits = load_dataset(config)
        train = splits.train.images
        scored = run_evaluate.labelled_faces(config, splits)
    except UserError as error:
        if named:
            raise
        reason = str(error)
    faces = draw_faces(CALIBRATION_FACES, seed=0).images if train is None else _sample(train)
    source = "built-in drawn faces" if train is None else f"training faces of {Path(config['dataset']).name}"
    quantized = quantize_onnx(model, faces)
    about = {"calibrated_on": f"{len(faces)} {source}", "split": config["split"], "views": "one"}
    if scored is None:
        return quantized, about | {
            "accuracy": None,
            "reason": f"not measured: {reason}; --config.dataset=PATH names the data set",
        }
    return quantized, about | {
        "accuracy": _score(quantized, scored),
        "accuracy_of_float32": _score(model, scored),
        "num_examples": len(scored),
    }


def _sample(images: np.ndarray) -> np.ndarray:
    chosen = np.random.default_rng(0).permutation(len(images))[:CALIBRATION_FACES]
    return images[np.sort(chosen)]


def _score(model: bytes, faces: Faces) -> float:
    predict = onnx_predict(model)
    parts = [predict(faces.images[start : start + 64]).argmax(-1) for start in range(0, len(faces), 64)]
    return float(np.mean(np.concatenate(parts) == faces.labels))


def _report(folder: Path, contents: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
    """What was written, for the person who asked."""
    known = about["accuracy"]
    print(f"accuracy: {known['accuracy']:.2%} of {known['num_examples']:,} validation faces, one view")
    print(f"written to {folder}/:")
    for name, content in contents.items():
        line = f"  {name:<17}{size_text(len(content)):>9}"
        if "largest_difference" in about["files"].get(name, {}):
            line += (
                f"  differs from the checkpoint by {about['files'][name]['largest_difference']:.0e} at most"
            )
        print(line)
    if int8 := about.get("int8"):
        print(f"{INT8}: calibrated on {int8['calibrated_on']}; {_kept(int8)}")


def _kept(int8: Mapping[str, Any]) -> str:
    if int8["accuracy"] is None:
        return f"accuracy {int8['reason']}"
    return (
        f"accuracy {int8['accuracy']:.2%} of {int8['num_examples']:,} {int8['split']} faces, "
        f"{int8['accuracy_of_float32']:.2%} in float32"
    )


def size_text(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
