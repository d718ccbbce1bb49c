"""An ONNX graph in 8-bit integers, by onnxruntime's static quantization."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.export_onnx import INPUT


def quantize(model: Any, faces: np.ndarray) -> bytes:
    """The graph ``model`` with weights and activations in int8, as the content of a file.

    Each output channel of a kernel has a scale of its own; the activations' are fitted to ``faces``
    (Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", 2018, section 3).

    Args:
      model: ``onnx.ModelProto`` from ``to_onnx``.
      faces: uint8 (N, 48, 48, 1), such as the network will see; a few hundred.
    """
    import onnx
    from onnxruntime import quantization

    class Faces(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._batches: Iterator[np.ndarray] = iter(np.array_split(faces, max(1, len(faces) // 32)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    # The quantizer reads and writes files, and advises on the root logger.
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder, "model.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            target,
            Faces(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return target.read_bytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(before)
