"""Normalize grey levels to the values that the network sees."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.labels import SIDE

NORMALIZATIONS = ("none", "pixelwise", "global", "samplewise")

FLAT = 1e-3
"""A face whose grey levels deviate by less has none but by rounding, when it is scaled. One pixel of 48 x 48
that differs by 1 makes 0.02."""


class Normalization(NamedTuple):
    """Statistics of the training set, in grey levels (0-255); they travel with the checkpoint.

    Attributes:
      mean: float32 (48, 48, 1) for ``pixelwise``, otherwise (1, 1, 1).
      std: float32, the same shape; 1 where a pixel never varies.
    """

    mean: jax.Array | np.ndarray
    std: jax.Array | np.ndarray


def fit_normalization(images: np.ndarray, *, kind: str) -> Normalization:
    """Compute the statistics of training ``images``, uint8 (N, 48, 48, 1), for one ``kind`` of normalization.

    ``none`` divides by 255; ``pixelwise`` standardizes each pixel position over the training set; ``global``
    uses one mean and one deviation for all pixels; ``samplewise`` standardizes each image by itself and
    needs no statistics. Raises ValueError unless ``kind`` is one of ``NORMALIZATIONS``.
    """
    if kind not in NORMALIZATIONS:
        raise ValueError(f"normalize={kind!r} is unknown; choose one of {', '.join(NORMALIZATIONS)}")
    if kind in ("none", "samplewise"):
        mean, std = np.zeros(()), np.array(255 if kind == "none" else 1)
    else:
        axes = 0 if kind == "pixelwise" else None
        mean = np.mean(images, axis=axes, dtype=np.float64)
        std = np.std(images, axis=axes, dtype=np.float64)
    shape, std = normalization_shape(kind), np.where(std == 0, 1, std)
    return Normalization(mean.astype(np.float32).reshape(shape), std.astype(np.float32).reshape(shape))


def normalization_shape(kind: str) -> tuple[int, int, int]:
    """Shape of the statistics of one ``kind``."""
    return (SIDE, SIDE, 1) if kind == "pixelwise" else (1, 1, 1)


def normalize(images: jax.Array, statistics: Normalization, *, kind: str) -> jax.Array:
    """Normalize images (N, 48, 48, 1) in grey levels, uint8 or float32 -> float32 of the same shape."""
    images = images.astype(jnp.float32)
    if kind == "samplewise":
        mean = jnp.mean(images, axis=(1, 2, 3), keepdims=True)
        std = jnp.std(images, axis=(1, 2, 3), keepdims=True)
        return (images - mean) / jnp.where(std < FLAT, 1.0, std)
    return (images - statistics.mean[None]) / statistics.std[None]
