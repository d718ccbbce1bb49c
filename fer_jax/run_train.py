"""``--mode=train``: from a config and a workdir to a trained, saved network."""

import contextlib
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from fer_jax import checkpoint, evaluate, plots, run_evaluate, signals, workdir
from fer_jax.augment import augment
from fer_jax.choose_weights import by_path_or_name
from fer_jax.data import load_dataset
from fer_jax.data.faces import Splits
from fer_jax.data.files import os_reason
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.lock import locked
from fer_jax.metrics import accuracy
from fer_jax.models import create_model, parameter_table
from fer_jax.optimizer import create_optimizer, learning_rate_schedule
from fer_jax.preprocess import class_weights, fit_normalization
from fer_jax.progress import duration
from fer_jax.run_config import check_same_run, check_values
from fer_jax.state import TrainState, create_state
from fer_jax.tensorboard import EventWriter
from fer_jax.train import Position, best_row, fit, is_finished
from fer_jax.train_step import Batch, make_loop_step, make_train_step


def digest(splits: Splits) -> str:
    """Changes when any training or validation pixel or label does."""
    h = hashlib.blake2b(digest_size=16)
    for part in (splits.train, splits.validation):
        h.update(np.ascontiguousarray(part.images))
        h.update(np.ascontiguousarray(part.labels))
    return h.hexdigest()


def train(config: ConfigDict, where: Path) -> None:
    """Trains as ``config`` says in the workdir ``where``, going on from its latest checkpoint if any.

    Raises:
      UserError: bad input, a run of another config or data in the workdir, another process at work there, a
        disk that cannot be written to, or a loss that is not finite.
      signals.Stopped: by Ctrl-C or SIGTERM, once training has begun; what was done is saved.
    """
    check_values(workdir.plain(config))
    if any(where.glob("seed-*")):
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
    begun = where.is_dir()
    if begun:
        lock.enter_context(locked(where))
    record = checkpoint.latest_record(where)
    if record is not None:
        check_same_run(record.config, plain_config, str(where))
    started = time.monotonic()
    splits = load_dataset(workdir.plain(config))
    data = {"digest": digest(splits), "train": len(splits.train), "validation": len(splits.validation)}
    if record is not None and record.data["digest"] != data["digest"]:
        raise UserError(
            f"{where}: holds a run on other data than {config.dataset} gives now; add --workdir=DIR"
        )
    _announce_data(config.dataset, splits, time.monotonic() - started)
    if not begun:
        lock.enter_context(locked(where))
    rows = record.rows if record else []
    if is_finished(rows, epochs=config.epochs, patience=config.patience, sides=config.train_sides):
        print(f"{where}: this run is finished; a longer one: --config.epochs=N, another one: --workdir=DIR")
        # A kill between the last checkpoint and these files would else leave them short for good.
        _write_rows(where, rows)
    else:
        environment = workdir.environment(data)
        if record and (changes := workdir.environment_changes(where / "config.json", environment)):
            print(f"{where}: not as before: {', '.join(changes)}; results may differ in their last bits")
        workdir.write_json(where / "config.json", plain_config | {"environment": environment})
        rows = _train(config, where, splits, checkpoint.Record(plain_config, [], list(LABELS), data))
    _print_table(rows, where)
    weights, best, row = checkpoint.load_best(where, mine=True)
    scored = best.config | {"split": "validation", "views": config.views}
    run_evaluate.score_and_report(weights, scored, splits, where, epoch=row["epoch"])


def _announce_data(dataset: str, splits: Splits, seconds: float) -> None:
    print(f"device: {jax.devices()[0].device_kind} ({len(jax.devices())})")
    print(f"data: {dataset}, read in {seconds:.1f} s")
    for note in splits.notes:
        print(f"  {note}")
    counts = np.bincount(splits.train.labels, minlength=len(LABELS))
    for label, count in zip(LABELS, counts, strict=True):
        print(f"  {label:<8} {count:>6,} {'█' * round(40 * count / counts.max())}")


