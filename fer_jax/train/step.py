"""One update, and what an epoch's loop calls: pure functions, compiled once."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from fer_jax.labels import NUM_CLASSES, SIDE
from fer_jax.runtime.sharding import replicated, shared_out
from fer_jax.train.state import TrainState
from fer_jax.transforms.augment import augment
from fer_jax.transforms.mixing import cutmix, mixup
from fer_jax.transforms.normalize import Normalization, normalize


class Batch(NamedTuple):
    """``images`` uint8 (B, 48, 48, 1) and ``labels`` int32 (B,)."""

    images: jax.Array
    labels: jax.Array


class EpochTotals(NamedTuple):
    """Sums over an epoch's batches, kept on the device.

    Attributes:
      loss: float32 (), sum over examples of the training loss.
      correct: int32 (), examples predicted right.
      examples: int32 ().
      bad_step: int32 (), the first step whose loss or gradient was not finite; -1 if none.
      skipped: int32 (), steps left out for that reason, whose examples are in none of the sums.
    """

    loss: jax.Array
    correct: jax.Array
    examples: jax.Array
    bad_step: jax.Array
    skipped: jax.Array


def empty_totals() -> EpochTotals:
    """Totals before the first batch."""
    zero = jnp.zeros((), jnp.int32)
    return EpochTotals(jnp.zeros((), jnp.float32), zero, zero, jnp.full((), -1, jnp.int32), zero)


def make_train_step(
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    normalization: Normalization,
    normalize_kind: str,
    augmentation: Mapping[str, Any] | None = None,
    class_weights: np.ndarray | None = None,
    label_smoothing: float = 0.0,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
    ema_decay: float = 0.0,
    teacher: Callable[[jax.Array], jax.Array] | None = None,
    teacher_share: float = 0.0,
    skip_nonfinite: bool = False,
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, dict[str, jax.Array]]]:
    """A pure ``(state, batch, key, *, side=48) -> (state, metrics)``; ``key`` is folded with the step.

    Args:
      model: maps (N, 48, 48, 1) to logits (N, 7).
      optimizer: an optax transformation.
      normalization: statistics of the training set.
      normalize_kind: see ``preprocess.normalize``.
      augmentation: arguments of ``augment.augment``; None for none.
      class_weights: float32 (7,), multiplies the loss of an example by its class (of a blended one by
        their mean); None for 1.
      label_smoothing: share of the target spread evenly over the classes (Szegedy et al., 2016).
      mixup_alpha, cutmix_alpha: see ``mixing.mixup`` and ``mixing.cutmix``; 0 for none.
      ema_decay: of the moving averages; 0 if the state keeps none.
      teacher: maps the augmented faces, float32 (N, 48, 48, 1) in grey levels, to probabilities (N, 7),
        of which the targets take ``teacher_share`` (Hinton et al., "Distilling the Knowledge in a Neural
        Network", 2015); it sees the very faces that the network sees, unscaled (Beyer et al., "Knowledge
        distillation: a good teacher is patient and consistent", 2022).
      teacher_share: 0 to 1.
      skip_nonfinite: a step whose loss or gradient is not finite changes nothing but the step counter.

    Returns:
      The step; ``side`` is that of the square, in pixels, which the faces are scaled to before the
      network sees them. Its metrics are float32 scalars ``loss`` (mean over the batch), ``grad_norm``,
      and int32 ``correct``, with ``skip_nonfinite`` also int32 ``skipped``, 0 or 1.
    """
    weights = jnp.asarray(np.ones(NUM_CLASSES) if class_weights is None else class_weights, jnp.float32)

    def loss_of(params, batch_stats, images, targets, example_weights, dropout_key):
        logits, changed = model.apply(
            {"params": params, "batch_stats": batch_stats},
            images,
            train=True,
            rngs={"dropout": dropout_key},
            mutable=["batch_stats"],
        )
        losses = optax.softmax_cross_entropy(logits, targets)
        return jnp.mean(losses * example_weights), (logits, changed.get("batch_stats", {}))

    def train_step(state: TrainState, batch: Batch, key: jax.Array, *, side: int = SIDE):
        augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
        mixing_key = jax.random.fold_in(augment_key, 1)
        targets = jax.nn.one_hot(batch.labels, NUM_CLASSES)

        def augmented(size, targets):
            # With no augmentation, and 48 pixels, this leaves the images as they are.
            images = augment(augment_key, batch.images, size=(size, size), **(augmentation or {}))
            if mixup_alpha:
                images, targets = mixup(mixing_key, images, targets, alpha=mixup_alpha)
            if cutmix_alpha:
                images, targets = cutmix(mixing_key, images, targets, alpha=cutmix_alpha)
            return images, targets

        images, targets = augmented(side, targets)
        example_weights = targets @ weights
        targets = optax.smooth_labels(targets, label_smoothing)
        if teacher is not None:
            # By the same keys: the same faces, in the teacher's size.
            taught = jax.lax.stop_gradient(teacher(augmented(SIDE, targets)[0]))
            targets = (1 - teacher_share) * targets + teacher_share * taught
        images = normalize(images, normalization, kind=normalize_kind)
        # Else XLA fuses the warp into each use of the images and computes it again there.
        images = jax.lax.optimization_barrier(images)
        (loss, (logits, batch_stats)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state.params, state.batch_stats, images, targets, example_weights, dropout_key
        )
        # optax mixes its float32 moments with weakly typed Python scalars.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
        new = {"params": params, "batch_stats": batch_stats}
        after = TrainState(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            ema=_average(state.ema, new, decay=ema_decay, step=state.step) if ema_decay else state.ema,
        )
        correct = jnp.sum(jnp.argmax(logits, -1) == batch.labels, dtype=jnp.int32)
        metrics = {"loss": loss, "correct": correct, "grad_norm": optax.tree.norm(gradients)}
        if skip_nonfinite:
            good = _is_finite(metrics)
            kept = state.replace(step=state.step + 1)
            after = jax.tree.map(lambda new, old: jnp.where(good, new, old), after, kept)
            metrics["skipped"] = 1 - good.astype(jnp.int32)
        return after, metrics

    return train_step


def _is_finite(metrics: Mapping[str, jax.Array]) -> jax.Array:
    return jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])


def _average(old: Any, new: Any, *, decay: float, step: jax.Array) -> Any:
    """Moving average whose decay grows with the step, so that the first weights are soon forgotten."""
    count = step.astype(jnp.float32)
    step_size = 1 - jnp.minimum(decay, (1 + count) / (10 + count))
    return optax.incremental_update(new, old, step_size)


def epoch_order(
    key: jax.Array,
    labels: jax.Array,
    *,
    epoch: int,
    batch_size: int,
    sampling_weights: np.ndarray | None = None,
) -> jax.Array:
    """Which examples an epoch's batches take, int32 (steps, batch_size); depends on key and epoch alone.

    Args:
      key: the run's key.
      labels: int32 (N,).
      epoch: from 1.
      batch_size: at most N; the remainder of an epoch is left to the next epochs' shuffles.
      sampling_weights: float32 (7,), draws with replacement so that classes come in these proportions
        to their counts (``balance=sampling``); None takes each example at most once.
    """
    key = jax.random.fold_in(key, epoch)
    steps = len(labels) // batch_size
    if sampling_weights is None:
        order = jax.random.permutation(key, len(labels))
    else:
        probabilities = jnp.asarray(sampling_weights)[labels]
        order = jax.random.choice(key, len(labels), (len(labels),), p=probabilities / jnp.sum(probabilities))
    return order[: steps * batch_size].reshape(steps, batch_size).astype(jnp.int32)


def make_loop_step(train_step: Callable, mesh: Mesh | None = None) -> Callable:
    """Compiles ``train_step`` with the gathering of its batch and the adding up of its metrics.

    Args:
      train_step: from ``make_train_step``.
      mesh: the devices that share each batch; None for the one that the arguments lie on.

    Returns:
      ``(state, totals, data, order, row, key, *, side=48) -> (state, totals)``; ``data`` is the whole
      training set as a ``Batch`` on the device, ``order`` int32 (steps, B), ``row`` int32 () which of
      them to take. Each ``side`` (see ``make_train_step``) is a program of its own.
      The state is donated; the totals are not, so that the loop can look at older ones while it runs.
    """

    def loop_step(state, totals, data, order, row, key, *, side=SIDE):
        rows = order[row]
        if mesh is not None:
            # Each device takes its share of the faces from its own copy of the training set.
            rows = jax.lax.with_sharding_constraint(rows, shared_out(mesh))
        batch = Batch(data.images[rows], data.labels[rows])
        step = state.step
        state, metrics = train_step(state, batch, key, side=side)
        is_first = ~_is_finite(metrics) & (totals.bad_step < 0)
        after = totals._replace(
            loss=totals.loss + metrics["loss"] * len(rows),
            correct=totals.correct + metrics["correct"],
            examples=totals.examples + len(rows),
            bad_step=jnp.where(is_first, step, totals.bad_step),
        )
        if "skipped" in metrics:
            # What was skipped is no reason to stop.
            left_out = totals._replace(skipped=totals.skipped + 1)
            after = after._replace(bad_step=totals.bad_step)
            after = jax.tree.map(lambda a, b: jnp.where(metrics["skipped"] > 0, a, b), left_out, after)
        return state, after

    placed = {} if mesh is None else {"out_shardings": replicated(mesh)}
    return jax.jit(loop_step, donate_argnums=0, static_argnames="side", **placed)
