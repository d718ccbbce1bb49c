"""Augment on the device: pure functions ``(key, images, *, ...) -> images``.

``images`` are float32 or uint8 (N, H, W, C) in grey levels (0-255), the result is float32, ``key`` is a PRNG
key. All geometry is composed into one affine warp per image, so that a face is interpolated only once.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def affine_matrices(
    *, angle: jax.Array, shift: jax.Array, zoom: jax.Array, flip: jax.Array, shape: tuple[int, int]
) -> jax.Array:
    """Matrices (N, 2, 3) that take an output pixel (row, column, 1) to its place in the input.

    As in Keras's ``ImageDataGenerator``: an output position, relative to the centre, is mirrored, scaled,
    shifted and rotated, in this order.

    Args:
      angle: float32 (N,), radians.
      shift: float32 (N, 2), pixels (rows, columns).
      zoom: float32 (N, 2), factors (height, width); below 1 the face grows.
      flip: float32 (N, 2), -1 to mirror (vertically, horizontally), otherwise 1.
      shape: height and width in pixels.
    """
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    rotation = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    linear = rotation * (zoom * flip)[:, None, :]
    centre = (jnp.asarray(shape, jnp.float32) - 1) / 2
    moved = jnp.einsum("nij,nj->ni", rotation, shift, precision="highest")
    offset = centre[None] + moved - jnp.einsum("nij,j->ni", linear, centre, precision="highest")
    return jnp.concatenate([linear, offset[..., None]], -1)


def warp(
    images: jax.Array,
    matrices: jax.Array,
    *,
    fill_mode: str = "constant",
    size: tuple[int, int] | None = None,
) -> jax.Array:
    """Resample ``images`` (N, H, W, C) by ``matrices`` (N, 2, 3), bilinearly -> float32 (N, H', W', C).

    Args:
      matrices: from ``affine_matrices``, in pixels of the input.
      fill_mode: how to fill the outside, as in Keras: ``constant`` 000|abcd|000, ``nearest`` aaa|abcd|ddd,
        ``reflect`` cba|abcd|dcb, ``wrap`` bcd|abcd|abc.
      size: (H', W') to scale the whole result to, without a filter against aliasing; None for (H, W).

    Raises ValueError for an unknown ``fill_mode``.
    """
    if fill_mode not in FILL_MODES:
        raise ValueError(f"fill_mode={fill_mode!r} is unknown; choose one of {', '.join(FILL_MODES)}")
    shape = images.shape[1:3]
    axes = [_centres(new, old) for new, old in zip(size or shape, shape, strict=True)]
    rows, columns = jnp.meshgrid(*axes, indexing="ij")

    def resample(channel: jax.Array, matrix: jax.Array) -> jax.Array:
        source = [m[0] * rows + m[1] * columns + m[2] for m in matrix]
        return map_coordinates(channel, source, order=1, mode=fill_mode)

    over_channels = jax.vmap(resample, in_axes=(-1, None), out_axes=-1)
    return jax.vmap(over_channels)(images.astype(jnp.float32), matrices)


def _centres(new: int, old: int) -> jax.Array | np.ndarray:
    """The centres of ``new`` pixels of a side, float32 (new,), in its ``old`` pixels."""
    if new == old:
        # Constants of the program, for which a GPU needs no kernel.
        return np.arange(new, dtype=np.float32)
    return (jnp.arange(new, dtype=jnp.float32) + 0.5) * (old / new) - 0.5


def random_affine(
    key: jax.Array,
    images: jax.Array,
    *,
    rotation_range: float = 0.0,
    width_shift_range: float = 0.0,
    height_shift_range: float = 0.0,
    zoom_range: float = 0.0,
    horizontal_flip: bool = False,
    vertical_flip: bool = False,
    fill_mode: str = "constant",
    size: tuple[int, int] | None = None,
) -> jax.Array:
    """Rotate, shift, zoom and mirror each image by its own draw.

    Args:
      rotation_range: degrees; the angle is uniform in +- this.
      width_shift_range, height_shift_range: a fraction of the side if below 1, otherwise pixels.
      zoom_range: z; height and width factors are drawn independently from [1 - z, 1 + z].
      horizontal_flip, vertical_flip: mirror with probability 1/2.
      fill_mode, size: see ``warp``.
    """
    count, height, width = images.shape[:3]
    angle_key, shift_key, zoom_key, flip_key = jax.random.split(key, 4)
    angle = jnp.deg2rad(jax.random.uniform(angle_key, (count,), minval=-1, maxval=1) * rotation_range)
    reach = jnp.array([_pixels(height_shift_range, height), _pixels(width_shift_range, width)], jnp.float32)
    shift = jax.random.uniform(shift_key, (count, 2), minval=-1, maxval=1) * reach[None]
    zoom = 1 + jax.random.uniform(zoom_key, (count, 2), minval=-1, maxval=1) * zoom_range
    allowed = jnp.array([[vertical_flip, horizontal_flip]])
    flip = jnp.where(jax.random.bernoulli(flip_key, 0.5, (count, 2)) & allowed, -1.0, 1.0)
    matrices = affine_matrices(angle=angle, shift=shift, zoom=zoom, flip=flip, shape=(height, width))
    return warp(images, matrices, fill_mode=fill_mode, size=size)


def _pixels(shift: float, side: int) -> float:
    return shift * side if shift < 1 else shift


def random_photometric(
    key: jax.Array, images: jax.Array, *, brightness_range: float = 0.0, contrast_range: float = 0.0
) -> jax.Array:
    """Scale brightness and contrast of each image by factors from [1 - range, 1 + range].

    Contrast is scaled about the image's own mean. The result is clipped to [0, 255].
    """
    brightness_key, contrast_key = jax.random.split(key)
    per_image = (images.shape[0], 1, 1, 1)
    brightness = 1 + jax.random.uniform(brightness_key, per_image, minval=-1, maxval=1) * brightness_range
    contrast = 1 + jax.random.uniform(contrast_key, per_image, minval=-1, maxval=1) * contrast_range
    images = images.astype(jnp.float32) * brightness
    mean = jnp.mean(images, axis=(1, 2, 3), keepdims=True)
    return jnp.clip((images - mean) * contrast + mean, 0, 255)


def random_erasing(
    key: jax.Array,
    images: jax.Array,
    *,
    probability: float = 0.0,
    area: tuple[float, float] = (0.02, 0.2),
    aspect: tuple[float, float] = (0.3, 3.3),
) -> jax.Array:
    """Hide a rectangle of one random grey level (Zhong et al., "Random Erasing", 2017).

    Args:
      probability: that an image gets a rectangle.
      area: smallest and largest share of the image.
      aspect: smallest and largest height / width; its logarithm is drawn uniformly.
    """
    count, height, width = images.shape[:3]
    keys = jax.random.split(key, 5)
    share = jax.random.uniform(keys[0], (count, 1), minval=area[0], maxval=area[1])
    low, high = jnp.log(jnp.array(aspect, jnp.float32))
    ratio = jnp.exp(jax.random.uniform(keys[1], (count, 1), minval=low, maxval=high))
    # Sizes first, then a corner that keeps the rectangle inside.
    shape = jnp.array([[height, width]], jnp.float32)
    size = jnp.clip(jnp.concatenate([jnp.sqrt(share * ratio), jnp.sqrt(share / ratio)], -1), 0, 1) * shape
    corner = jnp.round(jax.random.uniform(keys[2], (count, 2)) * (shape - size))
    end = corner + jnp.round(size)
    rows = jnp.arange(height, dtype=jnp.float32)[None, :]
    columns = jnp.arange(width, dtype=jnp.float32)[None, :]
    in_rows = (rows >= corner[:, :1]) & (rows < end[:, :1])
    in_columns = (columns >= corner[:, 1:]) & (columns < end[:, 1:])
    touched = jax.random.bernoulli(keys[3], probability, (count, 1, 1))
    hidden = in_rows[:, :, None] & in_columns[:, None, :] & touched
    grey = jax.random.uniform(keys[4], (count, 1, 1, 1), maxval=255)
    return jnp.where(hidden[..., None], grey, images.astype(jnp.float32))


def augment(
    key: jax.Array,
    images: jax.Array,
    *,
    fill_mode: str = "constant",
    brightness_range: float = 0.0,
    contrast_range: float = 0.0,
    erasing_probability: float = 0.0,
    size: tuple[int, int] | None = None,
    **affine: float | bool,
) -> jax.Array:
    """Warp, then scale brightness and contrast, then erase; a part with ranges of 0 costs nothing.

    The arguments are the fields of ``config.augmentation`` (``affine``: those of ``random_affine``), and
    ``size`` (H', W') if the warp scales the result too.
    """
    affine_key, photometric_key, erasing_key = jax.random.split(key, 3)
    if any(affine.values()) or size not in (None, images.shape[1:3]):
        images = random_affine(affine_key, images, fill_mode=fill_mode, size=size, **affine)
    if brightness_range or contrast_range:
        images = random_photometric(
            photometric_key, images, brightness_range=brightness_range, contrast_range=contrast_range
        )
    if erasing_probability:
        images = random_erasing(erasing_key, images, probability=erasing_probability)
    return images.astype(jnp.float32)
