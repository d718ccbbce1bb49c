"""``--mode=export``: write the network as files that run without this package."""

import importlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import fer_jax
from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.choose import choose, require_one_run, uses_shipped
from fer_jax.classifier import Classifier
from fer_jax.data.class_names import relabel
from fer_jax.data.faces import Faces
from fer_jax.data.load import labelled_faces, load_dataset
from fer_jax.data.synthetic import draw_faces
from fer_jax.errors import UserError
from fer_jax.export.files import ABOUT, INT8, JAX_EXPORT, ONNX, compare, jax_predict, onnx_predict, write
from fer_jax.export.int8 import CALIBRATION_FACES, MOST_PARAMETERS, quantize_onnx
from fer_jax.export.jax_export import PLATFORMS, export_jax
from fer_jax.export.onnx import IR_VERSION, OPSET, build_onnx
from fer_jax.labels import SIDE
from fer_jax.runtime.command import Command

_PACKAGES = ("jax", "jaxlib", "flax", "onnx", "onnxruntime")


def run(command: Command) -> None:
    """Write the best checkpoint as ONNX and ``jax.export`` into the output folder.

    Write ``model.onnx``, ``model.jax_export``, their description ``model.json``, and ``model-int8.onnx`` for
    a network of at most ``MOST_PARAMETERS``. The first two are run on a few faces and compared with the
    checkpoint before anything is written.

    Raises:
      UserError: no output, a missing library, no checkpoint, bad input, or a file that does not give the
        checkpoint's probabilities.
    """
    folder = _check_request(command)
    classifier = choose(command)
    config = classifier.config
    if config["views"] != "one":
        print(f"the files see one view of each face; this run is evaluated with views={config['views']}")
    contents = {ONNX: build_onnx(classifier).SerializeToString(), JAX_EXPORT: export_jax(classifier)}
    predicts = {ONNX: onnx_predict(contents[ONNX]), JAX_EXPORT: jax_predict(contents[JAX_EXPORT])}
    differences = {name: compare(name, predict, classifier) for name, predict in predicts.items()}
    about = _about(classifier, _accuracy(command, classifier))
    if classifier.num_parameters <= MOST_PARAMETERS:
        contents[INT8], about["int8"] = _int8(
            contents[ONNX], classifier, named="dataset" in command.overrides
        )
    about["files"] = {name: {"bytes": len(content)} for name, content in contents.items()}
    for name, difference in differences.items():
        about["files"][name]["largest_difference"] = difference
    contents[ABOUT] = (json.dumps(about, indent=2) + "\n").encode()
    write(folder, contents)
    _print_summary(folder, contents, about)
    if INT8 not in contents:
        print(f"left out: {INT8}, which is for networks of at most {MOST_PARAMETERS:,} parameters")


def _check_request(command: Command) -> Path:
    """Return the output folder. Raise UserError if the command cannot be done."""
    output, views = command.output, command.config["views"]
    if output is None:
        raise UserError("--mode=export needs --output=DIR")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{output}: is a file; a folder to write the model's files to was expected")
    if "views" in command.overrides and views != "one":
        raise UserError(f"config.views is {views!r}; an exported network sees one view of a face")
    require_one_run(command.workdir)
    for name in ("onnx", "onnxruntime", "flatbuffers"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"--mode=export needs {name}: pip install -r requirements-export.txt") from error
    return folder


def _about(classifier: Classifier, accuracy: dict[str, Any]) -> dict[str, Any]:
    """Make the content of ``model.json``, except its entries about the files."""
    record = classifier.record
    config = record.config
    return {
        "labels": record.labels,
        "input": {"name": "images", "dtype": "uint8", "shape": ["N", SIDE, SIDE, 1]},
        "output": {"name": "probabilities", "dtype": "float32", "shape": ["N", len(record.labels)]},
        "preprocessing": "inside the graph; give grey levels, 0 black to 255 white, of a face that is "
        "upright and cropped tightly, as in FER2013",
        "postprocessing": "none: probabilities in the order of the labels, the temperature inside the graph",
        "views": "one",
        "model": {
            "name": config["model"],
            "sizes": config[config["model"]],
            "normalize": config["normalize"],
            "parameters": classifier.num_parameters,
            "temperature": float(classifier.weights.temperature("one")),
        },
        "trained": {
            "dataset": Path(config["dataset"]).name,
            "data": record.data,
            "epoch": classifier.row["epoch"],
        },
        "accuracy": accuracy,
        "onnx": {"opset": OPSET, "ir_version": IR_VERSION},
        "jax_export": {"platforms": list(PLATFORMS)},
        "versions": {"fer_jax": fer_jax.__version__} | {name: metadata.version(name) for name in _PACKAGES},
    }


