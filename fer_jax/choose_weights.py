"""Which weights a command uses: those of a run, else those that come with the package."""

from pathlib import Path
from typing import Any

from fer_jax import checkpoint, shipped
from fer_jax.checkpoint import Record, Weights
from fer_jax.errors import UserError


def choose_weights(where: Path, shipped_name: str | None) -> tuple[Weights, Record, dict[str, Any], str]:
    """The best checkpoint in the workdir ``where``; without one, the shipped ``shipped_name`` if it exists.

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
    """Whether ``choose_weights`` takes the shipped weights."""
    return shipped_name in shipped.names() and not checkpoint.has_checkpoint(where)


def by_path_or_name(workdir_or_name: str | Path) -> tuple[Weights, Record]:
    """The best checkpoint of a workdir, or shipped weights by their name.

    Raises:
      UserError: neither is there; lists the names.
    """
    where = Path(workdir_or_name)
    if str(workdir_or_name) in shipped.names() and not where.exists():
        return shipped.load(str(workdir_or_name))[:2]
    if not where.exists():
        known = ", ".join(shipped.names()) or "none"
        raise UserError(f"{where}: no such run, and no weights of this name come with fer_jax ({known})")
    return checkpoint.load_best(where)[:2]
