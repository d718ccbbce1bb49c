"""The loop around the train step: epochs, validation, early stopping, losses that are not finite."""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fer_jax.errors import UserError
from fer_jax.runtime.progress import EpochProgress, announced, unless_stopped
from fer_jax.runtime.sharding import make_any_raised, place_state, replicate
from fer_jax.train.batches import Batch
from fer_jax.train.epochs import (
    Epochs,
    Position,
    epochs_left,
    image_size_of,
    is_finished,
    unpack_totals,
)
from fer_jax.train.state import TrainState

_AHEAD = 4
"""Steps that may be dispatched before the loop waits: enough to keep the device busy."""

_ADVICE = "lower learning_rate or set clip_norm, and start with a new --workdir"


class Program(NamedTuple):
    """The functions that the loop calls, compiled for the devices of ``mesh``.

    Attributes:
      step: from ``step.make_loop_step``.
      validate: state -> (loss, accuracy) on the validation faces.
      schedule: step -> learning rate, for the message when the loss is not finite.
      mesh: the devices.
    """

    step: jax.stages.Wrapped
    validate: Callable[[TrainState], tuple[float, float]]
    schedule: Callable[[jax.Array], jax.Array]
    mesh: Mesh


class Plan(NamedTuple):
    """The plan of a run: its epochs, batches and random numbers.

    Attributes:
      epochs: their number, patience and image sizes.
      batch_size: at most the number of faces.
      order: labels and epoch -> rows int32 (steps, B); see ``batches.epoch_order``.
      step_key: draws everything that is random in a step.
      teaching: see ``epochs_left``.
      count_skipped: whether rows have ``skipped_steps``.
    """

    epochs: Epochs
    batch_size: int
    order: Callable[[np.ndarray, int], jax.Array]
    step_key: jax.Array
    teaching: float = 0.0
    count_skipped: bool = False


class Hooks(NamedTuple):
    """Callbacks that save and stop a run.

    Attributes:
      on_epoch: called after each epoch with the state and its position; saves them.
      should_stop: called before each step; training ends once it is True in any process (with several
        processes a few steps later, after the same step in all).
      should_stop_compiling: called while a step is compiled; training ends once it is True. Not called with
        several processes.
      on_failure: called before a loss that is not finite ends training; returns where the last checkpoint is,
        for the message.
    """

    on_epoch: Callable[[TrainState, Position], None]
    should_stop: Callable[[], bool] = lambda: False
    should_stop_compiling: Callable[[], bool] = lambda: False
    on_failure: Callable[[], str] = lambda: "none yet"


def fit(
    state: TrainState, data: Batch, *, program: Program, plan: Plan, hooks: Hooks, position: Position
) -> tuple[TrainState, Position]:
    """Train from ``position`` to the end of the plan, or until ``hooks.should_stop()``.

    Args:
      state: at ``position``; donated.
      data: the training set.
      position: how far the run is; its rows are not changed.

    Returns the last state, and the position where training ended.

    Raises:
      UserError: a loss or gradient was not finite; names step, learning rate and the last good checkpoint.
    """
    clock, labels, compiled = time.monotonic() - position.seconds, data.labels, {}
    should_stop = make_any_raised(program.mesh, hooks.should_stop, delay=_AHEAD)
    state = place_state(program.mesh, state)
    data, key = replicate(program.mesh, (data, plan.step_key))
    while not is_finished(position.rows, plan.epochs):
        order = replicate(program.mesh, plan.order(labels, position.epoch))
        progress = _progress(position.epoch, len(order), plan)
        size = image_size_of(position.epoch, plan.epochs)
        totals = replicate(program.mesh, position.totals.packed())
        step = _compiled(compiled, size, (state, totals, data, order, np.int32(0), key), program, hooks)
        if step is None:
            progress.stop()
            return state, position
        progress.begin(position.epoch_seconds)
        begun = time.monotonic() - position.epoch_seconds
        steps, pending = position.steps, deque([totals])
        while steps < len(order) and not should_stop() and _follow(pending, progress, steps):
            state, totals = step(state, pending[-1], data, order, np.int32(steps), key)
            pending.append(totals)
            steps += 1
        totals, now = unpack_totals(pending[-1]), time.monotonic()
        position = Position(position.rows, now - clock, steps, totals, now - begun)
        _check_finite(position, program, hooks)
        if steps < len(order):
            progress.stop()
            return state, position
        position = _complete(state, position, program, plan, hooks, clock)
        progress.close(position.rows[-1])
        hooks.on_epoch(state, position)
    return state, position


