"""The same training from several seeds: mean and spread of its figures, and their networks as an ensemble."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from fer_jax.checkpoints import save as checkpoint
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.runtime import files as workdir
from fer_jax.runtime.distributed import on_first
from fer_jax.train import run as run_train

_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "loss")


def folders(where: Path) -> list[Path]:
    """The runs of the seeds in the workdir ``where``, by seed; empty if it holds none."""
    found = [path for path in where.glob("seed-*") if path.name.removeprefix("seed-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("seed-")))


def require_one(where: Path) -> None:
    """Raises UserError if the workdir ``where`` holds runs of several seeds, and names one of them."""
    if members := folders(where):
        raise UserError(f"{where}: holds runs of several seeds; name one of them: --workdir={members[0]}")


def load_members(
    where: Path, given: Mapping[str, Any], overrides: list[str], *, shipped_name: str | None = None
) -> list[tuple[checkpoint.Weights, dict[str, Any], dict[str, Any]]]:
    """As ``run_evaluate.load_weights`` of each seed in the workdir ``where``, or of the one run there.

    Nothing takes the place of a seed that has no checkpoint yet: it raises UserError.
    """
    if members := folders(where):
        return [run_evaluate.load_weights(member, given, _of_a_member(overrides)) for member in members]
    return [run_evaluate.load_weights(where, given, overrides, shipped_name=shipped_name)]


def train_seeds(config: ConfigDict, where: Path) -> None:
    """Trains ``config.seeds`` runs, from ``config.seed`` on, in ``where/seed-N``; those begun go on.

    Raises:
      UserError: as ``run_train.train``, or ``where`` holds a run of one seed.
    """
    if on_first(lambda: checkpoint.has_checkpoint(where)):
        raise UserError(f"{where}: holds a run of one seed; add --workdir={where}-seeds for several")
    seeds = range(config.seed, config.seed + config.seeds)
    for seed in seeds:
        print(f"\n== seed {seed}: {where}/seed-{seed}")
        one = ConfigDict(config.to_dict() | {"seeds": 1, "seed": seed})
        run_train.train(one, where / f"seed-{seed}")
    on_first(lambda: evaluate_seeds(where, workdir.plain(config), []))


def evaluate_seeds(where: Path, given: Mapping[str, Any], overrides: list[str]) -> None:
    """Scores each seed's best checkpoint, their mean and spread, and the ensemble of them all.

    The ensemble averages probabilities. It is left out where the seeds drew different validation faces,
    some of which the others trained on. Writes ``where/eval/metrics.json``, and each seed's own.

    Args:
      where: the workdir that holds ``seed-N`` folders.
      given: the command's config.
      overrides: the fields that the command line set.

    Raises:
      UserError: as ``run_evaluate.evaluate_run``.
    """
    members = folders(where)
    records, results, chances = [], {}, []
    told: set[str] = set()
    networks = [run_evaluate.load_record(member, given, _of_a_member(overrides)) for member in members]
    for member, (weights, record, config, row) in zip(members, networks, strict=True):
        _, faces = run_evaluate.load_told(record, config, told, of=f"those of {member}")
        result, bins = run_evaluate.score(weights, config, faces, config["split"], views=config["views"])
        run_evaluate.report(result, bins, member, epoch=row["epoch"], quiet=True)
        results[member.name] = result
        chances.append(run_evaluate.probabilities(weights, config, faces.images, views=config["views"]))
        records.append((faces.images, faces.labels))
    summary = {
        "seeds": {name: {f: result[f] for f in _FIGURES} for name, result in results.items()},
        "mean": {f: statistics.mean(r[f] for r in results.values()) for f in _FIGURES},
        "standard_deviation": {f: _deviation([r[f] for r in results.values()]) for f in _FIGURES},
    }
    images, labels = records[0]
    if all(np.array_equal(images, other) for other, _ in records[1:]):
        summary["ensemble"] = _ensemble(np.mean(chances, 0), labels)
    print(table(summary, next(iter(results.values()))))
    workdir.write_json(where / "eval" / "metrics.json", summary)
    print(f"written: {where}/eval/metrics.json, {members[0]}/eval/, …")


def _of_a_member(overrides: list[str]) -> list[str]:
    """Each member has a seed of its own, counted from the command's."""
    return [name for name in overrides if name != "seed"]


def table(summary: Mapping[str, Any], scored: Mapping[str, Any]) -> str:
    """A row for each seed, their mean and standard deviation, and the ensemble, as aligned text."""
    lines = [f"\n{scored['split']}, {scored['num_examples']:,} faces, views: {scored['views']}"]
    lines.append(f"{'':<20}{'accuracy':>10}{'balanced':>10}{'macro F1':>10}{'loss':>8}")
    rows = summary["seeds"] | {k: summary[k] for k in ("mean", "standard_deviation") if k in summary}
    for name, figures in (rows | {k: summary[k] for k in ("ensemble",) if k in summary}).items():
        accuracy, balanced, f1, loss = (figures[f] for f in _FIGURES)
        lines.append(f"{name.replace('_', ' '):<20}{accuracy:>10.2%}{balanced:>10.2%}{f1:>10.3f}{loss:>8.3f}")
    return "\n".join(lines)


def _deviation(values: list[float]) -> float:
    """Of a sample; 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _ensemble(chances: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    predicted = chances.argmax(1)
    return {
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(labels, predicted)),
        "macro_f1": float(metrics.f1_score(labels, predicted, average="macro")),
        "loss": float(-np.log(np.maximum(chances[np.arange(len(labels)), labels], 1e-30)).mean()),
    }
