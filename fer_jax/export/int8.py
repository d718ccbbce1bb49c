"""Eight bits for weights and activations of an ONNX graph, where a quarter of the size matters."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.export.onnx import LOGITS

MOST_PARAMETERS = 100_000
"""Networks up to this size are written as int8 too: where every kilobyte counts, they are the ones used."""
CALIBRATION_FACES = 512


def quantize_onnx(model: bytes, faces: np.ndarray, **options: Any) -> bytes:
    """A float graph of ``export_onnx`` with its convolutions in eight bits, same input and output.

    Static quantization by onnxruntime: uint8 activations, whose ranges are the extremes over ``faces``, and
    int8 weights with a scale for each channel. Weights take seven of the eight bits: with all, processors
    without VNNI saturate when they add up. Normalization, the last layer, temperature and softmax stay in
    float32.

    Args:
      model: serialized ``onnx.ModelProto``.
      faces: uint8 (N, 48, 48, 1), like those it will see; some hundreds.
      options: of onnxruntime's ``quantize_static``, in place of those described.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        """Faces a batch at a time, as onnxruntime asks for them."""

        def __init__(self) -> None:
            self._batches = _batches(faces)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._batches, None)

    described = {
        "quant_format": quantization.QuantFormat.QDQ,
        "op_types_to_quantize": ["Conv", "Gemm", "Relu", "Add", "MaxPool"],
        "nodes_to_exclude": [LOGITS],
        "per_channel": True,
        "reduce_range": True,
        "activation_type": quantization.QuantType.QUInt8,
        "weight_type": quantization.QuantType.QInt8,
    }
    with tempfile.TemporaryDirectory() as folder:
        given, prepared, quantized = (Path(folder) / f"{n}.onnx" for n in ("given", "prepared", "quantized"))
        given.write_bytes(model)
        quant_pre_process(given, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            quantized,
            Reader(),
            **(described | options),
        )
        return quantized.read_bytes()


def _batches(faces: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(faces), 64):
        yield {"images": faces[start : start + 64]}
