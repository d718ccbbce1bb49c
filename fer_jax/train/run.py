"""``--mode=train``: from a config and a workdir to a trained, saved network."""

import contextlib
import signal
import time
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fer_jax.check_config import check_same_run, check_values, fields_of_run
from fer_jax.checkpoints import digests as integrity
from fer_jax.checkpoints import save as checkpoint
from fer_jax.checkpoints.choose import NamedNetworks, named_networks
from fer_jax.checkpoints.restore import Record
from fer_jax.data import load_dataset
from fer_jax.data.compressed import os_reason
from fer_jax.data.faces import Splits, digest
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.labels import LABELS
from fer_jax.runtime import distributed, signals
from fer_jax.runtime import files as workdir
from fer_jax.runtime.distributed import on_first
from fer_jax.runtime.lock import locked
from fer_jax.runtime.sharding import make_mesh
from fer_jax.train import announce
from fer_jax.train.loop import Position, fit, is_finished
from fer_jax.train.outputs import Outputs, open_outputs, save_augmented_faces, save_epoch, write_rows
from fer_jax.train.recipe import batch_size_of, make_pieces
from fer_jax.train.state import TrainState
from fer_jax.train.step import Batch
from fer_jax.transforms.normalize import class_weights


def train(config: ConfigDict, where: Path) -> None:
    """Trains as ``config`` says in the workdir ``where``, going on from its latest checkpoint if any.

    Raises:
      UserError: bad input, a run of another config or data in the workdir, another process at work there, a
        disk that cannot be written to, or a loss that is not finite.
      signals.Stopped: by Ctrl-C or SIGTERM, once training has begun; what was done is saved.
    """
    check_values(workdir.plain(config))
    if on_first(lambda: any(where.glob("seed-*"))):
        raise UserError(f"{where}: holds runs of several seeds; add --workdir={where}-2 for one of one seed")
    try:
        with contextlib.ExitStack() as lock:
            _train_locked(config, where, lock)
    except OSError as error:
        raise UserError(
            f"{error.filename or where}: {os_reason(error)}; what {where} holds is whole, and the same "
            "command goes on once files can be written"
        ) from error


def _train_locked(config: ConfigDict, where: Path, lock: contextlib.ExitStack) -> None:
    """``lock`` gets the workdir's lock, which makes the folder: not before the input is known to be good."""
    plain_config = workdir.plain(config)
    distributed.same_in_all("settings", integrity.text(fields_of_run(plain_config)))
    begun = on_first(where.is_dir)
    if begun:
        on_first(lambda: _lock(lock, where))
    record = _latest_record(where)
    if record is not None:
        check_same_run(record.config, plain_config, str(where))
    started = time.monotonic()
    splits = distributed.in_all(lambda: load_dataset(plain_config))
    data = {"digest": digest(splits), "train": len(splits.train), "validation": len(splits.validation)}
    distributed.same_in_all("data", data["digest"])
    if record is not None and record.data["digest"] != data["digest"]:
        raise UserError(
            f"{where}: holds a run on other data than {config.dataset} gives now; add --workdir=DIR"
        )
    announce.data(config.dataset, splits, time.monotonic() - started)
    rows = record.rows if record else []
    finished = is_finished(rows, epochs=config.epochs, patience=config.patience, sides=config.train_sides)
    networks = None if finished else distributed.in_all(lambda: named_networks(plain_config))
    if not begun:
        on_first(lambda: _lock(lock, where))
        # The other one's run was not compared with this command.
        if on_first(lambda: checkpoint.has_checkpoint(where)):
            raise UserError(f"{where}: another process began a run there just now; add --workdir={where}-2")
    if networks is None:
        print(f"{where}: this run is finished; {_longer(config, rows)}, another one: --workdir=DIR")
        # A kill between the last checkpoint and these files would else leave them short for good.
        on_first(lambda: write_rows(where, rows))
    else:
        digests = networks.digests()
        distributed.same_in_all("networks to build on", integrity.text(digests))
        environment = workdir.environment(data, digests)
        on_first(lambda: _write_config(where, plain_config, environment, resumed=record is not None))
        rows = _train(config, where, splits, Record(plain_config, [], list(LABELS), data), networks)
    announce.table(rows, where)
    on_first(lambda: _score_best(config, where, splits))


def _longer(config: ConfigDict, rows: list[dict[str, Any]]) -> str:
    if rows[-1]["epoch"] < config.epochs:
        return (
            f"{config.patience} epochs went by without a better one; to go on: --config.patience=N, 0 for all"
        )
    return "a longer one: --config.epochs=N"


def _lock(lock: contextlib.ExitStack, where: Path) -> None:
    lock.enter_context(locked(where))


