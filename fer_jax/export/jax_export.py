"""Write a trained network as a function that JAX alone can read back: ``jax.export``."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.classifier import Classifier
from fer_jax.labels import SIDE

PLATFORMS = ("cpu", "cuda", "tpu")


def make_probabilities(classifier: Classifier) -> Callable[[jax.Array], jax.Array]:
    """Make a pure ``images -> probabilities``, uint8 (N, 48, 48, 1) -> float32 (N, 7), for one view.

    It computes in full float32, also for a network trained in bfloat16, and on GPUs and TPUs, which multiply
    float32 with fewer bits by default. So it gives the same figures on all of them.
    """
    config, weights = classifier.config, classifier.weights
    options = dict(config[config["model"]])
    if "dtype" in options:
        options["dtype"] = "float32"
    in_float32 = dataclasses.replace(classifier, config=config | {config["model"]: options})
    forward = in_float32.forward("one")

    def probabilities(images: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            return jnp.exp(forward(weights.variables, weights.normalization, images))

    return probabilities


def export_jax(classifier: Classifier) -> bytes:
    """Serialize ``make_probabilities``, with the weights in it, for every platform in ``PLATFORMS``.

    Call it by ``jax.export.deserialize(data).call(images)``, with any N above 0; this needs neither this
    package nor Flax. The file is a flatbuffer around StableHLO: reading it unpickles nothing, imports nothing
    and runs no Python code from it. Calling the function runs a compiled program.
    """
    images = jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"N, {SIDE}, {SIDE}, 1"), np.uint8)
    function = jax.jit(make_probabilities(classifier))
    return bytes(jax.export.export(function, platforms=PLATFORMS)(images).serialize())
