"""Winograd's convolution against the direct sum, in NumPy's float64 and by XLA's own convolution."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fer_jax.models import layers, winograd


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def direct_sum(images, kernel):
    """Of nine shifted images, each times its entry of the kernel, in float64."""
    side = images.shape[1]
    padded = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = {(i, j): padded[:, i : i + side, j : j + side] for i in range(3) for j in range(3)}
    return sum(pixels @ kernel[place].astype(np.float64) for place, pixels in shifted.items())


def xla(images, kernel):
    return jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(convolve, images, kernel, weights):
    """Compiled as one program: by themselves, the operations would take minutes and a gigabyte."""
    output, pullback = jax.vjp(convolve, images, kernel)
    return output, *pullback(weights)


def assert_close(ours, expected, tolerance=3e-5):
    assert np.abs(ours - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("side", [3, 4, 5, 6, 12, 16, 20])
def test_values_and_gradients(side):
    """Of each size of tile, alone and several to an image, with as many inputs as outputs and not."""
    images, kernel, weights = normal(0, 2, side, side, 5), normal(1, 3, 3, 5, 7), normal(2, 2, side, side, 7)
    ours, *gradients = value_and_gradients(winograd.convolve, images, kernel, weights)
    assert_close(ours, direct_sum(images, kernel))
    for gradient, expected in zip(
        gradients, value_and_gradients(xla, images, kernel, weights)[1:], strict=True
    ):
        assert gradient.shape == expected.shape
        assert_close(gradient, expected)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (12, 6)])
def test_images_that_no_tile_divides(height, width):
    with pytest.raises(ValueError, match=f"{height} x {width} pixels"):
        winograd.convolve(jnp.zeros((2, height, width, 3)), jnp.zeros((3, 3, 3, 4)))


def test_for_whom():
    def suits(*shape, features=64, dtype=jnp.float32):
        return winograd.suits(jax.ShapeDtypeStruct(shape, dtype), features)

    assert suits(16, 12, 12, 64)
    assert not suits(15, 12, 12, 64)
    assert not suits(16, 12, 12, 63)
    assert not suits(16, 12, 12, 64, features=63)
    assert not suits(16, 7, 7, 64)
    assert not suits(16, 12, 6, 64)
    assert not suits(16, 12, 12, 64, dtype=jnp.bfloat16)
    (any_number,) = jax.export.symbolic_shape("n")
    assert not suits(any_number, 12, 12, 64)


def test_a_wide_layer_takes_it_on_a_cpu():
    """The program has no convolution; its results are those of a layer of one face at a time."""
    layer, images = layers.conv(64, 3), normal(0, 16, 4, 4, 64)
    variables = {"params": {"kernel": normal(1, 3, 3, 64, 64)}}
    program = jax.jit(layer.apply).lower(variables, images)
    assert "convolution" not in program.as_text()
    assert "convolution" in jax.jit(layer.apply).lower(variables, images[:1]).as_text()
    one_by_one = np.concatenate([layer.apply(variables, images[i : i + 1]) for i in range(16)])
    assert_close(program.compile()(variables, images), one_by_one)


def test_other_platforms_keep_their_convolution():
    layer, images = layers.conv(64, 3), normal(0, 16, 4, 4, 64)
    variables = {"params": {"kernel": normal(1, 3, 3, 64, 64)}}
    lowered = jax.jit(layer.apply).trace(variables, images).lower(lowering_platforms=("cuda",))
    assert "convolution" in lowered.as_text()


@pytest.mark.nightly
def test_faces_spread_over_devices():
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    over_faces, copied = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("batch",), ()))
    images, kernel, weights = normal(0, 4, 12, 12, 5), normal(1, 3, 3, 5, 7), normal(2, 4, 12, 12, 7)
    placed = jax.device_put((images, kernel, weights), (over_faces, copied, over_faces))
    for spread, alone in zip(
        value_and_gradients(winograd.convolve, *placed),
        value_and_gradients(winograd.convolve, images, kernel, weights),
        strict=True,
    ):
        assert_close(spread, alone)
