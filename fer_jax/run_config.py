"""Comparing the config of a command with that of a run on disk."""

from collections.abc import Mapping
from typing import Any

from fer_jax.errors import UserError

EVALUATION_FIELDS = ("dataset", "split", "views", "batch_size")
"""What eval and predict may be given anew; all else comes from the checkpoint."""


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def check_same_run(saved: Mapping[str, Any], given: Mapping[str, Any], workdir: str) -> None:
    """Refuses to resume a run with another config; only more ``epochs`` are accepted.

    Raises:
      UserError: names the fields that differ, and proposes another workdir.
    """
    old, new = flatten(saved), flatten(given)
    differing = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if "epochs" in differing and new["epochs"] > old["epochs"]:
        differing.remove("epochs")
    if differing:
        changes = ", ".join(
            f"{name} is {old.get(name)!r} there, {new.get(name)!r} here" for name in differing
        )
        raise UserError(
            f"{workdir}: holds a run with another config ({changes}); "
            f"add --workdir={workdir}-2 for a new run, or give the run's own values"
        )


def merge_for_evaluation(
    saved: Mapping[str, Any], given: Mapping[str, Any], overrides: list[str], workdir: str
) -> dict[str, Any]:
    """The run's config with what evaluation may be given anew.

    Args:
      saved: the checkpoint's config.
      given: the command's config.
      overrides: dotted names of the fields that the command line set.
      workdir: for the message.

    Raises:
      UserError: a field was set that belongs to the checkpoint, to another value.
    """
    old, new = flatten(saved), flatten(given)
    refused = [f for f in overrides if f not in EVALUATION_FIELDS and old.get(f) != new.get(f)]
    if refused:
        changes = ", ".join(f"{name} is {old.get(name)!r} there, {new.get(name)!r} here" for name in refused)
        raise UserError(
            f"{workdir}: trained with other settings ({changes}); they come from the checkpoint; "
            f"only {', '.join(EVALUATION_FIELDS)} may be given anew"
        )
    return {**saved, **{name: given[name] for name in overrides if name in EVALUATION_FIELDS}}
