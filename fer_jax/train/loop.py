"""The loop around the train step: epochs, validation, early stopping, divergence."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.progress import EpochProgress
from fer_jax.runtime.sharding import make_any_raised, replicate
from fer_jax.train.state import TrainState
from fer_jax.train.step import Batch, EpochTotals, empty_totals, epoch_order

_AHEAD = 4
"""Steps that may be dispatched before the loop waits: enough to keep the device busy."""

_ADVICE = "lower learning_rate or set clip_norm, and start with a new --workdir"


class Position(NamedTuple):
    """Where a run stopped: before step ``row`` (from 0) of ``epoch`` (from 1). Plain numbers, for JSON.

    ``loss``, ``correct``, ``examples`` and ``skipped`` are the epoch's ``EpochTotals`` so far, the loss a
    float32; ``seconds`` those of training since the run's first start, ``epoch_seconds`` those of the
    steps of this epoch.
    """

    epoch: int
    row: int
    loss: float
    correct: int
    examples: int
    skipped: int
    seconds: float
    epoch_seconds: float

    def totals(self) -> EpochTotals:
        """The totals as the next step continues them."""
        counts = (jnp.asarray(n, jnp.int32) for n in (self.correct, self.examples, -1, self.skipped))
        return EpochTotals(jnp.asarray(self.loss, jnp.float32), *counts)


def best_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The epoch with the highest validation accuracy, the earlier of equals."""
    return max(rows, key=lambda row: (row["val_accuracy"], -row["epoch"]))


def is_finished(
    rows: list[dict[str, Any]], *, epochs: int, patience: int, sides: Sequence[int] = (SIDE,)
) -> bool:
    """Whether training ends after these epochs: all done, or ``patience`` of them without a better one.

    Patience begins where the faces have reached the last of ``sides``: validation is always at full size,
    and reads low as long as training is not.
    """
    if not rows:
        return False
    last = rows[-1]["epoch"]
    growing = sum(side_of_epoch(e, epochs=epochs, sides=sides) != sides[-1] for e in range(1, epochs + 1))
    waited = last - max(best_row(rows)["epoch"], growing)
    return last >= epochs or 0 < patience <= waited


