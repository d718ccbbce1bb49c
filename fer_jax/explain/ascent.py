"""What a network looks for: images that excite a filter, or an expression, as much as can be."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.explain.saliency import apply_with_change, blur
from fer_jax.labels import SIDE
from fer_jax.transforms.normalize import normalize

_STEPS, _STEP_SIZE = 80, 6.0
_JITTER = 2
"""Pixels that the image is shifted by at a step, so that what comes out does not hang on its exact place."""


def make_ascent(
    *, model: nn.Module, normalize_kind: str, layer: str | None = None, steps: int = _STEPS
) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    """``(key, variables, normalization, indices int32 (K,)) -> (images, before, after)``, by gradient ascent.

    From grey with a little noise, each step goes along the gradient, as long as 6 grey levels for the mean
    pixel, and blurs a little, which keeps out the high frequencies that a network reacts to and people do
    not see (Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009; Yosinski et al.,
    "Understanding Neural Networks Through Deep Visualization", 2015).

    Args:
      model, normalize_kind: of the network.
      layer: name of a submodule: the mean output of its channel ``indices[k]`` is raised; None for the
        logit of the class ``indices[k]``.
      steps: of the ascent.

    Returns:
      images float32 (K, 48, 48, 1) in grey levels, and what was raised, (K,), at the start and at the end.
    """

    def raised(images, variables, normalization, indices):
        inputs = normalize(images, normalization, kind=normalize_kind)
        if layer is None:
            outputs = model.apply(variables, inputs, train=False)
        else:
            outputs = apply_with_change(model, variables, inputs, layer, None)[1]
        outputs = jnp.mean(outputs.reshape(len(images), -1, outputs.shape[-1]), 1)
        return jnp.take_along_axis(outputs, indices[:, None], -1)[:, 0].astype(jnp.float32)

    def ascend(key, variables: dict[str, Any], normalization, indices):
        start_key, jitter_key = jax.random.split(key)
        start = 128 + 8 * jax.random.normal(start_key, (len(indices), SIDE, SIDE, 1))
        gradient = jax.grad(lambda x: jnp.sum(raised(x, variables, normalization, indices)))

        def step(images, key):
            shift = jax.random.randint(key, (2,), -_JITTER, _JITTER + 1)
            moved = jnp.roll(images, shift, (1, 2))
            slope = gradient(moved)
            size = jnp.mean(jnp.abs(slope), (1, 2, 3), keepdims=True)
            moved = moved + _STEP_SIZE * slope / jnp.maximum(size, 1e-12)
            images = jnp.roll(moved, -shift, (1, 2))
            images = 0.8 * images + 0.2 * blur(images[..., 0])[..., None]
            return jnp.clip(images, 0.0, 255.0), None

        images, _ = jax.lax.scan(step, start, jax.random.split(jitter_key, steps))
        before = raised(start, variables, normalization, indices)
        return images, before, raised(images, variables, normalization, indices)

    return ascend


def first_kernels(params: dict[str, Any], *, most: int = 64) -> np.ndarray:
    """The weights that see the face itself, as pictures float32 (K, H, W), the largest by norm first.

    A CNN's are its first kernels, of an MLP those of its first hidden units, 48 x 48.
    """
    name = "Conv_0" if "Conv_0" in params else "Dense_0"
    kernel = np.asarray(params[name]["kernel"], np.float32)
    pictures = np.moveaxis(kernel[:, :, 0], -1, 0) if kernel.ndim == 4 else kernel.T.reshape(-1, SIDE, SIDE)
    order = np.argsort(-np.linalg.norm(pictures.reshape(len(pictures), -1), axis=1))
    return pictures[order[:most]]
