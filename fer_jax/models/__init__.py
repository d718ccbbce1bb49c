"""Networks, chosen by the name that ``config.model`` gives."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.errors import UserError
from fer_jax.labels import NUM_CLASSES, SIDE
from fer_jax.models.cnn import CNN
from fer_jax.models.mlp import MLP

MODELS = {"mlp": MLP, "cnn": CNN}


def create_model(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The network ``name`` with its layer sizes.

    Args:
      name: a key of ``MODELS``.
      options: the fields of ``config.<name>``, passed to the module.

    Raises:
      UserError: no network has this name.
    """
    if name not in MODELS:
        raise UserError(f"model={name!r} is unknown; choose one of {', '.join(MODELS)}")
    return MODELS[name](**options, num_classes=NUM_CLASSES)


def init_variables(model: nn.Module, key: jax.Array) -> dict[str, Any]:
    """Fresh ``params`` and ``batch_stats`` (empty where the network has no BatchNorm), float32."""
    # Compiled, since only then is the forward pass left out that finds the shapes.
    variables = jax.jit(model.init, static_argnames="train")(key, jnp.zeros((1, SIDE, SIDE, 1)), train=False)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def count_parameters(params: Any) -> int:
    """Number of trained scalars in a tree of arrays (or of their shapes)."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def parameter_table(params: Any) -> str:
    """One line a layer: name, shape of its kernel, parameters; and the total."""
    layers: dict[str, tuple[str, int]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *layer, leaf_name = (str(part.key) for part in path)
        name = "/".join(layer)
        shape, count = layers.get(name, ("", 0))
        shape = " x ".join(map(str, leaf.shape)) if leaf_name == "kernel" else shape
        layers[name] = (shape, count + leaf.size)
    width = max(map(len, layers))
    rows = [f"  {name:<{width}}  {shape:>18}  {count:>9,}" for name, (shape, count) in layers.items()]
    return "\n".join([*rows, f"  {'all':<{width}}  {'':>18}  {count_parameters(params):>9,}"])
