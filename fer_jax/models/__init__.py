"""Networks, by the names of ``config.model``."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.labels import NUM_CLASSES, SIDE
from fer_jax.models.cnn import CNN
from fer_jax.models.mlp import MLP

MODELS = {"mlp": MLP, "cnn": CNN}


def create_model(name: str, options: Mapping[str, Any], num_classes: int = NUM_CLASSES) -> nn.Module:
    """Make the network ``name`` with the fields of ``config.<name>`` and an output for each class.

    Raises ValueError for unknown names.
    """
    if name not in MODELS:
        raise ValueError(f"model={name!r} is unknown; choose one of {', '.join(MODELS)}")
    # Without lists a network can be hashed, so that JAX finds the programs compiled for it.
    sizes = {field: tuple(value) if isinstance(value, list) else value for field, value in options.items()}
    return MODELS[name](**sizes, num_classes=num_classes)


def init_variables(model: nn.Module, key: jax.Array) -> dict[str, Any]:
    """Initialize ``params`` and ``batch_stats`` (empty where the network has no BatchNorm), float32."""
    # Compiled, since the compiler drops the forward pass, which only finds the shapes.
    variables = jax.jit(model.init, static_argnames="train")(key, jnp.zeros((1, SIDE, SIDE, 1)), train=False)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def output_layer(params: Mapping[str, Any]) -> str | None:
    """Name of the dense layer that gives the logits, the last one outside blocks; None if there is none."""
    dense = [name for name in params if name.startswith("Dense_")]
    return max(dense, key=lambda name: int(name.removeprefix("Dense_")), default=None)


def count_parameters(params: Any) -> int:
    """Number of trained scalars in a tree of arrays (or of their shapes)."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def parameter_table(params: Any, *, by_block: bool = False) -> str:
    """Format one line a layer (name, shape of its kernel, parameters) and one with the total.

    ``by_block``: one line for all layers of a block, without shapes.
    """
    layers: dict[str, tuple[str, int]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *layer, leaf_name = (str(part.key) for part in path)
        name = layer[0] if by_block else "/".join(layer)
        shape, count = layers.get(name, ("", 0))
        if leaf_name == "kernel" and name == "/".join(layer):
            shape = " x ".join(map(str, leaf.shape))
        layers[name] = (shape, count + leaf.size)
    width = max(map(len, layers))
    rows = [f"  {name:<{width}}  {shape:>18}  {count:>9,}" for name, (shape, count) in layers.items()]
    return "\n".join([*rows, f"  {'all':<{width}}  {'':>18}  {count_parameters(params):>9,}"])
