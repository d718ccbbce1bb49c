"""What a run writes while it trains: checkpoints, metrics.jsonl, curves, event files, augmented faces."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.checkpoints import save as checkpoint
from fer_jax.checkpoints.restore import Record
from fer_jax.evaluate import plots
from fer_jax.runtime import files as workdir
from fer_jax.train.state import TrainState
from fer_jax.train.tensorboard import EventWriter
from fer_jax.transforms.augment import augment
from fer_jax.transforms.normalize import Normalization


class Outputs(NamedTuple):
    """Open files of the run in the workdir ``where``; ``events`` is None where none are wanted."""

    where: Path
    checkpoints: checkpoint.Checkpoints
    events: EventWriter | None


@contextlib.contextmanager
def open_outputs(where: Path, rows: list[dict[str, Any]], *, tensorboard: bool) -> Iterator[Outputs]:
    """Of a run that has ``rows`` so far; what was begun to be written is complete at the end of the block.

    Raises UserError if it could not be written.
    """
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(checkpoint.open_checkpoints(where))
        events = EventWriter(where / "tensorboard", rows) if tensorboard else None
        if events:
            stack.callback(events.close)
        yield Outputs(where, checkpoints, events)


def save_epoch(outputs: Outputs, state: TrainState, normalization: Normalization, record: Record) -> None:
    """After an epoch, the last of the record's rows."""
    checkpoint.save(outputs.checkpoints, state, normalization, record)
    write_rows(outputs.where, record.rows)
    if outputs.events:
        outputs.events.add(record.rows[-1])


def write_rows(where: Path, rows: list[dict[str, Any]]) -> None:
    """metrics.jsonl, and curves.png after it."""
    workdir.write_rows(where / "metrics.jsonl", rows)
    plots.save_curves(where / "curves.png", rows)


def save_augmented_faces(path: Path, images: np.ndarray, augmentation: dict[str, Any]) -> None:
    """A sheet to see that they are still faces: in each row one face, then nine augmentations of it."""
    chosen = images[:8]
    keys = jax.random.split(jax.random.key(0), 9)
    drawn = jax.vmap(lambda key: augment(key, jnp.asarray(chosen), **augmentation))(keys)
    sheet = np.concatenate([chosen[:, None], np.moveaxis(np.asarray(drawn), 0, 1)], 1)
    plots.save_contact_sheet(path, sheet.reshape(-1, *images.shape[1:]), columns=10)
    print(f"augmentation: {path} shows what it does to {len(chosen)} faces")
