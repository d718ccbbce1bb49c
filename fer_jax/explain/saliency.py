"""Show what a prediction depends on: saliency, SmoothGrad, Grad-CAM, and faces with the rest hidden.

The functions that are made here are pure. They take ``(variables, normalization, images, labels)``: images
uint8 (N, 48, 48, 1), labels int32 (N,), the classes to explain. Saliency and SmoothGrad call one compiled
gradient; wrap the others in ``jax.jit``.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from fer_jax.labels import SIDE
from fer_jax.models.cnn import CNN
from fer_jax.transforms.normalize import Normalization, normalize

Explain = Callable[[dict[str, Any], Normalization, jax.Array, jax.Array], jax.Array]

_FINE_ENOUGH = 6
"""Least side in pixels of a feature map for Grad-CAM; smaller ones show only halves of a face."""


def chosen_logits(model: nn.Module, variables: dict[str, Any], inputs: jax.Array, labels: jax.Array):
    """Logits (N,) of the labels (N,), for normalized ``inputs`` (N, 48, 48, 1)."""
    logits = model.apply(variables, inputs, train=False)
    return jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]


@functools.partial(jax.jit, static_argnames=("model", "normalize_kind"))
def noisy_gradient(
    key: jax.Array,
    noise: float,
    variables: dict[str, Any],
    normalization: Normalization,
    images: jax.Array,
    labels: jax.Array,
    *,
    model: nn.Module,
    normalize_kind: str,
) -> tuple[jax.Array, jax.Array]:
    """Compute the gradient of the labels' logits at noisy copies of the images, and the images' values.

    Compiled once for a network and a number of faces: repeating the call is several times faster on a CPU
    than a loop in the program, and takes a third of the time to compile.

    Args:
      key: for the noise.
      noise: its standard deviation, as a share of each image's range; 0 for the images themselves.
      variables, normalization, images, labels: see the module.
      model, normalize_kind: of the network.

    Returns:
      The gradient with respect to the normalized image, and that image without noise, both float32
      (N, 48, 48, 1).
    """
    inputs = normalize(images, normalization, kind=normalize_kind)
    axes = (1, 2, 3)
    deviation = noise * (jnp.max(inputs, axes, keepdims=True) - jnp.min(inputs, axes, keepdims=True))
    noisy = inputs + deviation * jax.random.normal(key, inputs.shape)
    return jax.grad(lambda x: jnp.sum(chosen_logits(model, variables, x, labels)))(noisy), inputs


def make_saliency(*, model: nn.Module, normalize_kind: str) -> Explain:
    """Make gradient x input, float32 (N, 48, 48): what each pixel adds to the label's logit, to first order.

    The gradient (Simonyan et al., "Deep Inside Convolutional Networks", 2013) with respect to the normalized
    image is multiplied by that image (Shrikumar et al., "Not Just a Black Box", 2016).
    """
    gradient_at = functools.partial(noisy_gradient, model=model, normalize_kind=normalize_kind)

    def saliency(variables, normalization, images, labels):
        gradient, inputs = gradient_at(
            jax.random.key(0), np.float32(0), variables, normalization, images, labels
        )
        return (gradient * inputs)[..., 0]

    return saliency


def make_smooth_grad(
    *, model: nn.Module, normalize_kind: str, samples: int = 16, noise: float = 0.15
) -> Callable[..., jax.Array]:
    """Make SmoothGrad ``(key, variables, normalization, images, labels) -> maps``, float32 (N, 48, 48), >= 0.

    Maps are the absolute mean of the gradients at noisy copies of the normalized image (Smilkov et al.,
    "SmoothGrad", 2017).

    Args:
      model, normalize_kind: of the network.
      samples: number of noisy copies; they are used one after the other, to save memory.
      noise: standard deviation, as a share of each image's range.
    """
    gradient_at = functools.partial(noisy_gradient, model=model, normalize_kind=normalize_kind)

    def smooth_grad(key, variables, normalization, images, labels):
        total = 0.0
        for sample in jax.random.split(key, samples):
            total += gradient_at(sample, np.float32(noise), variables, normalization, images, labels)[0]
        return jnp.abs(total / samples)[..., 0]

    return smooth_grad


def grad_cam_layer(model: nn.Module) -> str | None:
    """Name of the block for Grad-CAM: the deepest with maps of at least 6 x 6 pixels; None without maps."""
    if not isinstance(model, CNN):
        return None
    fine = [stage for stage in range(len(model.widths)) if model.stage_side(stage) >= _FINE_ENOUGH]
    return stage_layer(model, fine[-1])


def stage_layer(model: CNN, stage: int) -> str:
    """Name of the last residual block of a stage; stages count from 0."""
    return f"ResidualBlock_{sum(model.blocks[: stage + 1]) - 1}"


def apply_with_change(
    model: nn.Module, variables: dict[str, Any], inputs: jax.Array, layer: str, change: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Apply the model with ``change`` added to the output of ``layer`` -> logits (N, 7), and that output.

    ``layer`` is a name that no other submodule has. The output is returned without the change. The gradient
    with respect to a change of zeros is the gradient with respect to the output.
    """
    outputs = []

    def intercept(call, args, kwargs, context):
        output = call(*args, **kwargs)
        if context.module.name != layer or context.method_name != "__call__":
            return output
        outputs.append(output)
        return output if change is None else output + change

    with nn.intercept_methods(intercept):
        logits = model.apply(variables, inputs, train=False)
    return logits, outputs[0]