def side_of_epoch(epoch: int, *, epochs: int, sides: Sequence[int]) -> int:
    """The side in pixels of the faces in ``epoch`` (from 1): each of ``sides`` has an equal share of the run.

    Few pixels at first train faster (Howard, "Training ImageNet in 3 hours", 2018: progressive resizing).
    """
    return sides[(epoch - 1) * len(sides) // epochs]


def epochs_left(epoch: int, *, epochs: int, sides: Sequence[int], teaching: float = 0.0) -> float:
    """Work after ``epoch``, in epochs of its own size: what a face costs grows with its pixels.

    ``teaching``: what the teachers' look at a face, always at full size, costs against a step of the
    network on one of that size.
    """
    areas = [side_of_epoch(e, epochs=epochs, sides=sides) ** 2 for e in range(epoch, epochs + 1)]
    costs = [area + teaching * SIDE**2 for area in areas]
    return sum(costs[1:]) / costs[0]


def fit(
    state: TrainState,
    *,
    rows: list[dict[str, Any]],
    loop_step: Callable,
    validate: Callable[[TrainState], tuple[float, float]],
    data: Batch,
    key: jax.Array,
    epochs: int,
    batch_size: int,
    sampling_weights: np.ndarray | None,
    learning_rate: Callable[[jax.Array], jax.Array],
    patience: int,
    mesh: Mesh,
    on_epoch: Callable[[TrainState, list[dict[str, Any]]], None],
    sides: Sequence[int] = (SIDE,),
    teaching: float = 0.0,
    position: Position | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    count_skipped: bool = False,
) -> tuple[TrainState, list[dict[str, Any]], Position | None]:
    """Trains from where ``rows`` end, to ``epochs`` or until validation stops improving.

    Args:
      state: as the last of ``rows`` left it, or at ``position``; donated.
      rows: of metrics.jsonl so far; not changed.
      loop_step: from ``make_loop_step``, for the ``mesh``.
      validate: state -> (loss, accuracy) on the validation faces.
      data: the training set.
      key: the run's key.
      epochs, batch_size, patience: see configs/default.py.
      sampling_weights: see ``epoch_order``.
      learning_rate: the schedule, for the message when the loss is not finite.
      on_epoch: called after each epoch with the state and all rows; saves them.
      sides: see ``side_of_epoch``.
      teaching: see ``epochs_left``.
      mesh: the devices that train.
      position: in the epoch after the last of ``rows``, where a stopped run goes on; None at its start.
      should_stop: looked at before each step; once it is True, training ends there (of several processes
        a few steps later, after the same one in all).
      count_skipped: whether rows tell ``skipped_steps``.

    Returns:
      The last state, all rows, and where training was stopped; None if it ended by itself.

    Raises:
      UserError: a loss or gradient was not finite; names step, learning rate and the last good checkpoint.
        So does a validation loss, with the epoch.
    """
    rows = list(rows)
    labels, should_stop = data.labels, make_any_raised(mesh, should_stop, delay=_AHEAD)
    state, data, device_key = (replicate(mesh, tree) for tree in (state, data, key))
    before = position.seconds if position else rows[-1]["seconds"] if rows else 0.0
    started = time.monotonic()
    compiled: dict[int, Callable] = {}
    while not is_finished(rows, epochs=epochs, patience=patience, sides=sides):
        epoch = rows[-1]["epoch"] + 1 if rows else 1
        order = replicate(
            mesh,
            epoch_order(key, labels, epoch=epoch, batch_size=batch_size, sampling_weights=sampling_weights),
        )
        start = position or Position(epoch, 0, 0.0, 0, 0, 0, before, 0.0)
        position = None
        progress = EpochProgress(
            epoch=epoch,
            epochs=epochs,
            steps=len(order),
            batch_size=batch_size,
            epochs_left=epochs_left(epoch, epochs=epochs, sides=sides, teaching=teaching),
        )
        side = side_of_epoch(epoch, epochs=epochs, sides=sides)
        if side not in compiled:
            # Ahead of the epoch, whose images/s would else include it.
            totals = replicate(mesh, empty_totals())
            arguments = (state, totals, data, order, np.int32(0), device_key)
            compiled[side] = loop_step.lower(*arguments, side=side).compile()
        progress.begin(start.epoch_seconds)
        state, totals, done, seconds = run_epoch(
            state,
            compiled[side],
            data,
            order,
            device_key,
            progress,
            totals=replicate(mesh, start.totals()),
            first_row=start.row,
            should_stop=should_stop,
        )
        seconds += start.epoch_seconds
        kept = _last_good(rows, start)
        _check_finite(totals, learning_rate, kept)
        if done < len(order):
            progress.stop()
            sums = (float(totals.loss), int(totals.correct), int(totals.examples), int(totals.skipped))
            elapsed = before + time.monotonic() - started
            return state, rows, Position(epoch, done, *sums, elapsed, seconds)
        examples = int(totals.examples)
        if not examples:
            raise UserError(
                f"the loss or its gradient was not finite in any step of epoch {epoch}, which were all "
                f"skipped; {_ADVICE}"
            )
        val_loss, val_accuracy = validate(state)
        if not math.isfinite(val_loss):  # by the epoch's last update, of which no step has seen the loss
            raise UserError(f"the validation loss was not finite after epoch {epoch}; {kept}; {_ADVICE}")
        rows.append(
            {
                "epoch": epoch,
                "step": int(state.step),
                "train_loss": float(totals.loss) / examples,
                "train_accuracy": int(totals.correct) / examples,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "images_per_second": examples / seconds,
                "seconds": before + time.monotonic() - started,
            }
            | ({"skipped_steps": int(totals.skipped)} if count_skipped else {})
        )
        progress.close(rows[-1])
        on_epoch(state, rows)
    return state, rows, None


def run_epoch(
    state: TrainState,
    loop_step: Callable,
    data: Batch,
    order: jax.Array,
    key: jax.Array,
    progress: EpochProgress,
    *,
    totals: EpochTotals | None = None,
    first_row: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[TrainState, EpochTotals, int, float]:
    """The steps of one epoch, from ``first_row`` on -> state, totals, rows done, seconds.

    ``totals`` are those before ``first_row``, None for empty ones. Ends early where ``should_stop`` says so,
    and once a loss was not finite.
    """
    started = time.monotonic()
    row = first_row
    pending = [empty_totals() if totals is None else totals]
    while row < len(order) and not should_stop():
        state, totals = loop_step(state, pending[-1], data, order, np.int32(row), key)
        row += 1
        pending.append(totals)
        if len(pending) > _AHEAD:
            # Waits for a step some way back, so that the device always has the next one at hand.
            older = jax.block_until_ready(pending.pop(0))
            if int(older.bad_step) >= 0:
                break
            if row > _AHEAD:
                progress.update(row - _AHEAD, lambda older=older: older)
    totals = jax.block_until_ready(pending[-1])
    return state, totals, row, time.monotonic() - started


def _last_good(rows: list[dict[str, Any]], start: Position) -> str:
    """Which checkpoint there is while the epoch after ``rows`` runs from ``start``, for a message."""
    step = rows[-1]["step"] if rows else 0
    if start.row:  # stopped within the epoch, and gone on with
        where = f"within epoch {start.epoch} (step {step + start.row})"
    else:
        where = f"epoch {rows[-1]['epoch']} (step {step})" if rows else "none yet"
    return f"last good checkpoint: {where}"


def _check_finite(totals: EpochTotals, learning_rate: Callable, kept: str) -> None:
    step = int(totals.bad_step)
    if step < 0:
        return
    with jax.numpy_dtype_promotion("standard"):
        rate = float(learning_rate(jnp.asarray(step)))
    raise UserError(
        f"the loss or its gradient was not finite at step {step}, learning rate {rate:.3g}; {kept}; {_ADVICE}"
    )
