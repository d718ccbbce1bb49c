"""From raw pixels to what the network sees; class weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.errors import UserError
from fer_jax.labels import NUM_CLASSES, SIDE

BALANCES = ("none", "weights", "sampling")
NORMALIZATIONS = ("none", "pixelwise", "global", "samplewise")


class Normalization(NamedTuple):
    """Statistics of the training set, in grey levels (0-255); they travel with the checkpoint.

    Attributes:
      mean: float32 (48, 48, 1) for ``pixelwise``, else (1, 1, 1).
      std: float32, the same shape; 1 where a pixel never varies.
    """

    mean: jax.Array | np.ndarray
    std: jax.Array | np.ndarray


def fit_normalization(images: np.ndarray, *, kind: str) -> Normalization:
    """Statistics of the training ``images``, uint8 (N, 48, 48, 1), for one ``kind`` of normalization.

    ``none`` divides by 255; ``pixelwise`` standardizes each pixel position over the training set;
    ``global`` uses one mean and one deviation for all pixels; ``samplewise`` standardizes each image
    by itself and needs no statistics.

    Raises:
      UserError: ``kind`` is not one of ``NORMALIZATIONS``.
    """
    if kind == "none":
        return Normalization(np.zeros((1, 1, 1), np.float32), np.full((1, 1, 1), 255, np.float32))
    if kind == "samplewise":
        return Normalization(np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32))
    if kind not in NORMALIZATIONS:
        raise UserError(f"normalize={kind!r} is unknown; choose one of {', '.join(NORMALIZATIONS)}")
    axes = 0 if kind == "pixelwise" else None
    mean = np.mean(images, axis=axes, dtype=np.float64)
    std = np.std(images, axis=axes, dtype=np.float64)
    shape = normalization_shape(kind)
    std = np.where(std == 0, 1, std)
    return Normalization(mean.astype(np.float32).reshape(shape), std.astype(np.float32).reshape(shape))


def normalization_shape(kind: str) -> tuple[int, int, int]:
    """Shape of the statistics of one ``kind``."""
    return (SIDE, SIDE, 1) if kind == "pixelwise" else (1, 1, 1)


def normalize(images: jax.Array, statistics: Normalization, *, kind: str) -> jax.Array:
    """Images (N, 48, 48, 1) in grey levels, uint8 or float32 -> float32 of the same shape."""
    images = images.astype(jnp.float32)
    if kind == "samplewise":
        mean = jnp.mean(images, axis=(1, 2, 3), keepdims=True)
        std = jnp.std(images, axis=(1, 2, 3), keepdims=True)
        return (images - mean) / jnp.where(std == 0, 1.0, std)
    return (images - statistics.mean[None]) / statistics.std[None]


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Weights float32 (7,) that give each class the same total: N / (classes present x count).

    scikit-learn's ``balanced`` (King and Zeng, 2001). A class without examples gets 0.
    """
    from sklearn.utils.class_weight import compute_class_weight

    present = np.unique(labels)
    weights = np.zeros(NUM_CLASSES, np.float32)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return weights
