"""A trained network as a function that JAX alone can read back: ``jax.export``."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.checkpoints.save import Weights
from fer_jax.evaluate.run import make_forward
from fer_jax.labels import SIDE

PLATFORMS = ("cpu", "cuda", "tpu")


def make_probabilities(weights: Weights, config: Mapping[str, Any]) -> Callable[[jax.Array], jax.Array]:
    """A pure ``images -> probabilities``, uint8 (N, 48, 48, 1) -> float32 (N, 7): one view, in full float32.

    Also where the network was trained in bfloat16, and on GPUs and TPUs, which else multiply float32 with
    fewer bits: the figures are the same wherever it runs.
    """
    options = dict(config[config["model"]])
    if "dtype" in options:
        options["dtype"] = "float32"
    forward = make_forward(weights, {**config, config["model"]: options}, views="one")

    def probabilities(images: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            return jnp.exp(forward(weights.variables, weights.normalization, images))

    return probabilities


def export_jax(weights: Weights, config: Mapping[str, Any]) -> bytes:
    """``make_probabilities`` with the weights in it, serialized for every platform of ``PLATFORMS``.

    ``jax.export.deserialize(data).call(images)`` takes it from there, with any N above 0; it needs neither
    this package nor Flax. The file is a flatbuffer around StableHLO: reading it unpickles nothing, imports
    nothing, and runs no Python of its maker's; calling it runs a compiled program.
    """
    images = jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"N, {SIDE}, {SIDE}, 1"), np.uint8)
    function = jax.jit(make_probabilities(weights, config))
    return bytes(jax.export.export(function, platforms=PLATFORMS)(images).serialize())
