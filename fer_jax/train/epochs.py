"""The epochs of a run: how far it is, when it ends, and the image size of each epoch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.checkpoints.restore import rank
from fer_jax.labels import SIDE

Row = dict[str, Any]
"""A line of metrics.jsonl."""


class EpochTotals(NamedTuple):
    """Sums over an epoch's batches: plain numbers, or within a step, scalars on the device.

    Attributes:
      loss: float32, sum over examples of the training loss.
      correct: int32, examples predicted right.
      examples: int32.
      bad_step: int32, the first step whose loss or gradient was not finite; -1 if none.
      skipped: int32, steps skipped for that reason; their examples are in none of the sums.
    """

    loss: jax.Array | float = 0.0
    correct: jax.Array | int = 0
    examples: jax.Array | int = 0
    bad_step: jax.Array | int = -1
    skipped: jax.Array | int = 0

    def packed(self) -> np.ndarray:
        """Pack the numbers as a step takes and returns them: int32 (5,), the loss as the bits of its float32.

        In one array, a GPU adds to them by one kernel.
        """
        return np.array([np.float32(self.loss).view(np.int32), *self[1:]], np.int32)


def unpack_totals(packed: jax.Array) -> EpochTotals:
    """The plain numbers of ``EpochTotals.packed``; waits for the device."""
    numbers = np.asarray(packed)
    return EpochTotals(float(numbers[:1].view(np.float32)[0]), *numbers[1:].tolist())


def add_metrics(
    packed: jax.Array, metrics: dict[str, jax.Array], step: jax.Array, *, batch_size: int
) -> jax.Array:
    """Add the metrics of a train step to the totals of ``EpochTotals.packed``.

    ``step`` int32 () counts from 0 over the whole run.
    """
    totals = EpochTotals(jax.lax.bitcast_convert_type(packed[0], jnp.float32), *packed[1:])
    added = _added(totals, metrics, step, batch_size)
    return jnp.stack([jax.lax.bitcast_convert_type(added.loss, jnp.int32), *added[1:]])


def _added(
    totals: EpochTotals, metrics: dict[str, jax.Array], step: jax.Array, batch_size: int
) -> EpochTotals:
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
    added = totals._replace(
        loss=totals.loss + metrics["loss"] * batch_size,
        correct=totals.correct + metrics["correct"],
        examples=totals.examples + batch_size,
        bad_step=jnp.where(~finite & (totals.bad_step < 0), step, totals.bad_step),
    )
    if "skipped" not in metrics:
        return added
    # A skipped step is no reason to stop, and adds nothing.
    left_out = totals._replace(skipped=totals.skipped + 1)
    added = added._replace(bad_step=totals.bad_step)
    return jax.tree.map(lambda a, b: jnp.where(metrics["skipped"] > 0, a, b), left_out, added)


class Position(NamedTuple):
    """The progress of a run, in plain numbers for JSON.

    Attributes:
      rows: of metrics.jsonl, one for each complete epoch.
      seconds: time in training since the run's first start, summed over resumes.
      steps: number of steps done in the epoch after ``rows``.
      totals: sums over these steps.
      epoch_seconds: time that these steps took.
    """

    rows: list[Row]
    seconds: float = 0.0
    steps: int = 0
    totals: EpochTotals = EpochTotals()
    epoch_seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """The current epoch, from 1."""
        return self.rows[-1]["epoch"] + 1 if self.rows else 1

    @property
    def first_step(self) -> int:
        """The number of updates before this epoch."""
        return self.rows[-1]["step"] if self.rows else 0

    def within_epoch(self) -> dict[str, Any] | None:
        """All fields except ``rows``, for a checkpoint's record; None at the end of an epoch."""
        fields = self._asdict() | {"totals": self.totals._asdict()}
        del fields["rows"]
        return fields if self.steps else None


def position_of(rows: list[Row], within_epoch: dict[str, Any] | None) -> Position:
    """Rebuild a position from its rows and the result of ``Position.within_epoch``."""
    if within_epoch is None:
        return Position(rows, rows[-1]["seconds"] if rows else 0.0)
    totals = EpochTotals(**within_epoch["totals"])
    return Position(rows, **(within_epoch | {"totals": totals}))


class Epochs(NamedTuple):
    """The length of a run, and its image sizes.

    Attributes:
      count: epochs in all.
      patience: epochs without a better one after which training ends; 0 for never.
      image_sizes: heights and widths in pixels, each for an equal share of the run. Small images at first
        train faster (progressive resizing: Howard, "Training ImageNet in 3 hours", 2018).
    """

    count: int
    patience: int = 0
    image_sizes: tuple[int, ...] = (SIDE,)


def best_row(rows: list[Row]) -> Row:
    """The epoch with the highest validation accuracy, the earlier of equals."""
    return max(rows, key=rank)


def is_finished(rows: list[Row], epochs: Epochs) -> bool:
    """Whether all epochs are done, or ``patience`` of them brought no better one.

    Epochs at reduced image size do not count towards patience.
    """
    if not rows:
        return False
    # Validation is at full size, and its accuracy is low until training has reached that size.
    reduced = max((n for n, s in enumerate(epochs.image_sizes, 1) if s != epochs.image_sizes[-1]), default=0)
    waited = rows[-1]["epoch"] - max(best_row(rows)["epoch"], _first(reduced, epochs))
    return rows[-1]["epoch"] >= epochs.count or 0 < epochs.patience <= waited


def image_size_of(epoch: int, epochs: Epochs) -> int:
    """Height and width in pixels of the faces in ``epoch``, counted from 1."""
    return epochs.image_sizes[(epoch - 1) * len(epochs.image_sizes) // epochs.count]


def size_changes(epochs: Epochs) -> dict[int, int]:
    """First epoch -> image size, for each part of the run with a size of its own; empty if all have one."""
    firsts = {_first(number, epochs) + 1: size for number, size in enumerate(epochs.image_sizes)}
    before = {epoch: image_size_of(epoch - 1, epochs) for epoch in firsts if 1 < epoch <= epochs.count}
    changes = {epoch: firsts[epoch] for epoch in (1, *before) if firsts[epoch] != before.get(epoch)}
    return changes if len(changes) > 1 else {}


def epochs_left(epoch: int, epochs: Epochs, *, teaching: float = 0.0) -> float:
    """The work after ``epoch``, in epochs of its image size: the cost of a face grows with its pixels.

    ``teaching`` is the cost of the teachers' forward pass on a face, always at their own size, in steps of
    the network on a face of 48 x 48.
    """
    total, cost = 0.0, {size: size**2 + teaching * SIDE**2 for size in epochs.image_sizes}
    for number, size in enumerate(epochs.image_sizes):
        total += cost[size] * max(0, _first(number + 1, epochs) - max(_first(number, epochs), epoch))
    return total / cost[image_size_of(epoch, epochs)]


def _first(number: int, epochs: Epochs) -> int:
    """The number of epochs before the first one at ``image_sizes[number]``."""
    return -(-number * epochs.count // len(epochs.image_sizes))
