"""What each ``--mode`` does, and where its run lives. Imports JAX, so main.py imports it after the flags."""

import contextlib
import os
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fer_jax.errors import UserError
from fer_jax.evaluate import compare as run_compare
from fer_jax.evaluate import run as run_evaluate
from fer_jax.explain import run as run_explain
from fer_jax.export import run as run_export
from fer_jax.predict import run as run_predict
from fer_jax.runtime import distributed
from fer_jax.runtime import files as workdir
from fer_jax.serve import run as run_serve
from fer_jax.train import run as run_train
from fer_jax.train import seeds as run_seeds

_MODES_OF_FLAG = {
    "input": ("predict", "explain"),
    "output": ("predict", "explain", "export"),
    "probabilities": ("predict",),
}

_PROCESS_FIELDS = ("coordinator_address", "num_processes", "process_id")


def run(
    mode: str,
    config: ConfigDict,
    name: str,
    *,
    overrides: list[str],
    workdirs: str | None,
    source: str | None,
    output: str | None,
    with_probabilities: bool,
) -> None:
    """Does what ``mode`` names.

    Args:
      mode: ``train``, ``eval``, ``predict``, ``explain``, ``export`` or ``serve``.
      config: of the command.
      name: of the config file, without its suffix: that of the run, and of weights that come with fer_jax.
      overrides: names of the config fields that the command line set.
      workdirs: ``--workdir``; None for ``workdir.default_workdir``.
      source, output, with_probabilities: the flags ``--input``, ``--output`` and ``--probabilities``.

    Raises:
      UserError: as the function of the mode, or a flag is given that it does not take.
    """
    _refuse_others_flags(mode, {"input": source, "output": output, "probabilities": with_probabilities})
    # A shell leaves the ~ in --output=~/out.csv alone.
    source, output = (path and os.path.expanduser(path) for path in (source, output))
    workdirs = workdirs and ",".join(map(os.path.expanduser, workdirs.split(",")))
    if config.distributed and mode != "train":
        raise UserError(
            f"config.distributed is for training; leave it out, --mode={mode} is done by one process"
        )
    if mode == "train":
        train = run_seeds.train_seeds if config.seeds > 1 else run_train.train
        with distributed.joined(**_processes(config)) if config.distributed else contextlib.nullcontext():
            train(config, Path(workdirs or workdir.default_workdir(name, config.dataset)))
        return
    given = workdir.plain(config)
    if mode == "eval" and (runs := run_compare.listed(workdirs)):
        run_compare.compare_runs(runs, given, overrides)
        return
    dataset = config.dataset if mode == "eval" else None
    where = Path(workdirs or workdir.default_workdir(name, dataset))
    # The weights that come with the package stand in for the run of this name on real faces alone.
    shipped = {"shipped_name": None if workdirs or dataset == "synthetic" else name}
    command = (where, given, overrides)
    if mode == "eval" and run_seeds.folders(where):
        run_seeds.evaluate_seeds(*command)
    elif mode == "eval":
        run_evaluate.evaluate_run(*command, **shipped)
    elif mode == "predict":
        run_predict.predict_file(*command, source, output, with_probabilities=with_probabilities, **shipped)
    elif mode == "explain":
        run_explain.explain(*command, source, output, **shipped)
    elif mode == "export":
        run_export.export(*command, output, **shipped)
    else:
        run_serve.serve(*command, **shipped)


def _refuse_others_flags(mode: str, given: dict[str, Any]) -> None:
    """``--mode=predict`` is easily forgotten, and training begun instead."""
    for flag, modes in _MODES_OF_FLAG.items():
        if given[flag] and mode not in modes:
            raise UserError(
                f"--{flag} is for --mode={' and --mode='.join(modes)}; --mode={mode} does not take it"
            )


def _processes(config: ConfigDict) -> dict[str, Any]:
    """The fields that say which process this is: all of them set, or none."""
    given = {name: config[name] for name in _PROCESS_FIELDS}
    set_ = (bool(config.coordinator_address), config.num_processes > 0, config.process_id >= 0)
    if any(set_) and not all(set_):
        raise UserError(
            f"config.{', config.'.join(given)} are given all, or none of them to ask the scheduler"
        )
    if all(set_) and config.process_id >= config.num_processes:
        raise UserError(f"config.process_id is {config.process_id}; expected 0 to {config.num_processes - 1}")
    return given
