"""One update of the weights: a pure function, compiled once for each image size."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from fer_jax.labels import SIDE
from fer_jax.runtime.sharding import replicated, shared_out, state_placement
from fer_jax.train.batches import Batch, take_batch
from fer_jax.train.epochs import add_metrics
from fer_jax.train.examples import Examples
from fer_jax.train.gather import gather
from fer_jax.train.state import TrainState
from fer_jax.transforms.normalize import Normalization, normalize


def make_train_step(
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    normalization: Normalization,
    normalize_kind: str,
    prepare: Callable[[jax.Array, jax.Array, Batch, int], Examples],
    ema_decay: float = 0.0,
    skip_nonfinite: bool = False,
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, dict[str, jax.Array]]]:
    """Make a pure ``(state, batch, key, *, image_size=48) -> (state, metrics)``.

    Args:
      model: maps (N, S, S, 1) to logits (N, K).
      optimizer: an optax transformation.
      normalization: statistics of the training set.
      normalize_kind: see ``normalize.normalize``.
      prepare: from ``examples.make_prepare``.
      ema_decay: of the moving averages; 0 if the state keeps none.
      skip_nonfinite: if loss or gradient is not finite, a step changes only the step counter.

    Returns:
      The step. It folds ``key`` with its number, and scales the faces to ``image_size`` pixels of height and
      width. Metrics are float32 scalars ``loss`` (mean over the batch) and ``grad_norm``, and int32
      ``correct``; with ``skip_nonfinite`` also ``skipped``, 0 or 1.
    """

    def train_step(state: TrainState, batch: Batch, key: jax.Array, *, image_size: int = SIDE):
        augment_key, mixing_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step), 3)
        examples = prepare(augment_key, mixing_key, batch, image_size)
        inputs = normalize(examples.images, normalization, kind=normalize_kind)
        examples = examples._replace(images=_not_fused(inputs))
        (value, (logits, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.params, state.batch_stats, examples, dropout_key, model=model
        )
        gradients, grad_norm = jax.lax.platform_dependent(gradients, cpu=_with_norm, default=_gathered)
        after = _update(state, gradients, batch_stats, optimizer=optimizer, ema_decay=ema_decay)
        correct = jnp.sum(jnp.argmax(logits, -1) == batch.labels, dtype=jnp.int32)
        metrics = {"loss": value, "correct": correct, "grad_norm": grad_norm}
        return _keep_finite(state, after, metrics) if skip_nonfinite else (after, metrics)

    return train_step


def _not_fused(images: jax.Array) -> jax.Array:
    """Keep XLA from fusing the warp into each use of the images, and from computing it again there.

    On an NVIDIA GPU libraries use them, so XLA can fuse only their padding, which saves a kernel.
    """
    barrier = jax.lax.optimization_barrier
    return jax.lax.platform_dependent(images, cuda=lambda images: images, default=barrier)


def make_loop_step(train_step: Callable, mesh: Mesh, state: TrainState) -> jax.stages.Wrapped:
    """Compile ``train_step`` into one program with what comes before and after it.

    Args:
      train_step: from ``make_train_step``.
      mesh: the devices.
      state: of the shapes that the step will have; its values do not matter.

    Returns:
      ``(state, totals, data, order, row, key, *, image_size=48) -> (state, totals)``. It trains on the batch
      that ``batches.take_batch`` takes from the whole training set ``data``, and adds the metrics to the
      totals, of ``EpochTotals.packed``. The state, placed by ``sharding.place_state``, is donated; the
      totals are not, so that the loop can read older ones while it runs.
    """

    def loop_step(state, totals, data, order, row, key, *, image_size=SIDE):
        # Each device takes its share of the faces from its own copy of the training set.
        batch = jax.lax.with_sharding_constraint(take_batch(data, order, row), shared_out(mesh))
        after, metrics = train_step(state, batch, key, image_size=image_size)
        return after, add_metrics(totals, metrics, state.step, batch_size=order.shape[1])

    placement = state_placement(mesh, state), replicated(mesh)
    return jax.jit(loop_step, donate_argnums=0, static_argnames="image_size", out_shardings=placement)


def loss(
    params: Any, batch_stats: Any, examples: Examples, dropout_key: jax.Array, *, model: nn.Module
) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Mean weighted cross-entropy of normalized ``examples``, with logits (B, K) and batch statistics."""
    logits, changed = model.apply(
        {"params": params, "batch_stats": batch_stats},
        examples.images,
        train=True,
        rngs={"dropout": dropout_key},
        mutable=["batch_stats"],
    )
    losses = optax.softmax_cross_entropy(logits, examples.targets)
    return jnp.mean(losses * examples.weights), (logits, changed.get("batch_stats", {}))


def _with_norm(gradients: Any) -> tuple[Any, jax.Array]:
    """The gradients, and their global norm."""
    return gradients, optax.tree.norm(gradients)


def _gathered(gradients: Any) -> tuple[Any, jax.Array]:
    """The same in fewer kernels of a GPU."""
    gathered, flat = gather(gradients)
    return gathered, jnp.sqrt(jnp.sum(flat * flat))


def _update(
    state: TrainState,
    gradients: Any,
    batch_stats: Any,
    *,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
) -> TrainState:
    # optax mixes its float32 moments with weakly typed Python scalars.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
    ema, steps = state.ema, state.step + 1
    if ema_decay:
        new = {"params": params, "batch_stats": batch_stats}
        ema = _average(ema, new, decay=ema_decay, steps=steps)
    return TrainState(steps, params, batch_stats, opt_state, ema)


def _average(old: Any, new: Any, *, decay: float, steps: jax.Array) -> Any:
    """Moving average; its decay grows with the steps, so that the first weights soon count for little."""
    count = steps.astype(jnp.float32)
    step_size = 1 - jnp.minimum(decay, count / (9 + count))
    return optax.incremental_update(new, old, step_size)


def _keep_finite(
    state: TrainState, after: TrainState, metrics: dict[str, jax.Array]
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Return ``after`` if loss and gradient are finite; otherwise ``state``, with the step counted."""
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
    kept = state.replace(step=state.step + 1)
    chosen = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, kept)
    return chosen, metrics | {"skipped": 1 - finite.astype(jnp.int32)}
