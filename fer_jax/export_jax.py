"""A trained network as a serialized JAX function (StableHLO), which needs none of our code to run."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fer_jax import run_evaluate
from fer_jax.checkpoint import Weights
from fer_jax.labels import SIDE

PLATFORMS = ("cpu", "cuda", "tpu")


def to_jax_export(weights: Weights, config: Mapping[str, Any]) -> bytes:
    """For ``jax.export.deserialize(...).call``: uint8 (N, 48, 48, 1) -> probabilities float32 (N, 7).

    One view, for any N, on each of ``PLATFORMS``. Needs flatbuffers.
    """
    from jax import export

    forward = run_evaluate.make_forward(weights, config, views="one")
    variables, normalization = jax.tree.map(jnp.asarray, (weights.variables, weights.normalization))

    def probabilities(images: jax.Array) -> jax.Array:
        return jnp.exp(forward(variables, normalization, images))

    (count,) = export.symbolic_shape("N")
    images = jax.ShapeDtypeStruct((count, SIDE, SIDE, 1), jnp.uint8)
    return bytes(export.export(jax.jit(probabilities), platforms=PLATFORMS)(images).serialize())