def make_grad_cam(*, model: nn.Module, normalize_kind: str, layer: str | None = None) -> Explain:
    """Make Grad-CAM, float32 (N, 48, 48) from 0 to 1: where feature maps that speak for the label are active.

    Feature maps are weighted by the mean gradient of the label's logit and summed. The sum is cut off below
    0, scaled up bilinearly and divided by its maximum (Selvaraju et al., "Grad-CAM", 2017).

    Args:
      model, normalize_kind: of the network.
      layer: name of the submodule with output (N, H, W, C) to use; ``grad_cam_layer`` if None.

    Raises:
      ValueError: the network has no feature maps.
    """
    layer = layer or grad_cam_layer(model)
    if layer is None:
        raise ValueError("Grad-CAM needs feature maps; this network has none")

    def grad_cam(variables, normalization, images, labels):
        inputs = normalize(images, normalization, kind=normalize_kind)
        shape = jax.eval_shape(lambda x: apply_with_change(model, variables, x, layer, None)[1], inputs)

        def objective(change):
            logits, maps = apply_with_change(model, variables, inputs, layer, change)
            return jnp.sum(jnp.take_along_axis(logits, labels[:, None], -1)), maps

        gradient, maps = jax.grad(objective, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
        weights = jnp.mean(gradient, (1, 2), keepdims=True)
        heat = jax.vmap(_scale_up)(nn.relu(jnp.sum(weights * maps, -1)).astype(jnp.float32))
        return heat / jnp.maximum(jnp.max(heat, (1, 2), keepdims=True), 1e-12)

    return grad_cam


def _scale_up(heat: jax.Array) -> jax.Array:
    """Scale (H, W) to (48, 48), bilinearly; edge values repeat beyond the centres of the edge pixels."""
    centres = (jnp.arange(SIDE, dtype=jnp.float32) + 0.5) / SIDE
    rows, columns = (centres * size - 0.5 for size in heat.shape)
    return map_coordinates(heat, jnp.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")


def hide_unimportant(images: jax.Array, importance: jax.Array, *, share: float) -> jax.Array:
    """Keep the most important ``share`` (0 to 1) of each face's pixels; the others become its mean grey.

    ``images`` uint8 or float (N, 48, 48, 1), ``importance`` float32 (N, 48, 48), such as ``blur`` of
    SmoothGrad; returns float32 (N, 48, 48, 1).
    """
    images = images.astype(jnp.float32)
    flat = importance.reshape(len(importance), -1)
    # Ranks, since a threshold keeps more or fewer pixels if values are equal.
    ranks = jnp.argsort(jnp.argsort(-flat, axis=1), axis=1)
    keep = (ranks < round(share * flat.shape[1])).reshape(importance.shape)[..., None]
    return jnp.where(keep, images, jnp.mean(images, (1, 2, 3), keepdims=True))


def blur(maps: jax.Array, *, times: int = 1) -> jax.Array:
    """Smooth (N, 48, 48) ``times`` times by the binomial kernel (1, 2, 1) / 4 along both axes."""
    for axis in (1, 2) * times:
        padded = jnp.pad(maps, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        size = maps.shape[axis]
        behind, here, ahead = (jax.lax.slice_in_dim(padded, s, s + size, axis=axis) for s in range(3))
        maps = (behind + 2 * here + ahead) / 4
    return maps
