"""``--mode=train``: from a command to a trained, saved network."""

import signal
import time
from typing import Any

import jax

from fer_jax.checkpoints import digests
from fer_jax.checkpoints.same_run import fields_of_run
from fer_jax.checkpoints.weights import RANDOM_KEYS, Record
from fer_jax.data.faces import Splits, digest
from fer_jax.data.load import load_dataset
from fer_jax.errors import UserError
from fer_jax.runtime import distributed, signals
from fer_jax.runtime.command import Command, Config, side_of_network
from fer_jax.runtime.progress import announced
from fer_jax.runtime.sharding import make_mesh
from fer_jax.train import announce
from fer_jax.train.batches import Batch
from fer_jax.train.check_numbers import check_numbers
from fer_jax.train.environment import environment
from fer_jax.train.epochs import Position, is_finished, position_of
from fer_jax.train.folder import RunFolder
from fer_jax.train.loop import Hooks, fit
from fer_jax.train.recipe import Recipe, check_memory, epochs_of, make_recipe, with_sides_for
from fer_jax.train.state import TrainState
from fer_jax.train.teachers import named_networks, probabilities_by_votes


def run(command: Command) -> None:
    """Train in the command's workdir, from the latest checkpoint there if there is one.

    Raises:
      UserError: bad input, a run of another config or data in the workdir, another process that trains there,
        a disk that cannot be written to, or a loss that is not finite.
      signals.Stopped: by Ctrl-C or SIGTERM, once training has begun; what was done is saved.
    """
    config, folder = _config_here(command), RunFolder(command.workdir)
    distributed.same_in_all("settings", digests.text(fields_of_run(config)))
    with folder.opened():
        found = folder.begin(config)
        splits, data = _load_data(config, folder, found)
        rows = found.rows if found else []
        if is_finished(rows, epochs_of(config)):
            announce.finished(folder.path, rows, epochs=config["epochs"], patience=config["patience"])
            # A kill after the last checkpoint may have left these files short.
            folder.write_rows(rows)
        else:
            examples = _examples(config, splits)
            recipe, state, start = _prepare(config, folder, splits, data)
            record = Record(config, [], list(splits.labels), data, None, RANDOM_KEYS)
            writing = folder.writing(start, recipe.normalization, record)
            with signals.noted_signals() as signal_number, writing:
                state, position = fit(
                    state,
                    examples,
                    program=recipe.program,
                    plan=recipe.plan,
                    hooks=Hooks(
                        on_epoch=folder.end_epoch,
                        should_stop=lambda: bool(signal_number()),
                        should_stop_compiling=signals.has_come,
                        on_failure=folder.fail,
                    ),
                    position=start,
                )
                folder.finish(state, position)
            _raise_if_stopped(config, folder, position, signal_number())
            rows = position.rows
        announce.last_and_best(rows, folder.path)
        folder.score_best(config, splits)


def _config_here(command: Command) -> Config:
    """The command's config, as it trains on the devices that there are; prints what that changes."""
    platform = jax.default_backend()
    config = with_sides_for(command.config, command.overrides, platform)
    if config != command.config:
        announce.full_size(platform, side_of_network(config), command.config["train_sides"])
    return config


def _load_data(config: Config, folder: RunFolder, record: Record | None) -> tuple[Splits, dict[str, Any]]:
    """Read the data set, and return it with its digest and sizes, as a record has them.

    Raises UserError if it cannot be read, or is not that of the run.
    """
    started = time.monotonic()
    splits = distributed.in_all(lambda: load_dataset(config, teacher_votes=config["teacher_votes"]))
    data = {"digest": digest(splits), "train": len(splits.train), "validation": len(splits.validation)}
    if splits.train.votes is not None:
        data["teacher_votes"] = digests.content(splits.train.votes)
    distributed.same_in_all("data", digests.text(data))
    known = record.data if record else {}
    for part, source in (("digest", "dataset"), ("teacher_votes", "teacher_votes")):
        # A run begun before the digest of votes was kept counts as unchanged.
        if known.get(part, data.get(part)) != data.get(part):
            raise UserError(
                f"{folder.path}: holds a run on other data than {config[source]} gives now; add --workdir=DIR"
            )
    announce.data(config["dataset"], splits, time.monotonic() - started)
    if record is None and distributed.is_first() and (line := check_numbers(splits)):
        print(f"  {line}")
    return splits, data


def _examples(config: Config, splits: Splits) -> Batch:
    """All that the run learns from, as one batch; prints how much the votes say that a teacher knows."""
    train = splits.train
    with announced("fitting the votes to the labels"):
        by_votes = probabilities_by_votes(train, len(splits.labels))
    if by_votes is not None:
        announce.votes(config["teacher_votes"], by_votes, train.labels)
    return Batch(train.images, train.labels, train.targets, by_votes)


def _prepare(
    config: Config, folder: RunFolder, splits: Splits, data: dict[str, Any]
) -> tuple[Recipe, TrainState, Position]:
    """Make the folder and the recipe, print what begins, and return state and position to train from."""
    check_memory(config, len(splits.labels))
    networks = distributed.in_all(lambda: named_networks(config, splits.labels))
    folder.make()
    others = networks.digests()
    distributed.same_in_all("networks to build on", digests.text(others))
    mesh = make_mesh(min(config["batch_size"], len(splits.train)))
    teachers, initial = networks.teachers, networks.initial
    recipe = make_recipe(config, splits, mesh, teachers=list(teachers.values()), initial=initial)
    restored = folder.restore(recipe.state)
    folder.write_config(config, environment(data, others), resumed=restored is not None)
    folder.write_network(recipe.state.params)
    announce.network(config["model"], recipe.state.params, mesh.size, recipe.plan.batch_size)
    if config["augment"]:
        folder.save_augmented_faces(splits.train.images, config["augmentation"])
    for name, teacher in teachers.items():
        announce.other_network("teacher", name, teacher.record, data["digest"])
    state, position = recipe.state, Position([])
    if restored:
        state, record = restored
        position = position_of(record.rows, record.position)
        announce.resumed(folder.path, position, record.config["epochs"], config["epochs"])
        # Drops the epochs after a checkpoint that was damaged, or incomplete when the process was killed.
        folder.write_rows(position.rows)
    elif initial:
        for name, network in networks.members.items():
            announce.other_network("starts from", name, network.record, data["digest"])
        announce.initial_weights(len(networks.members), initial.labels, splits.labels)
    announce.training(recipe.plan, len(splits.train), side_of_network(config), folder.path)
    return recipe, state, position


def _raise_if_stopped(config: Config, folder: RunFolder, position: Position, number: int) -> None:
    """Raise Stopped if a signal, of this number or 0, ended the run here or in another process."""
    finished = is_finished(position.rows, epochs_of(config))
    if not finished or distributed.in_any(bool(number)):
        message = f"{folder.path}: {announce.where_stopped(position, finished=finished)}"
        # Only some of several processes may have got the signal.
        raise signals.Stopped(number or signal.SIGTERM, message)
