"""Layers written so that XLA runs them well on a CPU too; the same results as Flax's own."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.models import winograd


def conv(features: int, size: int, *, strides: int = 1, dtype: Any = jnp.float32) -> nn.Conv:
    """``SAME`` convolution by a square kernel, without bias: the BatchNorm behind it has one.

    ``dtype`` is that of the computation and the output; the kernel is kept in float32.
    """
    return Conv(
        features,
        (size, size),
        strides=(strides, strides),
        use_bias=False,
        dtype=dtype,
        kernel_init=nn.initializers.he_normal(),
    )


class Conv(nn.Conv):
    """``nn.Conv``, and 3 x 3 kernels by matrix products where XLA's CPU convolution is the slower way.

    On images of 1 or 2 pixels a side that is by thirty times. For many channels on a CPU, Winograd's.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if tuple(self.kernel_size) != (3, 3) or tuple(self.strides) != (1, 1):
            return super().__call__(x)
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if max(x.shape[1:3]) <= 2:
            return _every_pixel_sees_every_other(x, kernel)
        if winograd.suits(x, self.features):
            return jax.lax.platform_dependent(x, kernel, cpu=winograd.convolve, default=_direct)
        return _direct(x, kernel)


def _direct(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _every_pixel_sees_every_other(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """On 1 or 2 pixels a side, each through one entry of the kernel: one matrix product."""
    count, height, width, _ = x.shape
    pixels = [(i, j) for i in range(height) for j in range(width)]
    blocks = [
        jnp.concatenate([kernel[1 + i - row, 1 + j - column] for row, column in pixels], 1) for i, j in pixels
    ]
    y = x.reshape(count, -1) @ jnp.concatenate(blocks, 0)
    return y.reshape(count, height, width, -1)


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """(N, H, W, C) -> (N, H/2, W/2, C), H and W even: the maximum of four strided slices.

    The same as ``nn.max_pool(x, (2, 2), (2, 2))``, whose gradient is several times slower on a CPU.
    """
    top = jnp.maximum(x[:, ::2, ::2], x[:, ::2, 1::2])
    bottom = jnp.maximum(x[:, 1::2, ::2], x[:, 1::2, 1::2])
    return jnp.maximum(top, bottom)


class BatchNorm(nn.Module):
    """Batch normalization over all axes but the last (Ioffe and Szegedy, 2015), with the variables of Flax's.

    One multiplication and one addition, where ``nn.BatchNorm`` subtracts, multiplies and adds: activations
    are memory-bound on a CPU (``benchmarks/layers.py``). Computes in float32, returns the input's dtype.
    """

    use_running_average: bool
    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features, dtype, axes = (x.shape[-1],), x.dtype, tuple(range(x.ndim - 1))
        x = x.astype(jnp.float32)
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        mean, var = running_mean.value, running_var.value
        if not self.use_running_average:
            mean = jnp.mean(x, axes)
            # Rounding can take the difference below zero where a feature hardly varies.
            var = jnp.maximum(jnp.mean(x * x, axes) - mean * mean, 0.0)
            if not self.is_initializing():
                running_mean.value += (1 - self.momentum) * (mean - running_mean.value)
                running_var.value += (1 - self.momentum) * (var - running_var.value)
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        offset = bias - mean * factor
        return (x * jnp.expand_dims(factor, axes) + jnp.expand_dims(offset, axes)).astype(dtype)
