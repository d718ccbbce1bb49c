"""Compare the config of a command with that of a run on disk."""

from collections.abc import Mapping, Sequence
from typing import Any

from flax.traverse_util import flatten_dict

from fer_jax.checkpoints.weights import RANDOM_KEYS, Record
from fer_jax.errors import UserError
from fer_jax.runtime.command import Command, Config

_OF_DATA = ("dataset", "classes", "votes", "vote_target", "vote_share")
"""Fields that say together which faces and labels there are: a new ``dataset`` needs new values of all."""

EVALUATION_FIELDS = (*_OF_DATA, "split", "views", "batch_size", "cache", "skip_broken")
"""Fields that a command may change after training; all others come from the checkpoint."""

_OF_THE_COMMAND = ("serve.", "video.", "detector", "faces", "checkpoint_minutes")
_OF_THE_COMMAND += ("distributed", "coordinator_address", "num_processes", "process_id")
"""Fields, or their beginnings, that affect no run: where a command listens, how it finds faces in photos
and videos, how often it saves, which processes take part."""

_YOUNGER = {
    "initial_weights": "",
    "cnn.stem_stride": 2,
    "cnn.activation": "relu",
    "cnn.side": 48,
    "classes": "",
    "votes": "",
    "vote_target": "majority",
    "vote_share": 1.0,
    "teacher_votes": "",
    "teacher_votes_share": 0.5,
}
"""Fields that older runs lack, with the values that stand for what those runs did."""

_WITHOUT_EFFECT = ("epochs", "seeds")
"""Fields of training that do not change how a checkpoint is evaluated. A run may have got more epochs after
its best checkpoint, and each of several seeds is a run with one."""

_NOT_OF_TRAINING = ("cache", "dataset", "patience", "skip_broken", "views", "votes")
"""Fields that may differ when a run is resumed: how its data is read, when it ends, how it is scored then.

The digest of the data says whether it is the same, however its place is spelt today."""

_SHAPES = ("cnn.widths", "cnn.blocks", "cnn.stem_stride", "cnn.activation", "mlp.hidden")


def check_same_run(record: Record, config: Config, workdir: str) -> None:
    """Refuse to resume a run with another config, except for more ``epochs`` and what training does not use.

    A field that the run lacks was added later, and its default means what was done before. The UserError
    names the fields that differ, and proposes another workdir.
    """
    old, new = fields_of_run(record.config), fields_of_run(config)
    differing = [n for n in sorted(old) if n not in _NOT_OF_TRAINING and old[n] != new.get(n)]
    if "epochs" in differing and new["epochs"] > old["epochs"]:
        differing.remove("epochs")
    if differing:
        raise UserError(
            f"{workdir}: holds a run with another config ({_changes(differing, old, new)}); "
            f"add --workdir={workdir}-2 for a new run, or give the run's own values"
        )


def check_random_keys(record: Record, workdir: str) -> None:
    """Raise UserError if a run was begun by a version that draws its random numbers in another way."""
    if record.random_keys != RANDOM_KEYS:
        raise UserError(
            f"{workdir}: begun by an earlier version of fer_jax, which drew random numbers in another way; "
            f"go on with that version, or add --workdir={workdir}-2 for a new run"
        )


def config_for_evaluation(record: Record, command: Command, source: str) -> Config:
    """The run's config with the values that the command changes for evaluation.

    ``source`` names the weights in messages. Raises UserError if the command sets a field that belongs to the
    checkpoint to another value.
    """
    old, new = fields_of_run(record.config), fields_of_run(command.config)
    free = (*EVALUATION_FIELDS, *_WITHOUT_EFFECT)
    refused = [name for name in command.overrides if name not in free and old.get(name) != new.get(name)]
    if refused:
        raise UserError(
            f"{source}: trained with other settings ({_changes(refused, old, new)}); they come from "
            f"the checkpoint; only {', '.join(EVALUATION_FIELDS)} may be changed"
        )
    given = {name for name in command.overrides if name in EVALUATION_FIELDS}
    if "dataset" in given:
        given |= set(_OF_DATA)
    return record.config | {name: command.config[name] for name in given}


def differing_network(saved: Config, config: Config) -> dict[str, Any]:
    """The saved values of the fields that shape a network and its input, where ``config`` has others."""
    old, new = fields_of_run(saved), fields_of_run(config)
    names = ["model", "normalize", *(n for n in _SHAPES if n.startswith(f"{saved['model']}."))]
    return {name: old[name] for name in names if old[name] != new[name]}


def fields_of_run(config: Config) -> dict[str, Any]:
    """The config's fields by dotted names; adds those that it lacks, leaves out those that affect no run."""
    fields = _YOUNGER | flatten_dict(config, sep=".")
    return {name: value for name, value in fields.items() if not name.startswith(_OF_THE_COMMAND)}


def _changes(names: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} is {old.get(name)!r} there, {new.get(name)!r} here" for name in names)
