"""Adam with warm-up and cosine decay, as an optax chain."""

from typing import Any

import jax
import optax


def learning_rate_schedule(*, peak: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
    """Linear warm-up from 0 to ``peak``, then cosine decay to 0 at ``total_steps``.

    Loshchilov and Hutter, "SGDR", 2017 (one period).
    """
    if warmup_steps == 0:
        return optax.cosine_decay_schedule(peak, total_steps)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=peak,
        # optax counts the warm-up within decay_steps, and the decay must last at least one step.
        warmup_steps=min(warmup_steps, total_steps - 1) if total_steps > 1 else 0,
        decay_steps=total_steps,
    )


def create_optimizer(
    schedule: optax.Schedule, *, weight_decay: float = 0.0, clip_norm: float = 0.0
) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
      schedule: step -> learning rate.
      weight_decay: on kernels only, not on biases, scales and shifts; 0 for plain Adam.
      clip_norm: largest global norm of the gradient; 0 for no limit.
    """
    clip = optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()
    adam = optax.adamw(schedule, weight_decay=weight_decay, mask=_is_kernel)
    return optax.chain(clip, adam)


def _is_kernel(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
