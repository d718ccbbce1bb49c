"""Test-time views: several versions of the same face; their probabilities are averaged."""

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.transforms.augment import affine_matrices, warp

VIEWS = ("one", "flip", "zoom", "ten_crop")
CROP = 44
"""Side of a crop of ``ten_crop`` in pixels, as in most published FER2013 figures."""
ZOOMS = (0.92, 1.08)
"""Sides of the parts that ``zoom`` sees besides the whole image, as shares of the image's side."""


def make_views(images: jax.Array, *, views: str, side: int | None = None) -> jax.Array:
    """Make the views of images (N, H, W, C) in grey levels -> float32 (V, N, S, S, C).

    S is ``side``, the pixels that the network sees; None for those of the images. Each view is interpolated
    once, as a face is while training.

    ``one``: the image, V = 1. ``flip``: the image and its mirror image, V = 2. ``zoom``: the image, enlarged
    and reduced too (``ZOOMS``; its edge pixels are repeated outside), and their mirror images, V = 6.
    ``ten_crop``: the centre crop of 44 x 44 and the four corner crops, scaled back to the full size, and
    their mirror images, V = 10 (Krizhevsky et al., 2012). The second half mirrors the first. Raises
    ValueError for unknown ``views``.
    """
    images, shape = images.astype(jnp.float32), images.shape[1:3]
    size = shape if side is None else (side, side)
    whole = jax.image.resize(images, (images.shape[0], *size, images.shape[3]), "linear")
    if views == "one":
        return whole[None]
    if views == "flip":
        seen = [whole]
    elif views == "zoom":
        seen = [whole, *_warped(images, _zoom_matrices(shape), size)]
    elif views == "ten_crop":
        seen = _warped(images, _crop_matrices(shape[0]), size)
    else:
        raise ValueError(f"views={views!r} is unknown; choose one of {', '.join(VIEWS)}")
    return jnp.stack([*seen, *(jnp.flip(view, 2) for view in seen)])


def _warped(images: jax.Array, matrices: jax.Array | np.ndarray, size: tuple[int, int]) -> list[jax.Array]:
    """Warp all images by each of the matrices (M, 2, 3), to a size of (H', W')."""
    of_all = (jnp.broadcast_to(matrix, (len(images), 2, 3)) for matrix in matrices)
    return [warp(images, matrix, fill_mode="nearest", size=size) for matrix in of_all]


def _zoom_matrices(shape: tuple[int, int]) -> jax.Array:
    """Matrices (2, 2, 3) of ``ZOOMS`` about the image's centre."""
    count = len(ZOOMS)
    return affine_matrices(
        angle=jnp.zeros(count),
        shift=jnp.zeros((count, 2)),
        zoom=jnp.array([(zoom, zoom) for zoom in ZOOMS], jnp.float32),
        flip=jnp.ones((count, 2)),
        shape=shape,
    )


def _crop_matrices(side: int) -> np.ndarray:
    """Matrices (5, 2, 3) of the centre crop, then the corners; first and last pixels meet the image's."""
    scale = (CROP - 1) / (side - 1)
    last = side - CROP
    corners = [(last / 2, last / 2), (0, 0), (0, last), (last, 0), (last, last)]
    return np.array([[[scale, 0, row], [0, scale, column]] for row, column in corners], np.float32)


def view_log_probabilities(logits: jax.Array) -> jax.Array:
    """Average the probabilities over the views: logits (V, N, 7) -> log-probabilities (N, 7)."""
    return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - jnp.log(float(len(logits)))


def views_in_pictures(views: str) -> str:
    """The views of faces that a detector found: ``flip`` instead of ``zoom``, which is less accurate there.

    A detector crops some faces more tightly than FER2013, some less (docs/photos.md).
    """
    return "flip" if views == "zoom" else views