def _train(
    config: ConfigDict,
    where: Path,
    splits: Splits,
    record: checkpoint.Record,
) -> list[dict[str, Any]]:
    """Builds the pieces from the config, trains, saves each epoch -> all rows.

    Raises signals.Stopped when a signal asked for the end; what was done by then is saved.
    """
    model = create_model(config.model, config[config.model].to_dict())
    normalization = fit_normalization(splits.train.images, kind=config.normalize)
    batch_size = min(config.batch_size, len(splits.train))
    schedule = make_schedule(config, len(splits.train))
    optimizer = create_optimizer(
        schedule,
        name=config.optimizer,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
    )
    weights = class_weights(splits.train.labels)
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    state = create_state(init_key, model=model, optimizer=optimizer, ema=config.ema_decay > 0)
    print(f"model: {config.model}")
    print(parameter_table(state.params))
    if config.augment:
        _save_augmented_faces(where / "augmented.png", splits.train.images, config.augmentation.to_dict())
    train_step = make_train_step(
        model=model,
        optimizer=optimizer,
        normalization=normalization,
        normalize_kind=config.normalize,
        augmentation=config.augmentation.to_dict() if config.augment else None,
        class_weights=weights if config.balance == "weights" else None,
        label_smoothing=config.label_smoothing,
        mixup_alpha=config.mixup_alpha,
        cutmix_alpha=config.cutmix_alpha,
        ema_decay=config.ema_decay,
        teacher=_teacher(config.teacher) if config.teacher else None,
        teacher_share=config.teacher_share,
        skip_nonfinite=config.nonfinite == "skip",
    )
    forward = evaluate.make_forward(model=model, normalize_kind=config.normalize)
    eval_step = evaluate.make_eval_step(forward)

    def validate(state: TrainState) -> tuple[float, float]:
        result = evaluate.evaluate(
            eval_step,
            state.variables(),
            normalization,
            splits.validation.images,
            splits.validation.labels,
            batch_size=config.batch_size,
        )
        return result.loss, accuracy(result.confusion)

    rows, position = [], None
    if restored := checkpoint.restore_latest(where, state):
        state, before = restored
        rows, position = before.rows, before.position and Position(**before.position)
        _say_resumed(where, rows, position, before.config["epochs"], config.epochs)
        # Of the epochs after a checkpoint that was damaged, or not complete when the process was killed.
        workdir.write_rows(where / "metrics.jsonl", rows)
    with contextlib.ExitStack() as stack:
        signal_number = stack.enter_context(signals.noted_signals())
        checkpoints = stack.enter_context(checkpoint.open_checkpoints(where))
        events = EventWriter(where / "tensorboard", rows) if config.tensorboard else None
        if events:
            stack.callback(events.close)
        print(
            f"training: {config.epochs} epochs of {len(splits.train) // batch_size} steps; writes to {where}/"
        )

        def on_epoch(state: TrainState, rows: list[dict[str, Any]]) -> None:
            checkpoint.save(checkpoints, state, normalization, record._replace(rows=rows))
            _write_rows(where, rows)
            if events:
                events.add(rows[-1])

        state, rows, stopped = fit(
            state,
            rows=rows,
            loop_step=make_loop_step(train_step),
            validate=validate,
            data=Batch(jnp.asarray(splits.train.images), jnp.asarray(splits.train.labels)),
            key=run_key,
            epochs=config.epochs,
            batch_size=batch_size,
            sampling_weights=weights if config.balance == "sampling" else None,
            learning_rate=schedule,
            patience=config.patience,
            on_epoch=on_epoch,
            sides=config.train_sides,
            position=position,
            should_stop=lambda: bool(signal_number()),
            count_skipped=config.nonfinite == "skip",
        )
        # Not once more what is there: the run stopped before its first step, or after an epoch's last.
        if stopped and stopped.row and stopped[:2] != (position or ())[:2]:
            found = record._replace(rows=rows, position=stopped._asdict())
            checkpoint.save(checkpoints, state, normalization, found)
    if stopped:
        raise signals.Stopped(signal_number(), f"{where}: {_where_stopped(stopped, rows)}")
    return rows


def _where_stopped(position: Position, rows: list[dict[str, Any]]) -> str:
    if position.row:
        return f"stopped in epoch {position.epoch}, after {position.row} of its steps; saved"
    return f"stopped after epoch {rows[-1]['epoch']}; saved" if rows else "stopped before the first step"


def _teacher(workdir_or_name: str) -> Callable[[jax.Array], jax.Array]:
    """Faces float32 (N, 48, 48, 1) -> probabilities (N, 7), of a trained network."""
    weights, record = by_path_or_name(workdir_or_name)
    print(f"teacher: {workdir_or_name}, {record.rows[-1]['val_accuracy']:.1%} on its validation faces")
    forward = run_evaluate.make_forward(weights, record.config, views="one")
    return lambda images: jnp.exp(forward(weights.variables, weights.normalization, images))


def _write_rows(where: Path, rows: list[dict[str, Any]]) -> None:
    workdir.write_rows(where / "metrics.jsonl", rows)
    plots.save_curves(where / "curves.png", rows)


def _save_augmented_faces(path: Path, images: np.ndarray, augmentation: dict[str, Any]) -> None:
    """A sheet to see that they are still faces: in each row one face, then nine augmentations of it."""
    chosen = images[:8]
    keys = jax.random.split(jax.random.key(0), 9)
    drawn = jax.vmap(lambda key: augment(key, jnp.asarray(chosen), **augmentation))(keys)
    sheet = np.concatenate([chosen[:, None], np.moveaxis(np.asarray(drawn), 0, 1)], 1)
    plots.save_contact_sheet(path, sheet.reshape(-1, *images.shape[1:]), columns=10)
    print(f"augmentation: {path} shows what it does to {len(chosen)} faces")


def make_schedule(config: ConfigDict, num_train: int):
    """The learning rate over the whole run: step -> rate."""
    steps_per_epoch = num_train // min(config.batch_size, num_train)
    return learning_rate_schedule(
        peak=config.learning_rate,
        warmup_steps=round(config.warmup_epochs * steps_per_epoch),
        total_steps=config.epochs * steps_per_epoch,
        name=config.schedule,
    )


def _say_resumed(
    where: Path, rows: list[dict[str, Any]], position: Position | None, before: int, now: int
) -> None:
    if position:
        print(f"{where}: going on in epoch {position.epoch}, after {position.row} of its steps")
    else:
        print(f"{where}: going on after epoch {rows[-1]['epoch']} (step {rows[-1]['step']})")
    if now > before:
        print(f"  {before} epochs before, {now} now: the learning-rate schedule stretches to the new length")


def _print_table(rows: list[dict[str, Any]], where: Path) -> None:
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
