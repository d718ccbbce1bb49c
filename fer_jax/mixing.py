"""Mixing the examples of a batch: pure functions ``(key, images, targets, *, ...) -> (images, targets)``."""

import jax
import jax.numpy as jnp


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Blends each example with another of the batch (Zhang et al., "mixup", 2018).

    The share is drawn for each example from Beta(alpha, alpha), and the larger of it and its complement
    goes to the example's own face, so that its own label stays the likeliest one.

    Args:
      key: PRNG key.
      images: (N, H, W, C).
      targets: float32 (N, K), a distribution over the classes.
      alpha: above 0; small values blend little.

    Returns:
      Blended images float32 (N, H, W, C) and targets float32 (N, K).
    """
    share_key, partner_key = jax.random.split(key)
    share = jax.random.beta(share_key, alpha, alpha, (len(images),))
    share = jnp.maximum(share, 1 - share)
    partner = jax.random.permutation(partner_key, len(images))

    def blend(values: jax.Array) -> jax.Array:
        own = share.reshape(-1, *(1,) * (values.ndim - 1))
        return own * values + (1 - own) * values[partner]

    return blend(images.astype(jnp.float32)), blend(targets)
