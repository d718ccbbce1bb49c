"""Build an ONNX graph of a trained network, layer by layer, from its config and its parameters' names.

The converter jax2onnx cannot be installed beside the Orbax that we need, and these networks have few kinds
of layers. A test compares the graph with the Flax modules, and a parameter that the graph leaves out is an
error, so that the two cannot differ unnoticed.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

import fer_jax
from fer_jax.classifier import Classifier
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.models import create_model
from fer_jax.transforms.normalize import FLAT, Normalization

OPSET = 17
"""Old enough for recent runtimes, those of browsers and phones too; onnxruntime has it from 1.13 on."""
IR_VERSION = 8
EPSILON = 1e-5
"""Epsilon of the BatchNorm layers."""
LOGITS = "logits"
"""Name of the last dense layer and its output, before the temperature."""


class Graph:
    """An ONNX graph, built node by node from the parameters of a network.

    Methods that add a node return the name of its output. ``unused`` has the parameters that the graph does
    not use yet, by path, such as ``params/Conv_0/kernel``.
    """

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.unused = flatten_dict(variables, sep="/")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def take(self, path: str) -> np.ndarray:
        """Return a parameter as float64, only once."""
        return np.asarray(self.unused.pop(path), np.float64)

    def take_folded(self, layer: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        """Fold a BatchNorm into the layer without bias before it -> kernel (..., F) and bias (F,)."""
        scale, bias = self.take(f"params/{norm}/scale"), self.take(f"params/{norm}/bias")
        mean, var = self.take(f"batch_stats/{norm}/mean"), self.take(f"batch_stats/{norm}/var")
        factor = scale / np.sqrt(var + EPSILON)
        return self.take(f"params/{layer}/kernel") * factor, bias - mean * factor

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an array to the graph, float64 as float32."""
        from onnx import numpy_helper

        value = np.asarray(value)
        stored = value.astype(np.float32) if value.dtype == np.float64 else value
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(stored), name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output."""
        from onnx import helper

        name = output or f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def dense(self, x: str, kernel: np.ndarray, bias: np.ndarray, *, output: str | None = None) -> str:
        """Multiply (N, I) by a kernel (I, O) and add a bias (O,) -> (N, O)."""
        name = output or f"dense_{len(self._nodes)}"
        arrays = self.constant(f"{name}/kernel", kernel), self.constant(f"{name}/bias", bias)
        return self.add("Gemm", x, *arrays, output=name)

    def convolution(self, x: str, kernel: np.ndarray, bias: np.ndarray, *, strides: int, side: int) -> str:
        """Convolve (N, I, side, side) with a square kernel (K, K, I, O) of Flax, padded as its ``SAME``."""
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

    def model(self, name: str, num_classes: int) -> Any:
        """Make an ``onnx.ModelProto`` from ``images`` to ``probabilities``, and check it."""
        import onnx
        from onnx import helper

        types = onnx.TensorProto
        images = helper.make_tensor_value_info("images", types.UINT8, ("N", SIDE, SIDE, 1))
        probabilities = helper.make_tensor_value_info("probabilities", types.FLOAT, ("N", num_classes))
        model = helper.make_model(
            helper.make_graph(self._nodes, name, [images], [probabilities], self._constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="fer_jax",
            producer_version=fer_jax.__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def build_onnx(classifier: Classifier) -> Any:
    """Build an ``onnx.ModelProto`` from grey levels to probabilities, checked by ONNX's own checker.

    Input ``images`` uint8 (N, 48, 48, 1), output ``probabilities`` float32 (N, K), any N. Inside are
    normalization, the network in float32 with each BatchNorm folded into the layer before it, temperature.

    Raises:
      UserError: there is no graph for this kind of network.
      ValueError: the network has parameters that the graph does not use.
    """
    config, weights = classifier.config, classifier.weights
    if config["model"] not in _NETWORKS:
        raise UserError(f"model={config['model']!r}: ONNX export knows {' and '.join(_NETWORKS)}")
    graph = Graph(weights.variables)
    options = config[config["model"]]
    x = _grey_levels(graph, "images", side=options.get("side", SIDE))
    x = _normalize(graph, x, weights.normalization, kind=config["normalize"])
    logits = _NETWORKS[config["model"]](graph, x, options)
    if graph.unused:
        raise ValueError(f"the ONNX graph does not use {', '.join(sorted(graph.unused))}")
    logits = graph.add("Div", logits, graph.constant("temperature", np.float32(weights.temperature("one"))))
    graph.add("Softmax", logits, output="probabilities", axis=-1)
    return graph.model(f"fer_jax {config['model']}", len(classifier.labels))


def _grey_levels(graph: Graph, images: str, *, side: int) -> str:
    """Add the scaling of grey levels (N, 48, 48, 1) to what the network sees, float32 (N, side, side, 1)."""
    import onnx

    x = graph.add("Cast", images, to=onnx.TensorProto.FLOAT)
    if side == SIDE:
        return x
    x = graph.add("Reshape", x, graph.constant("rows_last", np.array([0, 1, SIDE, SIDE])))
    scales = graph.constant("scales", np.array([1, 1, side / SIDE, side / SIDE], np.float32))
    x = graph.add("Resize", x, "", scales, mode="linear")
    return graph.add("Reshape", x, graph.constant("channels_last", np.array([0, side, side, 1])))


def _normalize(graph: Graph, x: str, statistics: Normalization, *, kind: str) -> str:
    """Add ``transforms.normalize.normalize``: float32 (N, S, S, 1) -> the same shape."""
    if kind != "samplewise":
        mean = graph.constant("mean", np.asarray(statistics.mean, np.float32))
        return graph.add("Div", graph.add("Sub", x, mean), graph.constant("std", np.float32(statistics.std)))
    flat, one = graph.constant("flat", np.float32(FLAT)), graph.constant("one", np.float32(1))
    x = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[1, 2, 3], keepdims=1))
    variance = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[1, 2, 3], keepdims=1)
    std = graph.add("Sqrt", variance)
    return graph.add("Div", x, graph.add("Where", graph.add("Less", std, flat), one, std))


def _mlp(graph: Graph, x: str, options: Mapping[str, Any]) -> str:
    """Add ``models.mlp.MLP``, up to the logits."""
    x = graph.add("Flatten", x, axis=1)
    for number in range(len(options["hidden"])):
        x = graph.add("Relu", graph.dense(x, *graph.take_folded(f"Dense_{number}", f"BatchNorm_{number}")))
    return _classify(graph, x, f"Dense_{len(options['hidden'])}")


def _cnn(graph: Graph, x: str, options: Mapping[str, Any]) -> str:
    """Add ``models.cnn.CNN``, up to the logits."""
    model = create_model("cnn", options)
    # Channels first, as ONNX wants them: with one channel the same numbers in the same order.
    x = graph.add("Reshape", x, graph.constant("channels_first", np.array([0, 1, model.side, model.side])))
    activate = functools.partial(_activate, graph, name=model.activation)
    stem = graph.take_folded("Conv_0", "BatchNorm_0")
    x = activate(graph.convolution(x, *stem, strides=model.stem_stride, side=model.side))
    channels, number = model.widths[0], 0
    for stage, (features, count) in enumerate(zip(model.widths, model.blocks, strict=True)):
        if stage > 0:
            x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        for _ in range(count):
            name, project = f"ResidualBlock_{number}", channels != features
            x = _block(graph, x, name, activate, side=model.stage_side(stage), project=project)
            channels, number = features, number + 1
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    return _classify(graph, x, "Dense_0")


def _block(
    graph: Graph, x: str, name: str, activate: Callable[[str], str], *, side: int, project: bool
) -> str:
    """Add ``models.cnn.ResidualBlock``."""

    def convolution(x: str, number: int) -> str:
        folded = graph.take_folded(f"{name}/Conv_{number}", f"{name}/BatchNorm_{number}")
        return graph.convolution(x, *folded, strides=1, side=side)

    y = convolution(activate(convolution(x, 0)), 1)
    return activate(graph.add("Add", convolution(x, 2) if project else x, y))


def _activate(graph: Graph, x: str, *, name: str) -> str:
    """Add a function of ``models.cnn.ACTIVATIONS``."""
    return graph.add("Mul", x, graph.add("Sigmoid", x)) if name == "silu" else graph.add("Relu", x)


def _classify(graph: Graph, x: str, name: str) -> str:
    kernel, bias = graph.take(f"params/{name}/kernel"), graph.take(f"params/{name}/bias")
    return graph.dense(x, kernel, bias, output=LOGITS)


_NETWORKS: dict[str, Callable[..., str]] = {"mlp": _mlp, "cnn": _cnn}
