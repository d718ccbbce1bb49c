"""Run the mode that the command names, and import only what it needs."""

import contextlib
import importlib

from fer_jax.check_config import PROCESS_FIELDS, check_config
from fer_jax.errors import UserError
from fer_jax.runtime.command import Command

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


def run(command: Command) -> None:
    """Run the mode of the command. Raises UserError as the mode, or for a wrong field or flag."""
    config = command.config
    check_config(config)
    _check_flags(command)
    several_seeds = command.mode == "train" and config["seeds"] > 1
    mode = importlib.import_module("fer_jax.train.seeds" if several_seeds else MODES[command.mode])
    with contextlib.ExitStack() as stack:
        if config["distributed"]:
            from fer_jax.runtime import distributed

            stack.enter_context(distributed.joined(*(config[name] for name in PROCESS_FIELDS)))
        mode.run(command)


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
