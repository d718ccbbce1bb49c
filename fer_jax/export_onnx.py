"""A trained network as an ONNX graph, preprocessing inside, built from its config and its variables.

Our networks have few kinds of layers, so the graph is written down here; a test holds it against the Flax
modules. Batch normalization is folded into the layer before it. onnx is imported where it is used.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fer_jax.checkpoint import Weights
from fer_jax.labels import NUM_CLASSES, SIDE

INPUT, OUTPUT = "images", "probabilities"
OPSET = 17
_IR_VERSION = 8  # what came with opset 17; onnxruntime refuses versions newer than itself
_EPSILON = 1e-5  # of both kinds of BatchNorm in fer_jax.models


class _Graph:
    """Nodes and constants in the making; each method adds a node and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name


def to_onnx(weights: Weights, config: Mapping[str, Any]) -> Any:
    """``onnx.ModelProto``: ``images`` uint8 (N, 48, 48, 1) -> ``probabilities`` float32 (N, 7), one view.

    Args:
      weights: variables, normalization and temperature of the network.
      config: of the run; ``model``, its sizes and ``normalize`` are read.
    """
    from onnx import TensorProto, checker, helper

    graph = _Graph()
    x = graph.node("Cast", INPUT, to=TensorProto.FLOAT)
    x = graph.node("Transpose", x, perm=[0, 3, 1, 2])
    x = _normalized(graph, x, weights, config["normalize"])
    network = {"cnn": _cnn, "mlp": _mlp}[config["model"]]
    x, last = network(graph, x, weights.variables, config[config["model"]])
    kernel, bias = (np.asarray(last[name]) / weights.temperature for name in ("kernel", "bias"))
    x = graph.node("Gemm", x, graph.constant(kernel), graph.constant(bias))
    graph.node("Softmax", x, axis=1, name=OUTPUT)
    images = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", SIDE, SIDE, 1])
    probabilities = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", NUM_CLASSES])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "fer_jax", [images], [probabilities], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="fer_jax",
    )
    checker.check_model(model, full_check=True)
    return model


def _normalized(graph: _Graph, x: str, weights: Weights, kind: str) -> str:
    """As ``preprocess.normalize``, on (N, 1, 48, 48)."""
    if kind == "samplewise":
        x = graph.node("Sub", x, graph.node("ReduceMean", x, axes=[1, 2, 3]))
        variance = graph.node("ReduceMean", graph.node("Mul", x, x), axes=[1, 2, 3])
        std = graph.node("Sqrt", variance)
        is_zero = graph.node("Equal", std, graph.constant(0))
        return graph.node("Div", x, graph.node("Where", is_zero, graph.constant(1), std))
    mean, std = (np.moveaxis(np.asarray(part), -1, 0)[None] for part in weights.normalization)
    return graph.node("Div", graph.node("Sub", x, graph.constant(mean)), graph.constant(std))


def _cnn(graph: _Graph, x: str, variables: Mapping[str, Any], sizes: Mapping[str, Any]) -> tuple[str, Any]:
    """``models.cnn.CNN`` up to its last layer -> (N, C), and the variables of that layer."""
    params, stats = variables["params"], variables["batch_stats"]
    x = graph.node("Relu", _conv(graph, x, params, stats, "Conv_0", "BatchNorm_0", side=SIDE, strides=2))
    block, side = 0, SIDE // 2
    for stage, count in enumerate(sizes["blocks"]):
        if stage > 0:
            x, side = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), side // 2
        for _ in range(count):
            name = f"ResidualBlock_{block}"
            x, block = _residual_block(graph, x, params[name], stats[name], side), block + 1
    return graph.node("Flatten", graph.node("GlobalAveragePool", x)), params["Dense_0"]


def _residual_block(
    graph: _Graph, x: str, params: Mapping[str, Any], stats: Mapping[str, Any], side: int
) -> str:
    y = graph.node("Relu", _conv(graph, x, params, stats, "Conv_0", "BatchNorm_0", side=side))
    y = _conv(graph, y, params, stats, "Conv_1", "BatchNorm_1", side=side)
    if "Conv_2" in params:
        x = _conv(graph, x, params, stats, "Conv_2", "BatchNorm_2", side=side)
    return graph.node("Relu", graph.node("Add", x, y))


def _conv(
    graph: _Graph,
    x: str,
    params: Mapping[str, Any],
    stats: Mapping[str, Any],
    conv: str,
    norm: str,
    *,
    side: int,
    strides: int = 1,
) -> str:
    """Convolution with JAX's padding ``SAME`` and the BatchNorm behind it, of an image of ``side`` pixels."""
    kernel, bias = _folded(params[conv]["kernel"], params[norm], stats[norm])
    size = kernel.shape[0]
    padding = max((-(-side // strides) - 1) * strides + size - side, 0)
    before = padding // 2
    return graph.node(
        "Conv",
        x,
        graph.constant(kernel.transpose(3, 2, 0, 1)),
        graph.constant(bias),
        pads=[before, before, padding - before, padding - before],
        strides=[strides, strides],
    )


def _mlp(graph: _Graph, x: str, variables: Mapping[str, Any], sizes: Mapping[str, Any]) -> tuple[str, Any]:
    """``models.mlp.MLP`` up to its last layer -> (N, C), and the variables of that layer."""
    params, stats = variables["params"], variables["batch_stats"]
    x = graph.node("Flatten", x)
    for n in range(len(sizes["hidden"])):
        norm = f"BatchNorm_{n}"
        kernel, bias = _folded(params[f"Dense_{n}"]["kernel"], params[norm], stats[norm])
        x = graph.node("Relu", graph.node("Gemm", x, graph.constant(kernel), graph.constant(bias)))
    return x, params[f"Dense_{len(sizes['hidden'])}"]


def _folded(kernel: Any, norm: Mapping[str, Any], stats: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (..., C) and bias (C,) of a layer without bias followed by a BatchNorm that is not trained."""
    scale, shift, mean, variance = (
        np.asarray(values, np.float64)
        for values in (norm["scale"], norm["bias"], stats["mean"], stats["var"])
    )
    factor = scale / np.sqrt(variance + _EPSILON)
    return np.asarray(kernel, np.float64) * factor, shift - mean * factor
