"""Find the intact checkpoints of a run, and read them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fer_jax.checkpoints import digests, orbax
from fer_jax.checkpoints.orbax import Damaged
from fer_jax.checkpoints.weights import Record, as_tree, from_tree, weight_shapes
from fer_jax.classifier import Classifier
from fer_jax.errors import UserError
from fer_jax.runtime.files import os_reason


class Saved(NamedTuple):
    """A checkpoint with an intact record; ``digests`` is empty if a version without digests saved it."""

    path: Path
    record: Record
    digests: dict[str, Any]


def folders(workdir: Path) -> list[Path]:
    """The checkpoints that Orbax considers complete, in the order of their steps.

    Raises UserError if the folder cannot be read: that is not the same as none.
    """
    folder = workdir / "checkpoints"
    try:
        found = [path for path in folder.iterdir() if path.name.isdigit() and path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder}: {os_reason(error)}; nothing was changed") from error
    return sorted((path.absolute() for path in found), key=lambda path: int(path.name))


def has_checkpoint(workdir: Path) -> bool:
    """Whether a workdir holds a completely written checkpoint; creates nothing."""
    return bool(folders(workdir))


def latest_record(workdir: Path) -> Record | None:
    """Read the record of the latest intact checkpoint; None if there is no checkpoint.

    Only for the process that trains in ``workdir``: damaged checkpoints are set aside.
    """
    found = _intact(workdir, mine=True)
    return found[-1].record if found else None


def restore_latest(workdir: Path, fresh: Any) -> tuple[Any, Record] | None:
    """Read state and record of the latest intact checkpoint; None if there is no checkpoint.

    Only for the process that trains in ``workdir``. ``fresh`` gives structure, shapes and dtypes. Raises
    UserError if the checkpoint has another structure.
    """
    for saved in reversed(_intact(workdir, mine=True)):
        try:
            return _read_arrays(saved, "state", fresh), saved.record
        except Damaged as damage:
            _set_aside(saved.path, damage)
    return None


def load_best(workdir: Path, *, mine: bool = False) -> Classifier:
    """Load the network of the best intact checkpoint of a complete epoch.

    Damaged ones are set aside only if this process trains in ``workdir`` (``mine``); otherwise nothing there
    is changed.

    Raises:
      UserError: there is no complete checkpoint.
    """
    if not has_checkpoint(workdir):
        raise UserError(f"{workdir}: no checkpoint there; {_advice(workdir)}")
    found = _intact(workdir, mine=mine)
    complete = [saved for saved in found if saved.record.position is None]
    for saved in sorted(complete, key=lambda saved: rank(saved.record.rows[-1]), reverse=True):
        record = saved.record
        try:
            tree = _read_arrays(saved, "weights", as_tree(weight_shapes(record.config, len(record.labels))))
        except Damaged as damage:
            _report(saved.path, damage, mine=mine)
            continue
        return Classifier(from_tree(tree), record, str(workdir))
    why = "no epoch is complete yet" if found else "all checkpoints there are damaged"
    raise UserError(f"{workdir}: {why}; to go on with the run, repeat the command that began it")


def rank(row: Mapping[str, Any]) -> tuple[float, int]:
    """A key that is larger for the better epoch: by validation accuracy, the earlier of equals."""
    return row["val_accuracy"], -row["epoch"]


def _intact(workdir: Path, *, mine: bool) -> list[Saved]:
    """The checkpoints with intact records, in the order of their steps; the others are reported."""
    found = []
    for path in folders(workdir):
        try:
            found.append(_read(path))
        except Damaged as damage:
            _report(path, damage, mine=mine)
    return found


def _read(path: Path) -> Saved:
    """Read the record of a checkpoint, and compare it with its digest."""
    found = orbax.read_record(path)
    digest = found.pop("record_digest", None)
    if digest and digest != digests.text(found):
        raise Damaged("its record is not what was saved")
    try:
        record = Record(**{name: found[name] for name in Record._fields if name in found})
    except TypeError as error:
        raise Damaged(f"its record is not complete ({error})") from error
    return Saved(path, record, found.get("digests", {}))


def _read_arrays(saved: Saved, name: str, like: Any) -> Any:
    """Read the arrays ``name`` of a checkpoint, and compare them with their digest."""
    layout, content = saved.digests.get(name, (None, None))
    if layout and layout != digests.layout(like):
        raise UserError(
            f"{saved.path}: holds a network or optimizer of another structure than this version of fer_jax "
            "makes of its config; use the version that began the run, or add --workdir=DIR for a new one"
        )
    tree = orbax.read_arrays(saved.path, name, like)
    if content and content != digests.content(tree):
        raise Damaged("its arrays are not what was saved")
    return tree


def _report(path: Path, damage: Damaged, *, mine: bool) -> None:
    """Say that a checkpoint is damaged; set it aside if this process trains in its workdir."""
    if mine:
        _set_aside(path, damage)
    else:
        warn(f"{path}: damaged ({damage}); left out")


def _set_aside(path: Path, damage: Damaged) -> None:
    """Rename a damaged checkpoint, and say so: the run saves that step again."""
    number, target = 1, path.with_name(f"damaged-{path.name}")
    while target.exists():
        number, target = number + 1, path.with_name(f"damaged-{path.name}-{number + 1}")
    path.rename(target)
    warn(f"{path}: damaged ({damage}); set aside as {target.name}")


def warn(line: str) -> None:
    """Print a line on standard error."""
    print(line, file=sys.stderr, flush=True)


def _advice(workdir: Path) -> str:
    """Say what to do: perhaps the run with the other data is meant, ``NAME-synthetic`` or ``NAME``."""
    name = workdir.name
    other = name.removesuffix("-synthetic") if name.endswith("-synthetic") else f"{name}-synthetic"
    if name and has_checkpoint(workdir.with_name(other)):  # . and / have no name
        return f"{workdir.with_name(other)} has one: add --workdir={workdir.with_name(other)}"
    return "train first, or name a run with --workdir"
