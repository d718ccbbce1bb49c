"""The CNN: a small residual network that reaches its accuracy in few minutes, also on a CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.labels import SIDE
from fer_jax.models.layers import BatchNorm, conv, max_pool_2x2, silu_with_slope

ACTIVATIONS = {"relu": nn.relu, "silu": nn.silu}
"""ReLU, and SiLU (Elfwing et al., "Sigmoid-weighted linear units", 2018), x times its sigmoid."""


class CNN(nn.Module):
    """Stem, stages of residual blocks with pooling between them, global mean, dropout, dense layer of 7.

    The stem halves 48 x 48 to 24 x 24, unless its stride is 1; each stage after the first halves again.
    The large sizes have few channels, since XLA's CPU convolutions are slowest there; most
    parameters are at the small ones. Input float32 (N, 48, 48, 1), output logits float32 (N, num_classes).
    Training takes faces of any size, and the augmentation makes them; otherwise the network scales them to
    ``side`` first.

    Attributes:
      widths: channels of each stage.
      blocks: residual blocks of each stage.
      dropout: before the last layer.
      num_classes: logits.
      dtype: of the convolutions; parameters, statistics and logits are float32.
      stem_stride: 2, or 1 for a first stage at the face's own size.
      activation: a key of ``ACTIVATIONS``.
      side: pixels a side of the faces that the stem sees.
    """

    widths: Sequence[int]
    blocks: Sequence[int]
    dropout: float
    num_classes: int
    dtype: Any = jnp.float32
    stem_stride: int = 2
    activation: str = "relu"
    side: int = SIDE

    def stage_side(self, stage: int) -> int:
        """Pixels a side of the feature maps of a stage (0 is the first)."""
        return self.side // self.stem_stride // 2**stage

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if not train and x.shape[1] != self.side:
            x = jax.image.resize(x, (x.shape[0], self.side, self.side, 1), "linear")
        x = conv(self.widths[0], 3, strides=self.stem_stride, dtype=self.dtype)(x)
        x = _activation(self.activation, train)(BatchNorm(use_running_average=not train)(x))
        for stage, (features, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            if stage > 0:
                x = max_pool_2x2(x)
            for number in range(count):
                pooled = number + 1 == count and stage + 1 < len(self.widths)
                x = ResidualBlock(features, self.dtype, self.activation, pooled)(x, train=train)
        x = jnp.mean(x.astype(jnp.float32), (1, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., 2016), projected where the width changes.

    ``pooled`` says that its output is pooled next. Then XLA fuses the activation into the pooling, and would
    compute a slope that is kept by a kernel of its own.
    """

    features: int
    dtype: Any
    activation: str
    pooled: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = conv(self.features, 3, dtype=self.dtype)(x)
        y = _activation(self.activation, train)(BatchNorm(use_running_average=not train)(y))
        y = conv(self.features, 3, dtype=self.dtype)(y)
        y = BatchNorm(use_running_average=not train)(y)
        if x.shape[-1] != self.features:
            x = BatchNorm(use_running_average=not train)(conv(self.features, 1, dtype=self.dtype)(x))
        return _activation(self.activation, train and not self.pooled)(x + y)


def _activation(name: str, with_slope: bool) -> Callable[[jax.Array], jax.Array]:
    """The activation; ``with_slope`` if it keeps its slope for the gradient."""
    return silu_with_slope if with_slope and name == "silu" else ACTIVATIONS[name]
