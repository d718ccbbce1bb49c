"""Orbax, in one place: what a checkpoint holds, which ones stay, how they come back whole."""

import contextlib
import copy
import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from fer_jax.checkpoints import digests as integrity
from fer_jax.checkpoints.restore import (
    Damaged,
    Record,
    Saved,
    alone,
    folders,
    load,
    set_aside,
    silence,
    sound,
    tell,
)
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.models import create_model, init_variables
from fer_jax.train.state import TrainState
from fer_jax.transforms.normalize import Normalization, normalization_shape


class Weights(NamedTuple):
    """All that inference needs.

    ``variables``: those used, the averages if on; ``normalization``: of the training set;
    ``temperatures``: by test-time views, those that were fitted (see ``calibration.fit_temperature``).
    """

    variables: dict[str, Any]
    normalization: Normalization
    temperatures: dict[str, float] = {}  # noqa: RUF012

    def temperature(self, views: str) -> float:
        """What divides the logits of each of the ``views``, 1 unless it was fitted."""
        return self.temperatures.get(views, 1.0)


@dataclasses.dataclass
class Checkpoints:
    """Those of a run that is training, in ``folder``; ``saving`` is the save under way, by its step."""

    folder: Path
    saving: tuple[int, ocp.AsyncResponse[None]] | None = None
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def open_checkpoints(workdir: Path) -> Iterator[Checkpoints]:
    """The checkpoints of a run, in ``workdir/checkpoints``, to save to; half-written ones are removed.

    What was saved is complete at the end of the block. Raises UserError if it could not be written.
    """
    folder = workdir.absolute() / "checkpoints"
    for half_written in folder.glob("*.orbax-checkpoint-tmp*"):
        tell(f"{folder}/{half_written.name.split('.')[0]}: was only half written; removed")
        shutil.rmtree(half_written, ignore_errors=True)
    silence()
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder)
    try:
        yield checkpoints
        _wait(checkpoints)
    finally:
        # What went wrong has been told.
        with contextlib.suppress(Exception):
            _wait(checkpoints)


def has_checkpoint(workdir: Path) -> bool:
    """Whether any checkpoint was completely written there; creates nothing."""
    return bool(folders(workdir))


def save(checkpoints: Checkpoints, state: TrainState, normalization: Normalization, record: Record) -> None:
    """Begins to write one checkpoint, atomically, named by its step, in the background.

    The one before is complete when this returns. Raises UserError if that, or this one, cannot be written.
    """
    _wait(checkpoints)
    step = int(state.step) if record.position else record.rows[-1]["step"]
    trees = {"state": state, "weights": _as_tree(Weights(state.variables(), normalization))}
    # Copies, since the next step takes the state's buffers (Orbax 0.12.8 seems to copy arrays as
    # well; ours do not hang on that), and the next epoch adds to the rows.
    trees, record = jax.tree.map(np.array, trees), copy.deepcopy(record)
    checkpoints.rows = record.rows
    digests = {name: [integrity.layout(tree), integrity.content(tree)] for name, tree in trees.items()}
    found = record._asdict() | {"digests": digests}
    found["record_digest"] = integrity.text(found)
    with _telling_failure(checkpoints, step):
        response = ocp.save_checkpointables_async(
            checkpoints.folder / str(step), trees, overwrite=True, custom_metadata=found
        )
    checkpoints.saving = step, response


def latest_record(workdir: Path) -> Record | None:
    """The record of the latest sound checkpoint; None if there is no checkpoint.

    To be called, as ``restore_latest``, by the one process that trains there: what is damaged is set aside.
    """
    found = sound(workdir, mine=True)
    return found[-1].record if found else None


def restore_latest(workdir: Path, fresh: TrainState) -> tuple[TrainState, Record] | None:
    """State and record of the latest sound checkpoint; ``fresh`` gives structure, shapes and dtypes.

    Raises:
      UserError: the checkpoint is of another structure.
    """
    for saved in reversed(sound(workdir, mine=True)):
        try:
            return load(saved, "state", fresh), saved.record
        except Damaged as damage:
            set_aside(saved.path, damage, mine=True)
    return None


