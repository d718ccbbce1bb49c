"""Choose the trained network of a command: that of a run, otherwise one that comes with the package."""

import dataclasses
from pathlib import Path

from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.restore import has_checkpoint, load_best
from fer_jax.checkpoints.same_run import config_for_evaluation
from fer_jax.classifier import Classifier
from fer_jax.errors import UserError
from fer_jax.runtime.command import Command, Config
from fer_jax.runtime.files import expand_user
from fer_jax.transforms.views import views_in_pictures

FOR_PHOTOS = "plus"
"""The shipped weights that learnt what ten people say of each face."""


def load(workdir_or_name: str | Path) -> Classifier:
    """Load the best network of the run in a workdir, or a shipped one by its name.

    Raises UserError, with the names, if neither exists.
    """
    workdir = Path(expand_user(workdir_or_name))
    return load_best(workdir) if workdir.exists() else shipped.read(str(workdir_or_name))


def choose(command: Command) -> Classifier:
    """Load the best network of the command's workdir, otherwise its shipped one, and print which.

    Its ``config`` has the values that the command changes for evaluation. Raises UserError if neither
    exists, or the command sets a field that belongs to the checkpoint.
    """
    if uses_shipped(command):
        found = shipped.read(command.shipped_name)
    else:
        _check_has_run(command)
        found = load_best(command.workdir)
    config = config_for_evaluation(found.record, command, found.source)
    print(f"weights: {found.title}")
    return dataclasses.replace(found, config=config)


def _check_has_run(command: Command) -> None:
    """Raise UserError if the workdir of the built-in faces holds no run, and weights of that name exist."""
    name = command.workdir.name.removesuffix("-synthetic")
    if name in shipped.names() and not has_checkpoint(command.workdir):
        raise UserError(
            f"{command.workdir}: no checkpoint there; train first, or name a run with --workdir; to score "
            f"the weights {name!r} that come with fer_jax: add --config.dataset=FILE"
        )


def uses_shipped(command: Command) -> bool:
    """Whether ``choose`` takes the shipped weights: never where a run has begun, even without checkpoint."""
    has_run = has_checkpoint(command.workdir) or (command.workdir / "config.json").exists()
    return command.shipped_name in shipped.names() and not has_run


def propose_for_photos(command: Command) -> None:
    """Print which shipped weights name faces as most people do, if the command takes others of them."""
    others = uses_shipped(command) and command.shipped_name != FOR_PHOTOS
    if others and FOR_PHOTOS in shipped.names():
        print(f"  to name faces as most people do: --config={FOR_PHOTOS}")


def choose_all(command: Command) -> list[Classifier]:
    """Load, as ``choose``, the network of each seed in the workdir, or of the one run there.

    Raises UserError if a seed has no checkpoint yet; shipped weights never replace it.
    """
    members = seed_folders(command.workdir)
    return [choose(command_of_seed(command, member)) for member in members] or [choose(command)]


def seed_folders(workdir: Path) -> list[Path]:
    """The runs of the seeds in a workdir, in the order of the seeds; empty if it holds none."""
    found = [path for path in workdir.glob("seed-*") if path.name.removeprefix("seed-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("seed-")))


def command_of_seed(command: Command, folder: Path) -> Command:
    """The command for the run in a seed's folder; the seed is that of the run, not of the command."""
    overrides = tuple(name for name in command.overrides if name != "seed")
    return dataclasses.replace(command, workdirs=(folder,), overrides=overrides, shipped_name=None)


def require_one_run(workdir: Path) -> None:
    """Raise UserError if the workdir holds runs of several seeds, and name one of them."""
    if members := seed_folders(workdir):
        raise UserError(f"{workdir}: holds runs of several seeds; name one of them: --workdir={members[0]}")


def views_of_photos(config: Config, overrides: tuple[str, ...] = ()) -> str:
    """The test-time views of faces in pictures: those of ``views_in_pictures``, unless the command sets some.

    ``overrides`` are dotted names of the fields that the command line set.
    """
    return config["views"] if "views" in overrides else views_in_pictures(config["views"])
