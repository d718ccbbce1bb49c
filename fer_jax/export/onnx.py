"""A trained network as an ONNX graph, built layer by layer from its config and its parameters' names.

There is a converter, jax2onnx; it cannot be installed beside the Orbax that we need, and these networks have
few kinds of layers. A test holds the graph against the Flax modules, and a parameter that the graph leaves
out is an error, so that the two cannot drift apart unseen.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from fer_jax.checkpoints.save import Weights
from fer_jax.errors import UserError
from fer_jax.export.graph import Graph
from fer_jax.labels import NUM_CLASSES, SIDE
from fer_jax.models import create_model
from fer_jax.transforms.normalize import Normalization

OPSET = 17
"""Old enough for the runtimes of recent years, onnxruntime from 1.13 on, those of browsers and phones."""
IR_VERSION = 8
EPSILON = 1e-5
"""Of the BatchNorm layers."""
LOGITS = "logits"
"""Name of the last dense layer and its output, before the temperature."""


class Parameters:
    """The arrays of a network by their path, such as ``params/Conv_0/kernel``; remembers which were taken."""

    def __init__(self, variables: Mapping[str, Any]):
        leaves = jax.tree_util.tree_leaves_with_path(variables)
        self._left = {"/".join(str(part.key) for part in path): np.asarray(leaf) for path, leaf in leaves}

    def take(self, path: str) -> np.ndarray:
        """The array, as float64; each once."""
        return self._left.pop(path).astype(np.float64)

    def folded(self, layer: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        """Kernel (..., F) of a layer without bias, times the BatchNorm behind it, and bias (F,) of both."""
        scale, bias = self.take(f"params/{norm}/scale"), self.take(f"params/{norm}/bias")
        mean, var = self.take(f"batch_stats/{norm}/mean"), self.take(f"batch_stats/{norm}/var")
        factor = scale / np.sqrt(var + EPSILON)
        return self.take(f"params/{layer}/kernel") * factor, bias - mean * factor

    def left(self) -> list[str]:
        """Paths that nobody took."""
        return sorted(self._left)


def build_onnx(weights: Weights, config: Mapping[str, Any]):
    """The network as an ``onnx.ModelProto`` from grey levels to probabilities, checked by ONNX's own checker.

    Input ``images`` uint8 (N, 48, 48, 1), output ``probabilities`` float32 (N, 7), N free. Inside:
    normalization, the network in float32 with each BatchNorm folded into the layer before it, temperature.

    Raises:
      UserError: there is no graph for this kind of network.
      ValueError: the network has parameters that the graph does not use.
    """
    import onnx

    if config["model"] not in _NETWORKS:
        raise UserError(f"model={config['model']!r}: ONNX export knows {' and '.join(_NETWORKS)}")
    parameters, graph = Parameters(weights.variables), Graph()
    x = _normalize(graph, "images", weights.normalization, kind=config["normalize"])
    logits = _NETWORKS[config["model"]](graph, x, parameters, config[config["model"]])
    if unused := parameters.left():
        raise ValueError(f"the ONNX graph does not use {', '.join(unused)}")
    logits = graph.add("Div", logits, graph.constant("temperature", np.float32(weights.temperature("one"))))
    graph.add("Softmax", logits, output="probabilities", axis=-1)
    return graph.model(
        name=f"fer_jax {config['model']}",
        inputs={"images": (onnx.TensorProto.UINT8, ("N", SIDE, SIDE, 1))},
        outputs={"probabilities": (onnx.TensorProto.FLOAT, ("N", NUM_CLASSES))},
        opset=OPSET,
        ir_version=IR_VERSION,
    )


def _normalize(graph: Graph, images: str, statistics: Normalization, *, kind: str) -> str:
    """As ``preprocess.normalize``; (N, 48, 48, 1) -> the same shape, float32."""
    import onnx

    x = graph.add("Cast", images, to=onnx.TensorProto.FLOAT)
    if kind != "samplewise":
        mean = graph.constant("mean", np.asarray(statistics.mean, np.float32))
        return graph.add("Div", graph.add("Sub", x, mean), graph.constant("std", np.float32(statistics.std)))
    zero, one = graph.constant("zero", np.float32(0)), graph.constant("one", np.float32(1))
    x = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[1, 2, 3], keepdims=1))
    variance = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[1, 2, 3], keepdims=1)
    std = graph.add("Sqrt", variance)
    return graph.add("Div", x, graph.add("Where", graph.add("Equal", std, zero), one, std))


def _mlp(graph: Graph, x: str, parameters: Parameters, options: Mapping[str, Any]) -> str:
    """As ``models.mlp.MLP``, to logits."""
    x = graph.add("Flatten", x, axis=1)
    for number in range(len(options["hidden"])):
        x = graph.dense(x, *parameters.folded(f"Dense_{number}", f"BatchNorm_{number}"))
        x = graph.add("Relu", x)
    return _classify(graph, x, parameters, f"Dense_{len(options['hidden'])}")


def _cnn(graph: Graph, x: str, parameters: Parameters, options: Mapping[str, Any]) -> str:
    """As ``models.cnn.CNN``, to logits."""
    # Channels first, as ONNX wants them: with one channel the same numbers in the same order.
    x = graph.add("Reshape", x, graph.constant("channels_first", np.array([0, 1, SIDE, SIDE])))
    model = create_model("cnn", options)
    activate = functools.partial(_activate, graph, name=model.activation)
    stem = parameters.folded("Conv_0", "BatchNorm_0")
    x = activate(graph.convolution(x, *stem, strides=model.stem_stride, side=SIDE))
    channels, number = model.widths[0], 0
    for stage, (features, count) in enumerate(zip(model.widths, model.blocks, strict=True)):
        side = model.stage_side(stage)
        if stage > 0:
            x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        for _ in range(count):
            name = f"ResidualBlock_{number}"
            project = channels != features
            x = _block(graph, x, parameters, name, activate, side=side, project=project)
            channels, number = features, number + 1
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    return _classify(graph, x, parameters, "Dense_0")


def _block(
    graph: Graph,
    x: str,
    parameters: Parameters,
    name: str,
    activate: Callable[[str], str],
    *,
    side: int,
    project: bool,
) -> str:
    """As ``models.cnn.ResidualBlock``."""

    def convolution(x: str, number: int) -> str:
        kernel, bias = parameters.folded(f"{name}/Conv_{number}", f"{name}/BatchNorm_{number}")
        return graph.convolution(x, kernel, bias, strides=1, side=side)

    y = convolution(activate(convolution(x, 0)), 1)
    return activate(graph.add("Add", convolution(x, 2) if project else x, y))


def _activate(graph: Graph, x: str, *, name: str) -> str:
    """As ``models.cnn.ACTIVATIONS``."""
    return graph.add("Mul", x, graph.add("Sigmoid", x)) if name == "silu" else graph.add("Relu", x)


def _classify(graph: Graph, x: str, parameters: Parameters, name: str) -> str:
    kernel, bias = parameters.take(f"params/{name}/kernel"), parameters.take(f"params/{name}/bias")
    return graph.dense(x, kernel, bias, output=LOGITS)


_NETWORKS: dict[str, Callable[..., str]] = {"mlp": _mlp, "cnn": _cnn}
