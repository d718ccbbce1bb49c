"""Write the checkpoints of a run that is training: which ones stay, and when one is complete."""

import contextlib
import copy
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_jax.checkpoints import digests, orbax
from fer_jax.checkpoints.restore import folders, rank, warn
from fer_jax.checkpoints.weights import Record, Weights, as_tree
from fer_jax.errors import UserError


@dataclasses.dataclass
class Checkpoints:
    """The checkpoints of a run that is training.

    Attributes:
      folder: where they are.
      saving: the step of the save under way, and a function that waits for its end.
      rows: of metrics.jsonl, at the last save.
    """

    folder: Path
    saving: tuple[int, Callable[[], None]] | None = None
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def open_checkpoints(workdir: Path) -> Iterator[Checkpoints]:
    """Open ``workdir/checkpoints`` to save to it, and remove half-written checkpoints.

    At the end of the block all saves are complete. Raises UserError if one could not be written.
    """
    folder = workdir.absolute() / "checkpoints"
    for half_written in folder.glob("*.orbax-checkpoint-tmp*"):
        remove = shutil.rmtree if half_written.is_dir() else Path.unlink
        with contextlib.suppress(OSError):
            remove(half_written)
        done = "stays, since it cannot be removed" if half_written.exists() else "removed"
        warn(f"{folder}/{half_written.name.split('.')[0]}: was only half written; {done}")
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder)
    try:
        yield checkpoints
        _wait(checkpoints)
    finally:
        # After an error, which is on its way to the user already.
        with contextlib.suppress(Exception):
            _wait(checkpoints)


def save(checkpoints: Checkpoints, step: int, state: Any, weights: Weights, record: Record) -> None:
    """Begin to write one checkpoint, atomically, named by its step, in the background.

    The previous one is complete when this returns. Raises UserError if either cannot be written.

    Args:
      checkpoints: from ``open_checkpoints``.
      step: updates so far.
      state: arrays that training goes on from.
      weights: arrays that inference uses.
      record: of the run, up to here.
    """
    _wait(checkpoints)
    # Copies, since the next step takes the state's buffers, and the next epoch adds to the rows.
    trees = jax.tree.map(np.array, {"state": state, "weights": as_tree(weights)})
    fields = copy.deepcopy(record._asdict())
    checkpoints.rows = fields["rows"]
    fields["digests"] = {name: [digests.layout(tree), digests.content(tree)] for name, tree in trees.items()}
    fields["record_digest"] = digests.text(fields)
    with _as_user_error(checkpoints, step):
        checkpoints.saving = step, orbax.begin_save(checkpoints.folder / str(step), trees, fields)


@contextlib.contextmanager
def _as_user_error(checkpoints: Checkpoints, step: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise UserError(
            f"{checkpoints.folder}: checkpoint {step} could not be written ({orbax.reason(error)}); earlier "
            "ones are intact; free space or repair the disk, then repeat the command to go on from there"
        ) from error


def _wait(checkpoints: Checkpoints) -> None:
    """Wait until the save under way is complete; only then remove all but the last two and the best.

    The best is that of a complete epoch, the earlier of equals.
    """
    if checkpoints.saving is None:
        return
    (step, wait), checkpoints.saving = checkpoints.saving, None
    with _as_user_error(checkpoints, step):
        wait()
    paths = folders(checkpoints.folder.parent)
    ranks = {str(row["step"]): rank(row) for row in checkpoints.rows}
    best = max((p for p in paths if p.name in ranks), key=lambda p: ranks[p.name], default=None)
    for path in paths[:-2]:
        if path != best:
            shutil.rmtree(path, ignore_errors=True)
