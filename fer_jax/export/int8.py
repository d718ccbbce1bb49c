"""Write an ONNX graph with weights and activations in eight bits, for a quarter of the size."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.export.onnx import LOGITS

MOST_PARAMETERS = 100_000
"""Networks up to this size are exported in int8 too: they are the ones used where every kilobyte counts."""
CALIBRATION_FACES = 512


def quantize_onnx(model: bytes, faces: np.ndarray, **options: Any) -> bytes:
    """Put the layers of a float graph from ``build_onnx`` into eight bits, with the same input and output.

    This is static quantization by onnxruntime. Activations are uint8, in the range of their extremes over
    ``faces``. Weights are int8 with a scale for each channel. They use seven of the eight bits, since with
    eight, sums saturate on processors without VNNI. Normalization, the last layer, temperature and softmax
    stay in float32.

    Args:
      model: serialized ``onnx.ModelProto``.
      faces: uint8 (N, 48, 48, 1), some hundreds, like those that the network will see.
      options: of onnxruntime's ``quantize_static``, in place of the ones described.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = ({"images": faces[start : start + 64]} for start in range(0, len(faces), 64))

    class Reader(quantization.CalibrationDataReader):
        """Give onnxruntime one batch of faces after the other."""

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(batches, None)

    defaults = {
        "quant_format": quantization.QuantFormat.QDQ,
        "op_types_to_quantize": ["Conv", "Gemm", "Relu", "Add", "MaxPool"],
        "nodes_to_exclude": [LOGITS],
        "per_channel": True,
        "reduce_range": True,
        "activation_type": quantization.QuantType.QUInt8,
        "weight_type": quantization.QuantType.QInt8,
    }
    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, quantized = (Path(folder) / f"{n}.onnx" for n in ("whole", "prepared", "quantized"))
        whole.write_bytes(model)
        quant_pre_process(whole, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantization.quantize_static(prepared, quantized, Reader(), **(defaults | options))
        return quantized.read_bytes()