def _accuracy(command: Command, classifier: Classifier) -> dict[str, Any]:
    """Return the known accuracy of the weights: the shipped figures, or those of the run's epoch."""
    about = {"split": "validation", "views": "one"}
    if uses_shipped(command):
        figures = shipped.read_about(command.shipped_name)["figures"]["validation"]["one"]
        return about | {name: figures[name] for name in ("accuracy", "num_examples")}
    faces = classifier.record.data.get("validation")
    return about | {"accuracy": classifier.row["val_accuracy"], "num_examples": faces}


def _int8(model: bytes, classifier: Classifier, *, named: bool) -> tuple[bytes, dict[str, Any]]:
    """Quantize a graph -> the quantized graph, and its entry in ``model.json``.

    Args:
      model: the float graph.
      classifier: the network; the data set of its config gives the faces, if it is there and has labels.
      named: whether the command line gave the data set, which then must be readable.
    """
    config, train, scored, reason = classifier.config, None, None, None
    try:
        splits = load_dataset(config)
        train = splits.train.images
        labelled = labelled_faces(splits, split=config["split"], dataset=config["dataset"])
        scored, _ = relabel(labelled, splits.labels, classifier.labels)
    except UserError as error:
        if named:
            raise
        reason = f"not measured: {error}; --config.dataset=PATH names the data set"
    if train is None:
        faces, source = draw_faces(CALIBRATION_FACES, seed=0).images, "built-in drawn faces"
    else:
        chosen = np.random.default_rng(0).permutation(len(train))[:CALIBRATION_FACES]
        faces, source = train[np.sort(chosen)], f"training faces of {Path(config['dataset']).name}"
    quantized = quantize_onnx(model, faces)
    about = {"calibrated_on": f"{len(faces)} {source}", "split": config["split"], "views": "one"}
    if scored is None:
        return quantized, about | {"accuracy": None, "reason": reason}
    return quantized, about | {
        "accuracy": _score(quantized, scored),
        "accuracy_of_float32": _score(model, scored),
        "num_examples": len(scored),
    }


def _score(model: bytes, faces: Faces) -> float:
    """Accuracy of an ONNX file, a fraction."""
    predict = onnx_predict(model)
    parts = [predict(faces.images[start : start + 64]).argmax(-1) for start in range(0, len(faces), 64)]
    return float(np.mean(np.concatenate(parts) == faces.labels))


def _print_summary(folder: Path, contents: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
    known = about["accuracy"]
    print(f"accuracy: {known['accuracy']:.2%} of {known['num_examples']:,} validation faces, one view")
    print(f"written to {folder}/:")
    for name, content in contents.items():
        line = f"  {name:<17}{size_text(len(content)):>9}"
        difference = about["files"].get(name, {}).get("largest_difference")
        if difference is not None:
            line += f"  differs from the checkpoint by {difference:.0e} at most"
        print(line)
    if int8 := about.get("int8"):
        print(f"{INT8}: calibrated on {int8['calibrated_on']}; {_int8_accuracy(int8)}")


def _int8_accuracy(int8: Mapping[str, Any]) -> str:
    if int8["accuracy"] is None:
        return f"accuracy {int8['reason']}"
    return (
        f"accuracy {int8['accuracy']:.2%} of {int8['num_examples']:,} {int8['split']} faces, "
        f"{int8['accuracy_of_float32']:.2%} in float32"
    )


def size_text(count: int) -> str:
    """Format a number of bytes as MB or kB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