def load_best(workdir: Path, *, mine: bool = False) -> tuple[Weights, Record, dict[str, Any]]:
    """The best sound checkpoint of a complete epoch, for inference.

    Args:
      workdir: of the run.
      mine: this process trains there; else damaged ones are set aside only where none does.

    Returns:
      The weights, the record, and the best checkpoint's row of metrics.jsonl.

    Raises:
      UserError: no complete checkpoint is there, or its labels are not ours.
    """
    if not has_checkpoint(workdir):
        raise UserError(f"{workdir}: no checkpoint there; {_advice(workdir)}")
    found = sound(workdir, mine=mine)
    for saved in sorted((s for s in found if s.record.position is None), key=_saved_rank, reverse=True):
        record = saved.record
        if tuple(record.labels) != LABELS:
            raise UserError(f"{workdir}: trained for the labels {record.labels}, expected {list(LABELS)}")
        try:
            tree = load(saved, "weights", _as_tree(weight_shapes(record.config)))
        except Damaged as damage:
            set_aside(saved.path, damage, mine=mine)
            continue
        weights = Weights(tree["variables"], Normalization(**tree["normalization"]))
        return weights, record, record.rows[-1]
    none = "no epoch is complete yet" if found else "no checkpoint there is whole"
    raise UserError(f"{workdir}: {none}; the command that began the run goes on with it")


def weight_shapes(config: Mapping[str, Any]) -> Weights:
    """The shapes that a config's weights have."""
    name = config["model"]
    model = create_model(name, config[name])
    variables = jax.eval_shape(lambda key: init_variables(model, key), jax.random.key(0))
    statistic = np.zeros(normalization_shape(config["normalize"]), np.float32)
    return Weights(variables, Normalization(statistic, statistic))


def _advice(workdir: Path) -> str:
    """Runs on real data and on the built-in faces lie side by side: the other may be what was meant."""
    name = workdir.name
    other = name.removesuffix("-synthetic") if name.endswith("-synthetic") else f"{name}-synthetic"
    if name and has_checkpoint(workdir.with_name(other)):  # . and / have no name
        return f"{workdir.with_name(other)} has one: add --workdir={workdir.with_name(other)}"
    return "train first, or name a run by --workdir"


def _rank(row: Mapping[str, Any]) -> tuple[float, int]:
    return row["val_accuracy"], -row["epoch"]


def _saved_rank(saved: Saved) -> tuple[float, int]:
    return _rank(saved.record.rows[-1])


@contextlib.contextmanager
def _telling_failure(checkpoints: Checkpoints, step: int) -> Iterator[None]:
    try:
        with alone():
            yield
    except Exception as error:
        # TensorStore nests what it tries, each with a path; last, before its numbers, is why it failed.
        reason = " ".join(str(error).split()).rsplit(": ", 1)[-1].split(" [")[0]
        raise UserError(
            f"{checkpoints.folder}: checkpoint {step} could not be written ({reason}); those before "
            "it are whole; make room or mend the disk, and the same command goes on from there"
        ) from error


def _wait(checkpoints: Checkpoints) -> None:
    """Until the save under way is complete; only then are older ones removed."""
    if checkpoints.saving is not None:
        (step, response), checkpoints.saving = checkpoints.saving, None
        with _telling_failure(checkpoints, step):
            response.result()
        _remove_old(checkpoints)


def _remove_old(checkpoints: Checkpoints) -> None:
    """The last two stay, and the best complete epoch, the earlier of equals."""
    paths = folders(checkpoints.folder.parent)
    ranks = {str(row["step"]): _rank(row) for row in checkpoints.rows}
    best = max(
        (path for path in paths if path.name in ranks), key=lambda path: ranks[path.name], default=None
    )
    for path in paths[:-2]:
        if path != best:
            shutil.rmtree(path, ignore_errors=True)


def _as_tree(weights: Weights) -> dict[str, Any]:
    """Plain dicts, so that the stored names do not hang on our classes."""
    statistics = {name: jax.numpy.asarray(value) for name, value in weights.normalization._asdict().items()}
    return {"variables": weights.variables, "normalization": statistics}
