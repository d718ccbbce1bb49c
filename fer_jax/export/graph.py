"""Nodes and constants of an ONNX graph while it is being put together."""

from collections.abc import Mapping
from typing import Any

import numpy as np


class Graph:
    """Takes nodes one after the other; each method returns the name of the result."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """An array that is part of the graph, float64 as float32."""
        from onnx import numpy_helper

        value = np.asarray(value)
        stored = value.astype(np.float32) if value.dtype == np.float64 else value
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(stored), name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """One node with one output."""
        from onnx import helper

        name = output or f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def dense(self, x: str, kernel: np.ndarray, bias: np.ndarray, *, output: str | None = None) -> str:
        """(N, I) by a kernel (I, O) and bias (O,) -> (N, O)."""
        name = output or f"dense_{len(self._nodes)}"
        arrays = self.constant(f"{name}/kernel", kernel), self.constant(f"{name}/bias", bias)
        return self.add("Gemm", x, *arrays, output=name)

    def convolution(self, x: str, kernel: np.ndarray, bias: np.ndarray, *, strides: int, side: int) -> str:
        """(N, I, side, side) by a square kernel (K, K, I, O), as Flax has it, padded as its ``SAME``."""
        size = kernel.shape[0]
        # The odd pixel of padding goes to the right and below.
        padding = max((-(-side // strides) - 1) * strides + size - side, 0)
        before, after = padding // 2, padding - padding // 2
        name = f"convolution_{len(self._nodes)}"
        return self.add(
            "Conv",
            x,
            self.constant(f"{name}/kernel", kernel.transpose(3, 2, 0, 1)),
            self.constant(f"{name}/bias", bias),
            kernel_shape=[size, size],
            pads=[before, before, after, after],
            strides=[strides, strides],
            output=name,
        )

    def model(
        self,
        *,
        name: str,
        inputs: Mapping[str, tuple[int, tuple[str | int, ...]]],
        outputs: Mapping[str, tuple[int, tuple[str | int, ...]]],
        opset: int,
        ir_version: int,
    ):
        """The whole as an ``onnx.ModelProto``, checked; inputs and outputs: name to (type, shape)."""
        import onnx
        from onnx import helper

        import fer_jax

        def infos(described):
            return [helper.make_tensor_value_info(key, *value) for key, value in described.items()]

        graph = helper.make_graph(self._nodes, name, infos(inputs), infos(outputs), self._constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=ir_version,
            producer_name="fer_jax",
            producer_version=fer_jax.__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        return model
