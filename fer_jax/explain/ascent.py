"""Show what a network looks for: images that excite a filter, or an expression, as much as possible."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.explain.saliency import apply_with_change, blur
from fer_jax.labels import SIDE
from fer_jax.transforms.normalize import normalize

_STEPS, _STEP_SIZE = 32, 6.0
_JITTER = 2
"""Pixels of a random shift at each step, so that the result does not depend on the exact place."""
_AT_ONCE = 8
"""Images that are raised together; the programs for more take far longer to compile (``models.winograd``)."""


def make_ascent(
    *, model: nn.Module, normalize_kind: str, layer: str | None = None, steps: int = _STEPS
) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    """Make ``(key, variables, normalization, indices) -> (images, before, after)``: gradient ascent.

    The ascent starts from grey with a little noise. Each step follows the gradient, by 6 grey levels for the
    mean pixel, and blurs a little. The blur removes high frequencies, which people do not see (Erhan et al.,
    "Visualizing Higher-Layer Features of a Deep Network", 2009; Yosinski et al., "Understanding Neural
    Networks Through Deep Visualization", 2015). Indices are int32 (K,), images float32 (K, 48, 48, 1) in grey
    levels; before and after (K,) are the raised values at the start and at the end.

    One step is compiled, and called again and again: a loop in the program is several times slower on a CPU.

    Args:
      model, normalize_kind: of the network.
      layer: name of a submodule, to raise the mean output of its channels ``indices``; None to raise the
        logits of the classes ``indices``.
      steps: of the ascent.
    """
    step = _make_step(_make_raised(model, normalize_kind, layer))

    def ascend(key, variables: dict[str, Any], normalization, indices):
        start_key, jitter_key = jax.random.split(key)
        start = 128 + 8 * jax.random.normal(start_key, (len(indices), SIDE, SIDE, 1))
        keys = jax.random.split(jitter_key, steps)
        shifts = jax.vmap(lambda key: jax.random.randint(key, (2,), -_JITTER, _JITTER + 1))(keys)
        parts = []
        for first in range(0, len(indices), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            raise_by = functools.partial(_climb, step, shifts, variables, normalization)
            parts.append(raise_by(start[rows], indices[rows]))
        images, before, after = (jnp.concatenate(part) for part in zip(*parts, strict=True))
        return images, before, after

    return ascend


def _climb(step, shifts, variables, normalization, images, indices):
    """Take a step for each of the shifts -> images, and the raised values before and after."""
    still = jnp.zeros((2,), shifts.dtype)
    _, before = step(images, still, variables, normalization, indices)
    for shift in shifts:
        images, _ = step(images, shift, variables, normalization, indices)
    _, after = step(images, still, variables, normalization, indices)
    return images, before, after


def _make_step(raised: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Compile a step of the ascent -> images after it, and the raised values before it.

    It takes images, a shift int32 (2,), and the other arguments of ``raised``.
    """

    @jax.jit
    def step(images, shift, *others):
        moved = jnp.roll(images, shift, (1, 2))
        values, pull_back = jax.vjp(lambda x: raised(x, *others), moved)
        (slope,) = pull_back(jnp.ones_like(values))
        size = jnp.mean(jnp.abs(slope), (1, 2, 3), keepdims=True)
        moved = moved + _STEP_SIZE * slope / jnp.maximum(size, 1e-12)
        images = jnp.roll(moved, -shift, (1, 2))
        images = 0.8 * images + 0.2 * blur(images[..., 0])[..., None]
        return jnp.clip(images, 0.0, 255.0), values

    return step


def _make_raised(model: nn.Module, normalize_kind: str, layer: str | None) -> Callable[..., jax.Array]:
    """Make ``(images, variables, normalization, indices) -> values to raise``, float32 (K,)."""

    def raised(images, variables, normalization, indices):
        inputs = normalize(images, normalization, kind=normalize_kind)
        if layer is None:
            outputs = model.apply(variables, inputs, train=False)
        else:
            outputs = apply_with_change(model, variables, inputs, layer, None)[1]
        outputs = jnp.mean(outputs.reshape(len(images), -1, outputs.shape[-1]), 1)
        return jnp.take_along_axis(outputs, indices[:, None], -1)[:, 0].astype(jnp.float32)

    return raised


def first_kernels(params: dict[str, Any], *, most: int = 64) -> np.ndarray:
    """Weights of the first layer as pictures float32 (K, H, W), the largest by norm first.

    These are the kernels of a CNN, or the weights of an MLP's hidden units, 48 x 48.
    """
    name = "Conv_0" if "Conv_0" in params else "Dense_0"
    kernel = np.asarray(params[name]["kernel"], np.float32)
    pictures = np.moveaxis(kernel[:, :, 0], -1, 0) if kernel.ndim == 4 else kernel.T.reshape(-1, SIDE, SIDE)
    order = np.argsort(-np.linalg.norm(pictures.reshape(len(pictures), -1), axis=1))
    return pictures[order[:most]]
