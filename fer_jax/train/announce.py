"""Print what a run does while it trains."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_jax.checkpoints.weights import Record
from fer_jax.data.faces import Splits
from fer_jax.models import parameter_table
from fer_jax.runtime.progress import duration
from fer_jax.runtime.words import number_of
from fer_jax.train.epochs import Position, Row, best_row
from fer_jax.train.loop import Plan


def full_size(platform: str, side: int, sides: Sequence[int]) -> None:
    """Print that ``platform`` trains at one ``side``, where a CPU would train at ``sides``."""
    print(
        f"training at {side} pixels throughout: on a {platform.upper()} a further size costs more to compile "
        f"than it saves; to train at several, add '--config.train_sides={tuple(sides)}'"
    )


def data(dataset: str, splits: Splits, seconds: float) -> None:
    """Print the devices, how long reading took, and how many training faces each class has."""
    of_processes = f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
    print(f"device: {jax.devices()[0].device_kind} ({len(jax.devices())}{of_processes})")
    print(f"data: {dataset}, read in {seconds:.1f} s")
    for note in splits.notes:
        print(f"  {note}")
    counts = np.bincount(splits.train.labels, minlength=len(splits.labels))
    print(_class_counts(counts, splits.labels))


def _class_counts(counts: np.ndarray, labels: Sequence[str]) -> str:
    """Format how many training faces each class has: bars, unless all classes have about as many."""
    if counts.max() <= 1.05 * counts.min():
        few, most = f"{counts.min():,}", f"{counts.max():,}"
        return (
            f"  {few if few == most else f'{few} to {most}'} training faces of each of {len(labels)} classes"
        )
    width = max(8, *map(len, labels))
    return "\n".join(
        f"  {label:<{width}} {count:>6,} {'█' * round(40 * count / counts.max())}"
        for label, count in zip(labels, counts, strict=True)
    )


def network(name: str, params: Any, devices: int, batch_size: int) -> None:
    """Print the network's blocks, and how many devices train it if not all do."""
    print(f"model: {name}; all layers are in network.txt")
    print(parameter_table(params, by_block=True))
    count = jax.device_count()
    if devices < count:
        print(f"Using {devices} of {count} devices: batch_size {batch_size} is not divisible by more.")


def other_network(part: str, name: str, record: Record, data_digest: str) -> None:
    """Print which trained network takes ``part`` in this training, and how good it is."""
    print(f"{part}: {name}, {record.rows[-1]['val_accuracy']:.1%} on its validation faces")
    if record.data["digest"] != data_digest:
        print(
            "  was trained on other faces than this run's; if this run's validation faces were among them, "
            "the validation accuracy below is too high"
        )


def votes(path: str, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Print for how many of the labels (N,) the votes of ``path`` suffice, by ``probabilities`` (N, K)."""
    right = np.mean(probabilities.argmax(1) == labels)
    print(f"teacher: knows the votes of {path}, by which {right:.1%} of the labels are the likeliest")


def initial_weights(num_networks: int, known: Sequence[str], labels: Sequence[str]) -> None:
    """Print that the weights to start from are a mean, if they are, and which classes get random outputs.

    Those are the ``labels`` that are not ``known`` to the network.
    """
    if num_networks > 1:
        print(f"  the mean of the weights of these {num_networks} networks")
    if new := [label for label in labels if label not in known]:
        print(f"  does not know {', '.join(new)}: their outputs begin with random weights")


def training(plan: Plan, num_train: int, side: int, workdir: Path) -> None:
    """Print how long training will be, and at what image sizes; validation uses ``side`` pixels."""
    epochs, steps = number_of(plan.epochs.count, "epoch"), number_of(num_train // plan.batch_size, "step")
    print(f"training: {epochs} of {steps}; writes to {workdir}/")
    sizes = [size for size, _ in itertools.groupby(plan.epochs.image_sizes)]
    if sizes != [side]:
        print(
            f"  on faces of {', then '.join(map(str, sizes))} pixels; validation uses {side} pixels, so its "
            "accuracy is low until training reaches that size"
        )


def resumed(workdir: Path, position: Position, before: int, now: int) -> None:
    """Print where the run in ``workdir`` goes on; ``before`` and ``now`` are its numbers of epochs."""
    if position.steps:
        print(f"{workdir}: going on in epoch {position.epoch}, after {position.steps} of its steps")
    else:
        print(f"{workdir}: going on after epoch {position.epoch - 1} (step {position.first_step})")
    if now > before:
        lengths = f"{number_of(before, 'epoch')} before, {now:,} now"
        print(f"  {lengths}: the learning-rate schedule stretches to the new length")


def finished(workdir: Path, rows: list[Row], *, epochs: int, patience: int) -> None:
    """Print that there is nothing left to train, and which flag changes that."""
    if rows[-1]["epoch"] < epochs:
        waited = number_of(patience, "epoch")
        longer = f"{waited} went by without a better one; to go on: --config.patience=N, 0 for all"
    else:
        longer = "a longer one: --config.epochs=N"
    print(f"{workdir}: this run is finished; {longer}, another one: --workdir=DIR")


def where_stopped(position: Position, *, finished: bool) -> str:
    """The part of a message that says where a signal ended the run."""
    if finished:
        return "stopped after the last epoch; saved, not yet scored"
    if position.steps:
        return f"stopped in epoch {position.epoch}, after {position.steps} of its steps; saved"
    if position.rows:
        return f"stopped after epoch {position.epoch - 1}; saved"
    return "stopped before the first step"


def where_saved(position: Position) -> str:
    """The part of a message that names the checkpoint at ``position``."""
    if position.steps:
        return f"within epoch {position.epoch} (step {position.first_step + position.steps})"
    rows = position.rows
    return f"epoch {rows[-1]['epoch']} (step {position.first_step})" if rows else "none yet"


def last_and_best(rows: list[Row], workdir: Path) -> None:
    """Print a table of the last epoch and the best one."""
    last, best = rows[-1], best_row(rows)
    print(f"\n{'':<6} {'epoch':>5}  {'training':>16}  {'validation':>16}")
    print(f"{'':<6} {'':>5}  {'loss  accuracy':>16}  {'loss  accuracy':>16}")
    for name, row in (("last", last), ("best", best)):
        print(
            f"{name:<6} {row['epoch']:>5}  {row['train_loss']:>6.3f}  {row['train_accuracy']:>8.2%}  "
            f"{row['val_loss']:>6.3f}  {row['val_accuracy']:>8.2%}"
        )
    print(
        f"{duration(last['seconds'])} of training; {workdir}/ holds curves.png, metrics.jsonl, checkpoints/\n"
    )
