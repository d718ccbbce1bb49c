"""Layers written so that XLA runs them well on a CPU too; the same results as Flax's own."""

import functools
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


@jax.custom_vjp
def silu_with_slope(x: jax.Array) -> jax.Array:
    """``nn.silu``, which on an NVIDIA GPU leaves its slope for the gradient.

    The gradient is then one product, which XLA computes within its uses. The slope itself has an exponential,
    for which XLA would launch a kernel of its own. Elsewhere the gradient is that of ``nn.silu``.
    """
    return nn.silu(x)


def _silu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    def with_slope(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull_back = jax.vjp(nn.silu, x)
        # Without this, XLA computes the slope where it is used.
        return y, jax.lax.optimization_barrier(pull_back(jnp.ones_like(y))[0])

    return jax.lax.platform_dependent(x, cuda=with_slope, default=lambda x: (nn.silu(x), x))


def _silu_backward(kept: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    def of_input(x: jax.Array, gradient: jax.Array) -> jax.Array:
        # What is computed again is what the forward pass has computed, and XLA computes it once.
        return jax.vjp(nn.silu, x)[1](gradient)[0]

    return (jax.lax.platform_dependent(kept, gradient, cuda=jnp.multiply, default=of_input),)


silu_with_slope.defvjp(_silu_forward, _silu_backward)


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
        features, dtype = (x.shape[-1],), x.dtype
        x = x.astype(jnp.float32)
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        if self.use_running_average:
            factor, offset = _line(scale, bias, running_mean.value, running_var.value, self.epsilon)
            return _scale_and_shift(x, factor, offset).astype(dtype)
        y, mean, var = batch_norm(x, scale, bias, self.epsilon)
        if not self.is_initializing():
            running_mean.value += (1 - self.momentum) * (mean - running_mean.value)
            running_var.value += (1 - self.momentum) * (var - running_var.value)
        return y.astype(dtype)


Normalized = tuple[jax.Array, jax.Array, jax.Array]
"""Of ``batch_norm``: float32 (..., C), and its means and variances (C,) over all axes but the last."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> Normalized:
    """Normalize float32 (..., C) by its own means and variances, which the result has beside it.

    On a CPU by ``norm_in_order``, elsewhere by ``norm_in_few_kernels``, equal to about 1e-6. Means and
    variances are for running averages, and have no gradient elsewhere than on a CPU.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> tuple[Normalized, Any]:
    def in_order(x, scale, bias):
        # The CPU's gradient does not use the moments.
        return norm_in_order(x, scale, bias, epsilon), (scale, scale)

    def in_few_kernels(x, scale, bias):
        return norm_in_few_kernels(x, scale, bias, epsilon)

    result, moments = jax.lax.platform_dependent(x, scale, bias, cpu=in_order, default=in_few_kernels)
    return result, (x, scale, bias, moments)


def _backward(epsilon: float, kept: Any, gradients: Normalized) -> tuple[jax.Array, jax.Array, jax.Array]:
    def in_order(kept, gradients):
        x, scale, bias, _ = kept
        # What is computed again is what the forward pass has computed, and XLA computes it once.
        _, pull_back = jax.vjp(functools.partial(norm_in_order, epsilon=epsilon), x, scale, bias)
        return pull_back(gradients)

    def in_few_kernels(kept, gradients):
        x, scale, _, moments = kept
        return gradients_in_few_kernels(x, scale, moments, gradients[0], epsilon)

    return jax.lax.platform_dependent(kept, gradients, cpu=in_order, default=in_few_kernels)


batch_norm.defvjp(_forward, _backward)


def norm_in_order(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> Normalized:
    """``batch_norm`` as one writes it down."""
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    var = _variance(mean, jnp.mean(x * x, axes))
    factor, offset = _line(scale, bias, mean, var, epsilon)
    return _scale_and_shift(x, factor, offset), mean, var


def norm_in_few_kernels(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[Normalized, tuple[jax.Array, jax.Array]]:
    """``batch_norm`` in three kernels of a GPU, and the means of x and of its squares for the gradient."""
    count = x.size // x.shape[-1]
    mean, mean_square = (total / count for total in _sums(x, x * x))
    var = _variance(mean, mean_square)
    factor, offset = _line(scale, bias, mean, var, epsilon)
    return (_scale_and_shift(x, factor, offset), mean, var), (mean, mean_square)


def gradients_in_few_kernels(
    x: jax.Array, scale: jax.Array, moments: tuple[jax.Array, jax.Array], gradient: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gradients for x, scale and bias from that for the output, in three kernels or four."""
    (mean, mean_square), count = moments, x.size // x.shape[-1]
    to_offset, to_factor = _sums(gradient, gradient * x)
    to_factor -= mean * to_offset
    root = jax.lax.rsqrt(_variance(mean, mean_square) + epsilon)
    to_var = jnp.where(mean_square > mean * mean, -to_factor * scale * root**3 / 2, 0.0)
    to_mean = -scale * root * to_offset - 2 * mean * to_var
    # The gradient of a mean is the same for all of its summands, that of a square grows with x.
    by_gradient, by_x, alone = scale * root, 2 * to_var / count, to_mean / count
    axes = tuple(range(x.ndim - 1))
    by_gradient, by_x, alone = (jnp.expand_dims(part, axes) for part in (by_gradient, by_x, alone))
    return by_gradient * gradient + by_x * x + alone, to_factor * root, to_offset


def _variance(mean: jax.Array, mean_square: jax.Array) -> jax.Array:
    # Rounding can take the difference below zero where a feature hardly varies.
    return jnp.maximum(mean_square - mean * mean, 0.0)


def _line(
    scale: jax.Array, bias: jax.Array, mean: jax.Array, var: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array]:
    """Factor and offset (C,) that normalize, scale and shift at once."""
    factor = scale * jax.lax.rsqrt(var + epsilon)
    return factor, bias - mean * factor


def _scale_and_shift(x: jax.Array, factor: jax.Array, offset: jax.Array) -> jax.Array:
    axes = tuple(range(x.ndim - 1))
    return x * jnp.expand_dims(factor, axes) + jnp.expand_dims(offset, axes)


_PARTS, _LONGEST_PART = (16, 24, 20, 28, 30, 18, 12, 8), 4096
"""XLA sums at most so many rows by a kernel without a second one. It joins the sum of fewer than 32 rows with
what is computed from it, so that this needs no kernel of its own. 16 comes first, since parts of whole faces
are shared out among devices as the faces are."""


def _sums(*arrays: jax.Array) -> list[jax.Array]:
    """Sums (C,) of arrays (..., C) of one shape, by one kernel of a GPU for parts of them and one for all."""
    rows = arrays[0].size // arrays[0].shape[-1]
    parts = (n for n in _PARTS if rows % n == 0 and rows // n <= _LONGEST_PART)
    number = next(parts, None)
    if number is None:
        return [jnp.sum(array, tuple(range(array.ndim - 1))) for array in arrays]
    sums = [jnp.sum(array.reshape(number, -1, array.shape[-1]), 1) for array in arrays]
    # Without this, XLA makes one sum of the two.
    return [jnp.sum(part, 0) for part in jax.lax.optimization_barrier(sums)]