def _latest_record(where: Path) -> Record | None:
    def read() -> dict[str, Any] | None:
        record = checkpoint.latest_record(where)
        return record and record._asdict()

    found = on_first(read)
    return found and Record(**found)


def _write_config(
    where: Path, plain_config: dict[str, Any], environment: dict[str, Any], *, resumed: bool
) -> None:
    if resumed and (changes := workdir.environment_changes(where / "config.json", environment)):
        print(f"{where}: not as before: {', '.join(changes)}; results may differ, if only in their last bits")
    workdir.write_json(where / "config.json", plain_config | {"environment": environment})


def _score_best(config: ConfigDict, where: Path, splits: Splits) -> None:
    weights, best, row = checkpoint.load_best(where, mine=True)
    scored = best.config | {"split": "validation", "views": config.views}
    run_evaluate.score_and_report(weights, scored, splits, where, epoch=row["epoch"])


def _train(
    config: ConfigDict, where: Path, splits: Splits, record: Record, networks: NamedNetworks
) -> list[dict[str, Any]]:
    """Trains, saves each epoch -> all rows.

    Raises signals.Stopped when a signal asked for the end; what was done by then is saved.
    """
    batch_size = batch_size_of(config, len(splits.train))
    mesh = make_mesh(batch_size)
    teachers, initial = networks
    pieces = make_pieces(
        config, splits, mesh, teachers=list(teachers.values()), initial=initial and initial[0].variables
    )
    announce.network(config.model, pieces.state.params, devices=mesh.size)
    if config.augment:
        augmentation = config.augmentation.to_dict()
        on_first(lambda: save_augmented_faces(where / "augmented.png", splits.train.images, augmentation))
    for name, (_, of_teacher) in teachers.items():
        announce.other_network("teacher", name, of_teacher, record.data["digest"])
    state, rows, position = pieces.state, [], None
    if restored := _restore(where, state):
        state, before = restored
        rows, position = before.rows, before.position and Position(**before.position)
        announce.resumed(where, rows, position, before.config["epochs"], config.epochs)
        # Of the epochs after a checkpoint that was damaged, or not complete when the process was killed.
        on_first(lambda: workdir.write_rows(where / "metrics.jsonl", rows))
    elif initial:
        announce.other_network("starts from", config.initial_weights, initial[1], record.data["digest"])
    with signals.noted_signals() as signal_number, contextlib.ExitStack() as writing:
        opened = open_outputs(where, rows, tensorboard=config.tensorboard)
        outputs: list[Outputs] = []  # of the first process alone
        on_first(lambda: outputs.append(writing.enter_context(opened)))

        def on_epoch(state: TrainState, rows: list[dict[str, Any]]) -> None:
            found = record._replace(rows=rows)
            on_first(lambda: save_epoch(outputs[0], state, pieces.normalization, found))

        announce.training(
            epochs=config.epochs,
            steps=len(splits.train) // batch_size,
            sides=config.train_sides,
            where=where,
        )
        state, rows, stopped = fit(
            state,
            rows=rows,
            loop_step=pieces.loop_step,
            validate=pieces.validate,
            data=Batch(splits.train.images, splits.train.labels),
            key=pieces.key,
            epochs=config.epochs,
            batch_size=batch_size,
            sampling_weights=class_weights(splits.train.labels) if config.balance == "sampling" else None,
            learning_rate=pieces.schedule,
            patience=config.patience,
            on_epoch=on_epoch,
            sides=config.train_sides,
            teaching=pieces.teaching,
            mesh=mesh,
            position=position,
            should_stop=lambda: bool(signal_number()),
            count_skipped=config.nonfinite == "skip",
        )
        # Not once more what is there: the run stopped before its first step, or after an epoch's last.
        if stopped and stopped.row and stopped[:2] != (position or ())[:2]:
            found = record._replace(rows=rows, position=stopped._asdict())
            on_first(lambda: checkpoint.save(outputs[0].checkpoints, state, pieces.normalization, found))
        on_first(writing.close)
    if stopped or distributed.in_any(bool(signal_number())):
        # Of several processes only some may have got the signal.
        number = signal_number() or signal.SIGTERM
        raise signals.Stopped(number, f"{where}: {announce.where_stopped(stopped, rows)}")
    return rows


def _restore(where: Path, fresh: TrainState) -> tuple[TrainState, Record] | None:
    """As ``checkpoint.restore_latest`` in the first process, for all."""
    states = [fresh]

    def read() -> dict[str, Any] | None:
        restored = checkpoint.restore_latest(where, fresh)
        if restored is None:
            return None
        states.append(restored[0])
        return restored[1]._asdict()

    record = on_first(read)
    return record and (distributed.from_first(states[-1]), Record(**record))
