"""Orbax, in one place: what a checkpoint holds, which ones stay, how they come back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.models import create_model, init_variables
from fer_jax.preprocess import Normalization, normalization_shape
from fer_jax.state import TrainState


class Record(NamedTuple):
    """The part of a checkpoint that is no array.

    ``config``: the run's fields; ``rows``: of metrics.jsonl so far; ``labels``: names in order;
    ``data``: the data set's digest, and a line about it for people.
    """

    config: dict[str, Any]
    rows: list[dict[str, Any]]
    labels: list[str]
    data: dict[str, Any]


class Weights(NamedTuple):
    """All that inference needs.

    ``variables``: those used, the averages if on; ``normalization``: of the training set;
    ``temperature``: divides the logits, 1 unless it was fitted (see ``calibration.fit_temperature``).
    """

    variables: dict[str, Any]
    normalization: Normalization
    temperature: float = 1.0


def open_checkpoints(workdir: Path, *, write: bool) -> ocp.training.Checkpointer:
    """The checkpoints of a run, in ``workdir/checkpoints``; to be closed by the caller.

    Kept: the last two, and the one with the highest validation accuracy, the earlier of equals.
    """
    policies = ocp.training.preservation_policies
    keep = [
        policies.LatestN(2),
        policies.BestN(get_metric_fn=lambda m: (m["val_accuracy"], -m["epoch"]), n=1),
    ]
    return ocp.training.Checkpointer(
        (workdir / "checkpoints").absolute(),
        preservation_policy=policies.AnyPreservationPolicy(keep),
        cleanup_tmp_directories=write,
    )


def has_checkpoint(workdir: Path) -> bool:
    """Whether a complete checkpoint is there; creates nothing."""
    if not (workdir / "checkpoints").is_dir():
        return False
    with open_checkpoints(workdir, write=False) as checkpoints:
        return checkpoints.latest is not None


def save(
    checkpoints: ocp.training.Checkpointer,
    state: TrainState,
    normalization: Normalization,
    record: Record,
) -> None:
    """Writes one checkpoint, atomically, named by its step; the last row of ``record`` ranks it."""
    weights = Weights(state.variables(), normalization)
    row = record.rows[-1]
    checkpoints.save_checkpointables(
        row["step"],
        {"state": state, "weights": _as_tree(weights)},
        force=True,
        metrics={"val_accuracy": row["val_accuracy"], "epoch": row["epoch"]},
        custom_metadata=record._asdict(),
    )


def latest_record(checkpoints: ocp.training.Checkpointer) -> Record | None:
    """The record of the latest checkpoint; None if there is no checkpoint."""
    latest = checkpoints.latest
    return None if latest is None else _record(checkpoints, latest.step)


def restore_state(checkpoints: ocp.training.Checkpointer, fresh: TrainState) -> TrainState:
    """The latest state; ``fresh`` gives its structure, shapes and dtypes."""
    restored = checkpoints.load_checkpointables(checkpoints.latest.step, {"state": _abstract(fresh)})
    return restored["state"]


def load_best(workdir: Path) -> tuple[Weights, Record, dict[str, Any]]:
    """The best checkpoint of a run, for inference.

    Returns:
      The weights, the record, and the best checkpoint's row of metrics.jsonl.

    Raises:
      UserError: no complete checkpoint is there, or its labels are not ours.
    """
    if not has_checkpoint(workdir):
        raise UserError(f"{workdir}: no checkpoint there; {_advice(workdir)}")
    with open_checkpoints(workdir, write=False) as checkpoints:
        best = max(checkpoints.checkpoints, key=lambda c: (c.metrics["val_accuracy"], -c.step))
        record = _record(checkpoints, best.step)
        if tuple(record.labels) != LABELS:
            raise UserError(f"{workdir}: trained for the labels {record.labels}, expected {list(LABELS)}")
        shapes = {"weights": _abstract(_as_tree(weight_shapes(record.config)))}
        tree = checkpoints.load_checkpointables(best.step, shapes)["weights"]
    weights = Weights(tree["variables"], Normalization(**tree["normalization"]))
    return weights, record, record.rows[-1]


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
    if has_checkpoint(workdir.with_name(other)):
        return f"{workdir.with_name(other)} has one: add --workdir={workdir.with_name(other)}"
    return "train first, or name a run by --workdir"


def _record(checkpoints: ocp.training.Checkpointer, step: int) -> Record:
    return Record(**checkpoints.checkpointables_metadata(step).custom_metadata)


def _as_tree(weights: Weights) -> dict[str, Any]:
    """Plain dicts, so that the stored names do not hang on our classes."""
    statistics = {name: jax.numpy.asarray(value) for name, value in weights.normalization._asdict().items()}
    return {"variables": weights.variables, "normalization": statistics}


def _abstract(tree: Any) -> Any:
    """Shapes and dtypes, placed on this process's first device whatever device they were saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
