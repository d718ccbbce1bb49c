"""Write the files of a run that trains, besides its checkpoints."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.errors import UserError
from fer_jax.evaluate.plots import run_title
from fer_jax.runtime import files
from fer_jax.runtime.figures import BLUE, ORANGE, save_contact_sheet, save_figure, subplots
from fer_jax.runtime.words import number_of
from fer_jax.train.epochs import size_changes
from fer_jax.train.recipe import epochs_of
from fer_jax.transforms.augment import augment

_CURVES_SECONDS = 30


def write_metrics(workdir: Path, rows: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl."""
    files.write_rows(workdir / "metrics.jsonl", rows)


class Curves:
    """Draws curves.png of a run that trains, at most every half minute: a drawing takes part of a second."""

    def __init__(self, workdir: Path) -> None:
        self._path, self._drawn_at, self._waiting = workdir / "curves.png", -math.inf, None

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Draw ``rows`` now, or by a later call."""
        self._waiting = rows
        if time.monotonic() - self._drawn_at >= _CURVES_SECONDS:
            self.finish()

    def finish(self) -> None:
        """Draw the rows that wait to be drawn."""
        if self._waiting is not None:
            rows, self._waiting = self._waiting, None
            save_curves(self._path, rows)
            self._drawn_at = time.monotonic()


def save_curves(path: str | os.PathLike, rows: list[dict[str, Any]]) -> None:
    """Draw loss and accuracy over the epochs, training and validation, from the rows of metrics.jsonl.

    The title names the run and its data, and lines show where the image size changes. Both come from
    config.json beside the picture, and are left out where it is missing or damaged.
    """
    path = Path(path)
    title, sizes = _from_config(path.with_name("config.json"))
    figure, axes = subplots(1, 2, figsize=(10, 4))
    figure.suptitle(title, fontsize=12)
    epochs = [row["epoch"] for row in rows]
    for axis, name, scale in zip(axes, ("loss", "accuracy"), (1, 100), strict=True):
        for part, label, colour in (("train", "training", ORANGE), ("val", "validation", BLUE)):
            values = [scale * row[f"{part}_{name}"] for row in rows]
            axis.plot(epochs, values, color=colour, label=label, marker="o", markersize=3)
        axis.set_xlabel("epoch")
        axis.set_ylabel(name if scale == 1 else f"{name} (%)")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        _mark_sizes(axis, {epoch: size for epoch, size in sizes.items() if epoch <= epochs[-1]})
        axis.legend()
    save_figure(figure, path)


def _from_config(path: Path) -> tuple[str, dict[int, int]]:
    """The title of a run's picture, and the first epoch of each image size, from its config.json."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return run_title(path.parent, config["dataset"]), size_changes(epochs_of(config))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return "", {}


def _mark_sizes(axis: Any, sizes: dict[int, int]) -> None:
    """Draw a line before the first epoch of each image size, and write the size beside it."""
    for epoch, size in sizes.items():
        axis.axvline(epoch - 0.5, color="grey", linestyle=":", linewidth=1)
        place = {"xytext": (3, 3), "textcoords": "offset points"}
        at = (epoch - 0.5, 0), axis.get_xaxis_transform()
        axis.annotate(f"{size} px", at[0], xycoords=at[1], color="grey", fontsize=8, **place)


def save_augmented_faces(path: Path, images: np.ndarray, augmentation: dict[str, Any]) -> None:
    """Draw a sheet to check the augmentation: in each row a face, then nine augmentations of it."""
    chosen = images[:8]
    keys = jax.random.split(jax.random.key(0), 9)
    drawn = jax.vmap(lambda key: augment(key, jnp.asarray(chosen), **augmentation))(keys)
    sheet = np.concatenate([chosen[:, None], np.moveaxis(np.asarray(drawn), 0, 1)], 1)
    save_contact_sheet(path, sheet.reshape(-1, *images.shape[1:]), columns=10)
    print(f"augmentation: {path} shows what it does to {number_of(len(chosen), 'face')}")


class EventWriter:
    """Writes rows of metrics.jsonl to event files in ``folder``, a scalar for each figure, over the epochs.

    A resumed run starts the files anew from its rows, so that a repeated epoch is in them once.
    """

    def __init__(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        """Write the rows of the run so far. Raises UserError if tensorboardX is not installed."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise UserError(
                "config.tensorboard needs tensorboardX: pip install -r requirements-tensorboard.txt"
            ) from error
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder))
        for row in rows:
            self.add(row)

    def add(self, row: dict[str, Any]) -> None:
        """Write one epoch; it is on disk when this returns."""
        for name, value in row.items():
            part, _, figure = name.partition("_")
            if name not in ("epoch", "step"):
                # One chart for training and validation each, side by side.
                tag = f"{figure}/{part}" if part in ("train", "val") else name
                self._writer.add_scalar(tag, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
