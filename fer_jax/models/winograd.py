"""3 x 3 convolutions with a fifth to a third of the multiplications, for wide layers on a CPU.

Winograd, "Arithmetic complexity of computations", 1980; for networks, Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2016. An output tile of m x m pixels is a product of polynomials. It is
computed from their values at m + 2 points along each axis: ``to_values``, multiply point by point,
``from_values``. Every step is a matrix product, XLA's fastest operation on a CPU.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

_POINTS = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0)
"""Where the polynomials are evaluated, besides infinity: small powers of two keep float32's error small."""

_TILES = (6, 5, 4, 3)
"""Pixels a side of an output tile: the largest of these that divides the image, so that none is padded."""

_FEWEST_FACES, _FEWEST_CHANNELS = 16, 64
"""With fewer, the steps to values and back cost as much as they save (benchmarks/notes.md)."""


def suits(images: jax.Array, features: int) -> bool:
    """Whether this is faster on a CPU than the direct sum, for (N, H, W, C) to (N, H, W, features).

    False where N is not known yet, as in an export for any number of faces.
    """
    count, height, width, channels = images.shape
    return (
        isinstance(count, int)
        and count >= _FEWEST_FACES
        and images.dtype == jnp.float32
        and min(channels, features) >= _FEWEST_CHANNELS
        and height == width
        and _tile(height) is not None
    )


@jax.custom_vjp
def convolve(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve float32 (N, S, S, C) by (3, 3, C, K) to (N, S, S, K), ``SAME`` and without stride.

    Equal to the direct sum to about 1e-5 of the largest output. Raises ValueError unless S is a multiple of
    3, 4 or 5.
    """
    _, height, width, _ = images.shape
    if height != width or _tile(height) is None:
        raise ValueError(f"images of {height} x {width} pixels: a square of a multiple of 3, 4 or 5 expected")
    return _forward(images, kernel)[0]


def _forward(images: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute the convolution and the images' values (points, tiles, C), for the kernel's gradient."""
    tile, (channels, features) = _tile(images.shape[1]), kernel.shape[2:]
    to_values, from_values, kernel_to_values = _matrices(tile)
    points = len(to_values)
    values = (to_values @ _overlapping(images, tile)).reshape(points, -1, channels)
    kernel_values = (kernel_to_values @ kernel.reshape(9, -1)).reshape(points, channels, features)
    products = (values @ kernel_values).reshape(points, -1)
    return _join(from_values @ products, (*images.shape[:3], features), tile), values


def _forward_rule(images, kernel):
    output, values = _forward(images, kernel)
    return output, (values, kernel)


def _backward_rule(kept, gradient):
    values, kernel = kept
    tile = _tile(gradient.shape[1])
    _, from_values, kernel_to_values = _matrices(tile)
    # The image's gradient is the convolution by the reversed kernel. The kernel's gradient is made by the
    # transposes of the three steps of _forward.
    image_gradient, _ = _forward(gradient, kernel[::-1, ::-1].swapaxes(2, 3))
    products = (from_values.T @ _split(gradient, tile)).reshape(*values.shape[:2], -1)
    kernel_values = values.swapaxes(1, 2) @ products
    kernel_gradient = kernel_to_values.T @ kernel_values.reshape(len(values), -1)
    return image_gradient, kernel_gradient.reshape(kernel.shape)


convolve.defvjp(_forward_rule, _backward_rule)


def _tile(side: int) -> int | None:
    return next((tile for tile in _TILES if side % tile == 0), None)


@functools.cache
def _matrices(tile: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices from an input tile to values, from products to an output tile, from a kernel to values.

    Shapes ((m + 2)², (m + 2)²), (m², (m + 2)²), ((m + 2)², 9). Along an axis, output i is the sum over k of
    input i + k times kernel k. Let powers[s, j] be the s-th power of point j. The kernel's values are made by
    its powers, the input's values by the inverse of all powers, and an output sums their products by
    powers[i]. That equals the sum, since powers[i + k] = powers[i] powers[k]. At infinity only the highest
    power counts.
    """
    size = tile + 2
    powers = np.zeros((size, size))
    powers[:, :-1] = np.array(_POINTS[: size - 1]) ** np.arange(size)[:, None]
    powers[-1, -1] = 1
    images, outputs, kernel = np.linalg.inv(powers), powers[:tile].copy(), powers[:3].T.copy()
    outputs[-1, -1] = kernel[-1, -1] = 1
    # Dividing one and multiplying the other changes no product, and makes the values similar in size.
    sizes = np.abs(images).max(1, keepdims=True)
    return tuple(np.kron(m, m).astype(np.float32) for m in (images / sizes, outputs, kernel * sizes))


def _overlapping(images: jax.Array, tile: int) -> jax.Array:
    """Cut images into ((m + 2)², tiles · C): each tile's pixels and a frame of one pixel around it."""
    side = images.shape[1]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    offsets = range(tile + 2)
    pixels = [padded[:, i : i + side : tile, j : j + side : tile] for i in offsets for j in offsets]
    return jnp.stack(pixels).reshape(len(pixels), -1)


def _split(images: jax.Array, tile: int) -> jax.Array:
    """Cut images into (m², tiles · C): the pixels of tiles that do not overlap."""
    count, side, _, channels = images.shape
    tiles = images.reshape(count, side // tile, tile, side // tile, tile, channels)
    return tiles.transpose(2, 4, 0, 1, 3, 5).reshape(tile * tile, -1)


def _join(tiles: jax.Array, shape: tuple[int, ...], tile: int) -> jax.Array:
    """Join tiles to images of a shape: the inverse of ``_split``."""
    count, side, _, channels = shape
    pixels = tiles.reshape(tile, tile, count, side // tile, side // tile, channels)
    return pixels.transpose(2, 3, 0, 4, 1, 5).reshape(shape)
