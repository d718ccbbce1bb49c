"""Test-time views: the same face seen a few times, the probabilities averaged."""

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.augment import warp
from fer_jax.errors import UserError

VIEWS = ("one", "flip", "ten_crop")
CROP = 44
"""Side of a crop of ``ten_crop`` in pixels, as in most published FER2013 figures."""


def make_views(images: jax.Array, *, views: str) -> jax.Array:
    """Images (N, H, W, C) in grey levels -> (V, N, H, W, C), float32.

    ``one``: V = 1. ``flip``: the image and its mirror, V = 2. ``ten_crop``: four corner crops and the
    centre crop of 44 x 44, scaled back to the full size, and their mirrors, V = 10 (Krizhevsky et al.,
    2012); the centre crop comes first.

    Raises:
      UserError: an unknown ``views``.
    """
    images = images.astype(jnp.float32)
    if views == "one":
        return images[None]
    if views == "flip":
        return jnp.stack([images, jnp.flip(images, 2)])
    if views != "ten_crop":
        raise UserError(f"views={views!r} is unknown; choose one of {', '.join(VIEWS)}")
    crops = [warp(images, jnp.broadcast_to(m, (len(images), 2, 3))) for m in _crop_matrices(images.shape[1])]
    return jnp.stack([*crops, *(jnp.flip(crop, 2) for crop in crops)])


def _crop_matrices(side: int) -> np.ndarray:
    """(5, 2, 3): centre, then the corners; the crop's first and last pixels meet the image's."""
    scale = (CROP - 1) / (side - 1)
    last = side - CROP
    corners = [(last / 2, last / 2), (0, 0), (0, last), (last, 0), (last, last)]
    return np.array([[[scale, 0, row], [0, scale, column]] for row, column in corners], np.float32)


def view_log_probabilities(logits: jax.Array) -> jax.Array:
    """Logits (V, N, 7) -> log of the probabilities' mean over the views, (N, 7)."""
    log_probabilities = jax.nn.log_softmax(logits)
    return jax.nn.logsumexp(log_probabilities, axis=0) - jnp.log(float(logits.shape[0]))
