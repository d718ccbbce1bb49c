"""Train the same config from several seeds, each in a folder of its own."""

import dataclasses
from pathlib import Path

from fer_jax.checkpoints.restore import has_checkpoint
from fer_jax.data.load import seed_of_faces
from fer_jax.errors import UserError
from fer_jax.evaluate.compare import compare_seeds
from fer_jax.runtime.command import Command
from fer_jax.runtime.distributed import first_process
from fer_jax.train import run as one_run


def run(command: Command) -> None:
    """Train ``seeds`` runs, from ``seed`` on, in ``seed-N`` of the workdir; resume those that have begun.

    Raises UserError and Stopped as ``train.run``; UserError if the workdir holds a run of one seed.
    """
    config, workdir = command.config, command.workdir
    _refuse_one_seed(workdir)
    # One set of drawn faces for all seeds: otherwise some would validate on what others trained on.
    faces = config["synthetic"] | {"seed": seed_of_faces(config)}
    for seed in range(config["seed"], config["seed"] + config["seeds"]):
        folder = workdir / f"seed-{seed}"
        print(f"\n== seed {seed}: {folder}")
        one = config | {"seeds": 1, "seed": seed, "synthetic": faces}
        one_run.run(dataclasses.replace(command, config=one, workdirs=(folder,)))
    first_process(compare_seeds)(dataclasses.replace(command, overrides=()))


@first_process
def _refuse_one_seed(workdir: Path) -> None:
    if has_checkpoint(workdir):
        raise UserError(f"{workdir}: holds a run of one seed; add --workdir={workdir}-seeds for several")
