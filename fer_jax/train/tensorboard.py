"""A run's figures as event files for TensorBoard, written without TensorFlow."""

from pathlib import Path
from typing import Any

from fer_jax.errors import UserError

_NOT_FIGURES = ("epoch", "step")


class EventWriter:
    """Writes rows of metrics.jsonl to event files in ``folder``, one scalar a figure, over the epochs.

    A resumed run starts the files anew from its rows, so that an epoch done twice is there once.
    """

    def __init__(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        """Writes the rows of the run so far. Raises UserError if tensorboardX is not installed."""
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
        """One epoch; on disk when this returns."""
        for name, value in row.items():
            if name not in _NOT_FIGURES:
                part, _, figure = name.partition("_")
                # One chart for training and validation each, side by side.
                tag = f"{figure}/{part}" if part in ("train", "val") else name
                self._writer.add_scalar(tag, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
