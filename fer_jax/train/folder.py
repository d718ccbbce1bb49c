"""The folder of a run that trains; of several processes, process 0 alone reads and writes it."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.checkpoints import restore, save
from fer_jax.checkpoints.same_run import check_random_keys, check_same_run
from fer_jax.checkpoints.weights import Record, Weights
from fer_jax.data.faces import Splits
from fer_jax.errors import UserError
from fer_jax.evaluate.report import Scored, score_and_report
from fer_jax.models import parameter_table
from fer_jax.runtime.command import Config
from fer_jax.runtime.distributed import first_process, from_first
from fer_jax.runtime.files import os_reason, write_json, write_text
from fer_jax.runtime.lock import locked
from fer_jax.train import announce, outputs
from fer_jax.train.environment import environment_changes
from fer_jax.train.epochs import Position, Row
from fer_jax.train.saver import Saver
from fer_jax.train.state import TrainState
from fer_jax.transforms.normalize import Normalization


class RunFolder:
    """A run's folder. All processes call its methods; what process 0 finds or fails at reaches all.

    Attributes:
      path: the workdir.
    """

    def __init__(self, workdir: Path) -> None:
        self.path = workdir
        self._held = contextlib.ExitStack()
        self._begun = False
        self._saver: Saver | None = None
        self._curves = outputs.Curves(workdir)
        self._events: outputs.EventWriter | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Release the folder's lock at the end, and raise UserError in place of OSError."""
        try:
            with self._held:
                yield
        except OSError as error:
            raise UserError(
                f"{error.filename or self.path}: {os_reason(error)}; what {self.path} holds is whole, and "
                "the same command goes on once files can be written"
            ) from error

    def begin(self, config: Config) -> Record | None:
        """Lock the folder of a run that has begun, and return its latest record; None for a new run.

        The folder of a new run is made by ``make``, once its input is known to be good. Raises UserError if
        another process trains there, or the run has another config.
        """
        found = self._begin(config)
        return found and Record(*found)

    @first_process
    def _begin(self, config: Config) -> Record | None:
        if any(self.path.glob("seed-*")):
            raise UserError(
                f"{self.path}: holds runs of several seeds; add --workdir={self.path}-2 for a run of one seed"
            )
        self._begun = self.path.is_dir()
        if self._begun:
            self._held.enter_context(locked(self.path))
        record = restore.latest_record(self.path)
        if record:
            check_same_run(record, config, str(self.path))
        return record

    @first_process
    def make(self) -> None:
        """Make and lock the folder of a new run; do nothing if ``begin`` has locked it."""
        if self._begun:
            return
        self._held.enter_context(locked(self.path))
        if restore.has_checkpoint(self.path):  # of a run that was not compared with this command
            raise UserError(
                f"{self.path}: another process began a run there just now; add --workdir={self.path}-2"
            )

    @first_process
    def write_config(self, config: Config, environment: dict[str, Any], *, resumed: bool) -> None:
        """Write config.json; if the run is resumed, print how its environment has changed."""
        path = self.path / "config.json"
        if resumed and (changes := environment_changes(path, environment)):
            print(
                f"{self.path}: not as before: {', '.join(changes)}; results may differ, perhaps only in "
                "their last bits"
            )
        write_json(path, config | {"environment": environment})

    @first_process
    def write_network(self, params: Any) -> None:
        """Write network.txt, a table of all layers."""
        write_text(self.path / "network.txt", parameter_table(params) + "\n")

    def restore(self, fresh: TrainState) -> tuple[TrainState, Record] | None:
        """Return state and record of the latest checkpoint, or None; ``fresh`` gives shapes and dtypes.

        Raises UserError if training cannot go on from it.
        """
        states = [fresh]
        record = self._restore(states)
        return record and (from_first(states[-1]), Record(*record))

    @first_process
    def _restore(self, states: list[TrainState]) -> Record | None:
        restored = restore.restore_latest(self.path, states[0])
        if restored is None:
            return None
        state, record = restored
        check_random_keys(record, str(self.path))
        states.append(state)
        return record

    @first_process
    def write_rows(self, rows: list[Row]) -> None:
        """Write metrics.jsonl and curves.png."""
        outputs.write_metrics(self.path, rows)
        outputs.save_curves(self.path / "curves.png", rows)

    @first_process
    def save_augmented_faces(self, images: np.ndarray, augmentation: dict[str, Any]) -> None:
        """Write augmented.png."""
        outputs.save_augmented_faces(self.path / "augmented.png", images, augmentation)

    @contextlib.contextmanager
    def writing(self, start: Position, normalization: Normalization, record: Record) -> Iterator[None]:
        """Allow ``end_epoch`` and ``finish`` within the block; everything is written at its end.

        ``start`` is where training begins, ``record`` that of a new run. Raises UserError if something could
        not be written.
        """
        with contextlib.ExitStack() as stack:
            self._open_outputs(stack, start, normalization, record)
            yield
            first_process(stack.close)()

    @first_process
    def _open_outputs(
        self, stack: contextlib.ExitStack, start: Position, normalization: Normalization, record: Record
    ) -> None:
        checkpoints = stack.enter_context(save.open_checkpoints(self.path))

        def write(state: TrainState, position: Position) -> None:
            step, weights = position.first_step + position.steps, Weights(state.variables(), normalization)
            here = record._replace(rows=position.rows, position=position.within_epoch())
            save.save(checkpoints, step, state, weights, here)

        self._saver = Saver(write, start, seconds=60 * record.config["checkpoint_minutes"])
        if record.config["tensorboard"]:
            self._events = outputs.EventWriter(self.path / "tensorboard", start.rows)
            stack.callback(self._events.close)

    @first_process
    def end_epoch(self, state: TrainState, position: Position) -> None:
        """Write an epoch's metrics and events, and where it is time to also a checkpoint and the curves."""
        self._saver.end_epoch(state, position)
        outputs.write_metrics(self.path, position.rows)
        if self._events:
            self._events.add(position.rows[-1])
        self._curves.add(position.rows)

    @first_process
    def finish(self, state: TrainState, position: Position) -> None:
        """Save a checkpoint at the end of training, at ``position``, and draw the curves to there."""
        self._saver.save(state, position)
        self._curves.finish()

    @first_process
    def fail(self) -> str:
        """Save the best epoch and draw the curves before training fails -> where the last checkpoint is."""
        self._saver.save_best()
        self._curves.finish()
        return announce.where_saved(self._saver.last)

    @first_process
    def score_best(self, config: Config, splits: Splits) -> None:
        """Score the best checkpoint on the validation faces, and write ``eval/``."""
        best = restore.load_best(self.path, mine=True)
        config = best.record.config | {"split": "validation", "views": config["views"]}
        scored = Scored(splits, splits.validation, 0)
        score_and_report(dataclasses.replace(best, config=config), scored, self.path)
