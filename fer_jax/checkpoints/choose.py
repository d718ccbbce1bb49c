"""Which weights a command uses: those of a run, else those that come with the package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fer_jax.check_config import differing_network
from fer_jax.checkpoints import digests as integrity
from fer_jax.checkpoints import save as checkpoint
from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.save import Record, Weights
from fer_jax.errors import UserError


def choose_weights(where: Path, shipped_name: str | None) -> tuple[Weights, Record, dict[str, Any], str]:
    """The best checkpoint in the workdir ``where``; without a run there, the shipped ``shipped_name``.

    Args:
      where: a workdir, that need not exist.
      shipped_name: None to take no other weights than the workdir's.

    Returns:
      Weights, record, row of metrics.jsonl, and a line for people that says which weights these are.

    Raises:
      UserError: neither is there.
    """
    if uses_shipped(where, shipped_name):
        weights, record, row = shipped.load(shipped_name)
        source = f"fer_jax/weights/{shipped_name}.npz, which comes with fer_jax"
    else:
        weights, record, row = checkpoint.load_best(where)
        source = str(where)
    return weights, record, row, f"{source}, epoch {row['epoch']}, trained on {record.config['dataset']}"


def uses_shipped(where: Path, shipped_name: str | None) -> bool:
    """Whether ``choose_weights`` takes the shipped weights: never in place of a run, however it stands."""
    has_run = checkpoint.has_checkpoint(where) or (where / "config.json").exists()
    return shipped_name in shipped.names() and not has_run


def by_path_or_name(workdir_or_name: str | Path) -> tuple[Weights, Record]:
    """The best checkpoint of a workdir, or shipped weights by their name.

    Raises:
      UserError: neither is there; lists the names.
    """
    where = Path(workdir_or_name).expanduser()
    if str(workdir_or_name) in shipped.names() and not where.exists():
        return shipped.load(str(workdir_or_name))[:2]
    if not where.exists():
        known = ", ".join(shipped.names()) or "none"
        raise UserError(f"{where}: no such run, and no weights of this name come with fer_jax ({known})")
    return checkpoint.load_best(where)[:2]


class NamedNetworks(NamedTuple):
    """The trained networks of a config: ``teachers`` by their names, and what training starts from."""

    teachers: dict[str, tuple[Weights, Record]]
    initial: tuple[Weights, Record] | None

    def digests(self) -> dict[str, str]:
        """Of each one's weights, by ``teacher NAME`` and ``initial_weights``."""
        found = {f"teacher {name}": network for name, network in self.teachers.items()}
        if self.initial:
            found["initial_weights"] = self.initial
        arrays = {part: jax.tree.map(np.asarray, weights) for part, (weights, _) in found.items()}
        return {part: integrity.content(tree) for part, tree in arrays.items()}


def named_networks(config: Mapping[str, Any]) -> NamedNetworks:
    """Those of ``config["teacher"]``, with commas between, and of ``config["initial_weights"]``.

    Raises:
      UserError: one is not there, or the one to start from is not of the config's sizes and normalization.
    """
    names = (name.strip() for name in config["teacher"].split(","))
    teachers = {name: by_path_or_name(name) for name in names if name}
    return NamedNetworks(teachers, _initial(config["initial_weights"], config))


def _initial(name: str, config: Mapping[str, Any]) -> tuple[Weights, Record] | None:
    if not name:
        return None
    weights, record = by_path_or_name(name)
    if differing := differing_network(record.config, config):
        changes = " ".join(_flag(field, value) for field, value in differing.items())
        raise UserError(
            f"config.initial_weights: {name} is a network of other sizes or normalization; add {changes}"
        )
    return weights, record


def _flag(field: str, value: str | int | list[int]) -> str:
    """As a shell takes it."""
    if isinstance(value, list):
        return f'"--config.{field}={tuple(value)}"'.replace(", ", ",")
    return f"--config.{field}={value}"
