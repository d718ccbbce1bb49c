"""The state that training carries from step to step."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from fer_jax.models import init_variables


@flax.struct.dataclass
class TrainState:
    """Everything that a step changes. Random keys are not part of it: they follow from seed and step.

    Attributes:
      step: int32 (), updates so far.
      params: float32 tree.
      batch_stats: running means and variances of BatchNorm; empty for a network without it.
      opt_state: state of the optax chain.
      ema: moving averages of ``params`` and ``batch_stats``; empty when averaging is off.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    ema: dict[str, Any]

    def variables(self) -> dict[str, Any]:
        """The variables for inference: the averages if there are any, otherwise the latest weights."""
        return self.ema or {"params": self.params, "batch_stats": self.batch_stats}


def create_state(
    key: jax.Array,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    ema: bool,
    initial: dict[str, Any] | None = None,
) -> TrainState:
    """Create a fresh state at step 0.

    Args:
      key: for random weights.
      model, optimizer: the network, and what updates it.
      ema: whether to keep averages, which start at the initial weights.
      initial: ``params`` and ``batch_stats`` to start from instead of random ones; copied.
    """
    variables = jax.tree.map(jnp.array, initial) if initial else init_variables(model, key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
        # Copies: a donated buffer must not be passed twice.
        ema=jax.tree.map(jnp.copy, variables) if ema else {},
    )
