"""Test-time views: the same face seen a few times, the probabilities averaged."""

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.errors import UserError
from fer_jax.transforms.augment import affine_matrices, warp

VIEWS = ("one", "flip", "zoom", "ten_crop")
CROP = 44
"""Side of a crop of ``ten_crop`` in pixels, as in most published FER2013 figures."""
ZOOMS = (0.92, 1.08)
"""Sides of what ``zoom`` sees beside the whole image, as shares of the image's."""


def make_views(images: jax.Array, *, views: str) -> jax.Array:
    """Images (N, H, W, C) in grey levels -> (V, N, H, W, C), float32; the second half mirrors the first.

    ``one``: the image, V = 1. ``flip``: the image and its mirror, V = 2. ``zoom``: the image, nearer and
    from further off (``ZOOMS``), where its edge pixels go on outwards, and their mirrors, V = 6.
    ``ten_crop``: the centre crop of 44 x 44, the four corner crops, scaled back to the full size, and
    their mirrors, V = 10 (Krizhevsky et al., 2012).

    Raises:
      UserError: an unknown ``views``.
    """
    images = images.astype(jnp.float32)
    if views == "one":
        return images[None]
    if views == "flip":
        seen = [images]
    elif views == "zoom":
        seen = [images, *_warped(images, _zoom_matrices(images.shape[1:3]))]
    elif views == "ten_crop":
        seen = _warped(images, _crop_matrices(images.shape[1]))
    else:
        raise UserError(f"views={views!r} is unknown; choose one of {', '.join(VIEWS)}")
    return jnp.stack([*seen, *(jnp.flip(view, 2) for view in seen)])


def _warped(images: jax.Array, matrices: jax.Array | np.ndarray) -> list[jax.Array]:
    """All images by each of the matrices (M, 2, 3)."""
    return [warp(images, jnp.broadcast_to(m, (len(images), 2, 3)), fill_mode="nearest") for m in matrices]


def _zoom_matrices(shape: tuple[int, int]) -> jax.Array:
    """(2, 2, 3): about the image's centre."""
    count = len(ZOOMS)
    return affine_matrices(
        angle=jnp.zeros(count),
        shift=jnp.zeros((count, 2)),
        zoom=jnp.array([(zoom, zoom) for zoom in ZOOMS], jnp.float32),
        flip=jnp.ones((count, 2)),
        shape=shape,
    )


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
