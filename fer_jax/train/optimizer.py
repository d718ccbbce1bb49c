"""Make the optimizer, Adam, SGD or Muon, as an optax chain, and the learning-rate schedule."""

from typing import Any

import jax
import optax

from fer_jax.models import output_layer
from fer_jax.train.muon import scale_by_muon

SCHEDULES = ("cosine", "one_cycle")
OPTIMIZERS = ("adam", "sgd", "muon")

_ADAM_SHARE = 0.15
"""Share of Muon's learning rate for the parameters that Adam updates: 0.003 of Muon's 0.02."""


def learning_rate_schedule(
    *, peak: float, warmup_steps: int, total_steps: int, name: str = "cosine"
) -> optax.Schedule:
    """Make the learning-rate schedule, up to ``peak`` and down again: step -> rate.

    ``cosine``: linear warm-up from 0 over ``warmup_steps``, then cosine decay to 0 at ``total_steps``
    (Loshchilov and Hutter, "SGDR", 2017, one period). ``one_cycle``: from a 25th of the peak up to it over
    three tenths of the steps, then down to a 10,000th of the start, each by half a cosine (Smith and Topin,
    "Super-Convergence", 2018); it ignores ``warmup_steps``. Raises ValueError for another ``name``.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule={name!r} is unknown; choose one of {', '.join(SCHEDULES)}")
    if name == "one_cycle":
        return optax.cosine_onecycle_schedule(total_steps, peak)
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
    """Make ``adam``, ``sgd`` or ``muon``, after clipping the gradient.

    ``adam`` is Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019).
    ``sgd`` is stochastic gradient descent with Nesterov's momentum (Sutskever et al., 2013). Its weight
    decay is added to the gradient, as in the published recipes that use 0.0005 and a rate of 0.1.
    ``muon`` is Muon (Jordan et al., 2024) with decoupled weight decay: each kernel moves by its
    orthogonalized momentum, at a rate of about 0.02. Adam with Nesterov's momentum (Dozat, 2016) updates
    biases, scales, shifts and the output layer, as the authors of Muon advise.

    Args:
      schedule: step -> learning rate.
      name: one of ``OPTIMIZERS``; raises ValueError for another.
      momentum: of ``sgd`` and ``muon``.
      weight_decay: on kernels only, with ``muon`` not on that of the output layer; 0 for none.
      clip_norm: largest global norm of the gradient; 0 for no limit.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer={name!r} is unknown; choose one of {', '.join(OPTIMIZERS)}")
    clip = optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()
    if name == "adam":
        return optax.chain(clip, optax.adamw(schedule, weight_decay=weight_decay, mask=_is_kernel))
    if name == "muon":
        muon = optax.chain(
            scale_by_muon(momentum=momentum),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(schedule),
        )
        adam = optax.nadamw(lambda step: _ADAM_SHARE * schedule(step), weight_decay=0.0)
        return optax.chain(clip, optax.partition({"muon": muon, "adam": adam}, _muon_or_adam))
    decay = optax.add_decayed_weights(weight_decay, mask=_is_kernel)
    return optax.chain(clip, decay, optax.sgd(schedule, momentum=momentum, nesterov=True))


def _is_kernel(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _muon_or_adam(params: Any) -> Any:
    """The name of the optimizer that updates each leaf."""
    last = output_layer(params)

    def name(path: tuple, leaf: jax.Array) -> str:
        return "adam" if leaf.ndim < 2 or path[0].key == last else "muon"

    return jax.tree_util.tree_map_with_path(name, params)
