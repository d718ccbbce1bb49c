"""What a run tells while it trains, on the screen."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_jax.checkpoints.restore import Record
from fer_jax.data.faces import Splits
from fer_jax.labels import LABELS, SIDE
from fer_jax.models import parameter_table
from fer_jax.runtime.progress import duration
from fer_jax.train.loop import Position, best_row


def data(dataset: str, splits: Splits, seconds: float) -> None:
    """The devices, how long reading took, and how many faces of each expression there are to train on."""
    of_processes = f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
    print(f"device: {jax.devices()[0].device_kind} ({len(jax.devices())}{of_processes})")
    print(f"data: {dataset}, read in {seconds:.1f} s")
    for note in splits.notes:
        print(f"  {note}")
    counts = np.bincount(splits.train.labels, minlength=len(LABELS))
    for label, count in zip(LABELS, counts, strict=True):
        print(f"  {label:<8} {count:>6,} {'█' * round(40 * count / counts.max())}")


def network(name: str, params: Any, *, devices: int) -> None:
    """Its layers, and how many devices train it where these are not all."""
    print(f"model: {name}")
    print(parameter_table(params))
    if devices < jax.device_count():
        print(f"{devices} of {jax.device_count()} devices are used: batch_size is no multiple of more")


def other_network(part: str, name: str, record: Record, data_digest: str) -> None:
    """Which trained network takes ``part`` in this training, and how good it is."""
    print(f"{part}: {name}, {record.rows[-1]['val_accuracy']:.1%} on its validation faces")
    if record.data["digest"] != data_digest:
        print(
            "  was trained on other faces than this run's; if this run's validation faces were among them, "
            "the validation accuracy below is too high"
        )


def training(*, epochs: int, steps: int, sides: Sequence[int], where: Path) -> None:
    """What is about to begin."""
    print(f"training: {epochs} epochs of {steps} steps; writes to {where}/")
    shares = [side for side, _ in itertools.groupby(sides)]
    if shares != [SIDE]:
        print(
            f"  on faces of {', then '.join(map(str, shares))} pixels a side; validation is at {SIDE} "
            "throughout, so that its accuracy is low until training gets near that size"
        )


def resumed(
    where: Path, rows: list[dict[str, Any]], position: Position | None, before: int, now: int
) -> None:
    """From where the run in ``where`` goes on; ``before`` and ``now`` are its epochs in all."""
    if position:
        print(f"{where}: going on in epoch {position.epoch}, after {position.row} of its steps")
    else:
        print(f"{where}: going on after epoch {rows[-1]['epoch']} (step {rows[-1]['step']})")
    if now > before:
        print(f"  {before} epochs before, {now} now: the learning-rate schedule stretches to the new length")


def where_stopped(position: Position | None, rows: list[dict[str, Any]]) -> str:
    """A line's part that says where a signal ended the run; None for after the last step."""
    if position is None:
        return "stopped after the last epoch; saved, not yet scored"
    if position.row:
        return f"stopped in epoch {position.epoch}, after {position.row} of its steps; saved"
    return f"stopped after epoch {rows[-1]['epoch']}; saved" if rows else "stopped before the first step"


def table(rows: list[dict[str, Any]], where: Path) -> None:
    """The last epoch and the best one."""
    last, best = rows[-1], best_row(rows)
    print(f"\n{'':<6} {'epoch':>5}  {'training':>16}  {'validation':>16}")
    print(f"{'':<6} {'':>5}  {'loss  accuracy':>16}  {'loss  accuracy':>16}")
    for name, row in (("last", last), ("best", best)):
        print(
            f"{name:<6} {row['epoch']:>5}  {row['train_loss']:>6.3f}  {row['train_accuracy']:>8.2%}  "
            f"{row['val_loss']:>6.3f}  {row['val_accuracy']:>8.2%}"
        )
    print(
        f"{duration(last['seconds'])} of training; {where}/ holds curves.png, metrics.jsonl, checkpoints/\n"
    )
