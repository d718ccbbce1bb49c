"""Find the mode that the command names, and import only what it needs."""

import importlib
from collections.abc import Callable
from pathlib import Path

from fer_jax.check_config import PROCESS_FIELDS, check_config
from fer_jax.errors import UserError
from fer_jax.runtime.command import Command
from fer_jax.runtime.files import check_folder

MODES = {
    "train": "fer_jax.train.run",
    "eval": "fer_jax.evaluate.run",
    "predict": "fer_jax.predict.run",
    "explain": "fer_jax.explain.run",
    "export": "fer_jax.export.run",
    "serve": "fer_jax.serve.run",
}
"""Mode -> its module, which has a function ``run(command)``."""

_MODES_OF_FLAG = {
    "input": ("predict", "explain"),
    "output": ("predict", "explain", "export"),
    "probabilities": ("predict",),
}


def runner(command: Command) -> Callable[[Command], None]:
    """Check the command, and return the function that runs it. Raises UserError for a wrong field or flag."""
    config = command.config
    check_config(config)
    _check_flags(command)
    if command.output and command.mode != "predict":  # which writes a file, and checks its place
        check_folder(Path(command.output), named="--output")
    several_seeds = command.mode == "train" and config["seeds"] > 1
    mode = importlib.import_module("fer_jax.train.seeds" if several_seeds else MODES[command.mode])
    if not config["distributed"]:
        return mode.run
    from fer_jax.runtime import distributed

    return distributed.joined(*(config[name] for name in PROCESS_FIELDS))(mode.run)


def _check_flags(command: Command) -> None:
    """Refuse flags that the mode ignores, so that a forgotten ``--mode=predict`` starts no training."""
    for flag, modes in _MODES_OF_FLAG.items():
        if getattr(command, flag) and command.mode not in modes:
            raise UserError(
                f"--{flag} is for --mode={' and --mode='.join(modes)}; --mode={command.mode} does not take it"
            )
    if command.config["distributed"] and command.mode != "train":
        raise UserError(
            f"config.distributed is for training; leave it out, --mode={command.mode} runs in one process"
        )
