"""Adam or SGD, and warm-up with cosine decay, as an optax chain."""

from typing import Any

import jax
import optax

from fer_jax.errors import UserError

OPTIMIZERS = ("adam", "sgd")


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
    schedule: optax.Schedule,
    *,
    name: str = "adam",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """``adam`` or ``sgd``, after clipping the gradient.

    ``adam`` is Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019).
    ``sgd`` is stochastic gradient descent with Nesterov's momentum (Sutskever et al., 2013); its weight
    decay is added to the gradient, as in the published recipes that use 0.0005 and a rate of 0.1.

    Args:
      schedule: step -> learning rate.
      name: one of ``OPTIMIZERS``.
      momentum: of ``sgd``.
      weight_decay: on kernels only, not on biases, scales and shifts; 0 for none.
      clip_norm: largest global norm of the gradient; 0 for no limit.

    Raises:
      UserError: an unknown ``name``.
    """
    if name not in OPTIMIZERS:
        raise UserError(f"optimizer={name!r} is unknown; choose one of {', '.join(OPTIMIZERS)}")
    clip = optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()
    if name == "adam":
        return optax.chain(clip, optax.adamw(schedule, weight_decay=weight_decay, mask=_is_kernel))
    decay = optax.add_decayed_weights(weight_decay, mask=_is_kernel)
    return optax.chain(clip, decay, optax.sgd(schedule, momentum=momentum, nesterov=True))


def _is_kernel(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