def _compiled(
    compiled: dict[int, Callable], size: int, arguments: Any, program: Program, hooks: Hooks
) -> Callable | None:
    """The step for faces of ``size`` pixels; None if a signal came while it was compiled.

    Called before an epoch begins, so that its images/s do not include compilation.
    """
    if size not in compiled:
        with announced(f"compiling the training step for faces of {size} pixels"):
            lowered = program.step.lower(*arguments, image_size=size)
            # Several processes stop after the same step, so not here.
            one = jax.process_count() == 1
            step = unless_stopped(lowered.compile, hooks.should_stop_compiling) if one else lowered.compile()
        if step is None:
            return None
        compiled[size] = step
    return compiled[size]


def _progress(epoch: int, steps: int, plan: Plan) -> EpochProgress:
    several = len(set(plan.epochs.image_sizes)) > 1
    return EpochProgress(
        epoch=epoch,
        epochs=plan.epochs.count,
        steps=steps,
        batch_size=plan.batch_size,
        epochs_left=epochs_left(epoch, plan.epochs, teaching=plan.teaching),
        image_size=image_size_of(epoch, plan.epochs) if several else None,
    )


def _follow(pending: deque[jax.Array], progress: EpochProgress, steps: int) -> bool:
    """Wait for the step ``_AHEAD`` steps back, so that the device always has the next step at hand.

    Returns whether loss and gradient were finite up to that step.
    """
    if len(pending) <= _AHEAD:
        return True
    older = unpack_totals(pending.popleft())
    if steps > _AHEAD:
        progress.update(steps - _AHEAD, older)
    return older.bad_step < 0


def _complete(
    state: TrainState, position: Position, program: Program, plan: Plan, hooks: Hooks, clock: float
) -> Position:
    """Validate at the end of an epoch, and return the position with its row.

    ``clock`` is when training would have begun without a stop. Raises UserError if all steps were skipped, or
    the validation loss is not finite.
    """
    totals = position.totals
    if not totals.examples:
        hooks.on_failure()
        raise UserError(
            f"the loss or its gradient was not finite in any step of epoch {position.epoch}, which were all "
            f"skipped; {_ADVICE}"
        )
    val_loss, val_accuracy = program.validate(state)
    if not math.isfinite(val_loss):  # because of the epoch's last update: no step computes a loss after it
        raise UserError(
            f"the validation loss was not finite after epoch {position.epoch}; "
            f"last good checkpoint: {hooks.on_failure()}; {_ADVICE}"
        )
    seconds = time.monotonic() - clock
    row = {
        "epoch": position.epoch,
        "step": position.first_step + position.steps,
        "train_loss": totals.loss / totals.examples,
        "train_accuracy": totals.correct / totals.examples,
        "val_loss": val_loss,
        "val_accuracy": val_accuracy,
        "images_per_second": totals.examples / position.epoch_seconds,
        "seconds": seconds,
    }
    skipped = {"skipped_steps": totals.skipped} if plan.count_skipped else {}
    return Position([*position.rows, row | skipped], seconds)


def _check_finite(position: Position, program: Program, hooks: Hooks) -> None:
    """Raise UserError if a step had a loss or gradient that was not finite."""
    step = position.totals.bad_step
    if step < 0:
        return
    with jax.numpy_dtype_promotion("standard"):
        rate = float(program.schedule(jnp.asarray(step)))
    raise UserError(
        f"the loss or its gradient was not finite at step {step}, learning rate {rate:.3g}; "
        f"last good checkpoint: {hooks.on_failure()}; {_ADVICE}"
    )
