"""The DNN of the course: dense layers on the flattened face."""

from collections.abc import Sequence

import flax.linen as nn
import jax


class MLP(nn.Module):
    """[dense, BatchNorm, ReLU, dropout] x len(hidden), then a dense layer of 7.

    Input float32 (N, 48, 48, 1), output logits float32 (N, num_classes).
    """

    hidden: Sequence[int]
    dropout: float
    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        for size in self.hidden:
            x = nn.Dense(size, use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)
