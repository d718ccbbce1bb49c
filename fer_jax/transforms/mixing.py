"""Mix the examples of a batch: pure functions ``(key, images, targets, *, alpha) -> (images, targets)``.

Images (N, H, W, C), of which the result is float32; targets float32 (N, K), distributions over the classes.
"""

import jax
import jax.numpy as jnp


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Blend each example with another of the batch (Zhang et al., "mixup", 2018).

    A share is drawn for each example from Beta(alpha, alpha). The example's own face gets the larger of it
    and its complement, so that its own label keeps the largest probability. ``alpha`` is above 0; small
    values blend little.
    """
    share_key, partner_key = jax.random.split(key)
    share = jax.random.beta(share_key, alpha, alpha, (len(images),))
    share = jnp.maximum(share, 1 - share)
    partner = jax.random.permutation(partner_key, len(images))

    def blend(values: jax.Array) -> jax.Array:
        own = share.reshape(-1, *(1,) * (values.ndim - 1))
        return own * values + (1 - own) * values[partner]

    return blend(images.astype(jnp.float32)), blend(targets)


def cutmix(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Paste a rectangle of another example over each (Yun et al., "CutMix", 2019).

    The rectangle has the image's proportions, and an area of 1 - Beta(alpha, alpha) of it. Its centre is
    anywhere, so a part of it may lie outside. The targets are blended by the area that lies inside.
    ``alpha`` is above 0; 1 draws the area uniformly.
    """
    share_key, partner_key, centre_key = jax.random.split(key, 3)
    count = len(images)
    reach = jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha, (count, 1))) / 2
    centre = jax.random.uniform(centre_key, (count, 2))
    inside = [
        jnp.abs((jnp.arange(side, dtype=jnp.float32)[None] + 0.5) / side - centre[:, axis, None]) < reach
        for axis, side in enumerate(images.shape[1:3])
    ]
    pasted = (inside[0][:, :, None] & inside[1][:, None, :])[..., None]
    partner = jax.random.permutation(partner_key, count)
    images = images.astype(jnp.float32)
    other = jnp.mean(pasted.astype(jnp.float32), (1, 2))
    return jnp.where(pasted, images[partner], images), (1 - other) * targets + other * targets[partner]
