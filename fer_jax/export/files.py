"""Read exported files back, compare them with the checkpoint, and write them."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

from fer_jax.classifier import Classifier
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.export.jax_export import make_probabilities
from fer_jax.runtime.files import os_reason, replacing
from fer_jax.runtime.signals import held

TOLERANCE = 1e-4
"""Largest difference of a probability, between a file and the checkpoint, that counts as rounding."""
ONNX, JAX_EXPORT, INT8, ABOUT = "model.onnx", "model.jax_export", "model-int8.onnx", "model.json"

Predict = Callable[[np.ndarray], np.ndarray]
"""Faces uint8 (N, 48, 48, 1) -> probabilities float32 (N, 7)."""


def onnx_predict(model: bytes, *, threads: int = 0) -> Predict:
    """Load the function in an ONNX file by onnxruntime on the CPU; for 0 threads it chooses their number."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only: it warns of graphics cards that it cannot use
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"images": images})[0]


def jax_predict(data: bytes) -> Predict:
    """Load the function in a ``jax.export`` file, on JAX's default device."""
    call = jax.jit(jax.export.deserialize(bytearray(data)).call)
    return lambda images: np.asarray(call(images))


def compare(name: str, predict: Predict, classifier: Classifier) -> float:
    """Largest difference between ``predict`` and the checkpoint, over drawn faces in batches of 1 and 7.

    Raises UserError for the file ``name`` if it is above ``TOLERANCE`` or not a number.
    """
    faces = draw_faces(8, seed=0).images
    expected = np.asarray(jax.jit(make_probabilities(classifier))(faces))
    got = np.concatenate([predict(faces[:1]), predict(faces[1:])])
    difference = float(np.max(np.abs(got - expected)))
    if not difference <= TOLERANCE:
        raise UserError(
            f"{name}: its probabilities differ from the checkpoint's by {difference:.2g}, more than "
            f"{TOLERANCE}; nothing was written; please report this with the versions of jax and onnxruntime"
        )
    return difference


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all files or none, each atomically, and remove the int8 file of an earlier export.

    Raises UserError if the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with held(), contextlib.ExitStack() as stack:
            for name, content in contents.items():
                stack.enter_context(replacing(folder / name)).write_bytes(content)
            if INT8 not in contents:
                (folder / INT8).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: {os_reason(error)}; a folder to write to was expected") from error
