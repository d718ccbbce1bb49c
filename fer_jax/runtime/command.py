"""The command line as one value, which every mode takes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fer_jax.labels import SIDE
from fer_jax.runtime.files import expand_user

Config = dict[str, Any]
"""A configuration as JSON holds it: dicts, lists and scalars. The one type of config below ``main.py``."""


@dataclass(frozen=True)
class Command:
    """A mode, and everything that the command line sets for it.

    Attributes:
      mode: ``train``, ``eval``, ``predict``, ``explain``, ``export`` or ``serve``.
      config: the fields of configs/default.py with the values of the config file and the flags.
      overrides: dotted names of the fields that flags set.
      workdirs: folders of the runs; one, except where ``eval`` compares several.
      shipped_name: name of the shipped weights to use if the workdir holds no run and they exist.
      input, output: ``--input`` and ``--output``; None if not given.
      probabilities: whether ``--probabilities`` is given.
    """

    mode: str
    config: Config
    overrides: tuple[str, ...] = ()
    workdirs: tuple[Path, ...] = ()
    shipped_name: str | None = None
    input: str | None = None
    output: str | None = None
    probabilities: bool = False

    @property
    def workdir(self) -> Path:
        return self.workdirs[0]


def make_command(mode: str, config: ConfigDict, *, name: str, workdir: str | None, **fields: Any) -> Command:
    """Make the command from the values of the flags.

    On the built-in faces ``train_sides`` is the network's own size, unless a flag sets it.

    Args:
      mode, config: see ``Command``.
      name: of the config file, without its suffix: the name of its run and of its shipped weights.
      workdir: ``--workdir``; None for ``runs/NAME``, or ``runs/NAME-synthetic`` on the built-in faces.
      fields: the other fields of ``Command``.
    """
    config = plain(config)
    # predict and its like use a synthetic run only if it is named; train and eval name their data set.
    synthetic = mode in ("train", "eval") and config["dataset"] == "synthetic"
    if synthetic and "train_sides" not in fields["overrides"]:
        # So few faces save no time at smaller sizes: each size is another program to compile.
        config["train_sides"] = [side_of_network(config)]
    default = Path("runs") / (f"{name}-synthetic" if synthetic else name)
    workdirs = _workdirs(mode, workdir) if workdir else (default,)
    shipped_name = workdir or (None if synthetic else name)
    # A shell leaves the ~ in --output=~/out.csv as it is.
    paths = {flag: fields[flag] and expand_user(fields[flag]) for flag in ("input", "output")}
    return Command(mode, config, workdirs=workdirs, shipped_name=shipped_name, **fields | paths)


def plain(config: ConfigDict) -> Config:
    """Return the config as JSON would give it back."""
    return json.loads(json.dumps(config.to_dict()))


def side_of_network(config: Config) -> int:
    """Pixels a side at which the network of a config sees faces."""
    return config["cnn"].get("side", SIDE) if config["model"] == "cnn" else SIDE


def split_names(names: str) -> list[str]:
    """Split ``A,B`` into names of runs or shipped weights, unless the comma is part of a folder's name."""
    if "," in names and Path(expand_user(names)).exists():
        return [names]
    return [name.strip() for name in names.split(",") if name.strip()]


def _workdirs(mode: str, flag: str) -> tuple[Path, ...]:
    """The runs that ``--workdir`` names: one, but for eval ``A,B`` are several."""
    names = split_names(flag) if mode == "eval" and "," in flag else [flag]
    return tuple(Path(expand_user(name)) for name in names)
