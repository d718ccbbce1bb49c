"""Score several networks: runs side by side, or the seeds of one run and their ensemble."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.checkpoints.choose import choose, command_of_seed, seed_folders
from fer_jax.classifier import Classifier
from fer_jax.data.faces import Faces
from fer_jax.evaluate.metrics import accuracy_interval, summarize
from fer_jax.evaluate.report import load_scored, report, score
from fer_jax.evaluate.step import score_probabilities
from fer_jax.runtime.command import Command
from fer_jax.runtime.files import write_json
from fer_jax.runtime.words import number_of

_FORMATS = {"accuracy": ".2%", "balanced_accuracy": ".2%", "macro_f1": ".3f", "loss": ".3f"}


def compare_runs(command: Command) -> None:
    """Score the best checkpoint of each run, write its ``eval/``, and print a row for each.

    A folder of seeds gives a row for each of them. All are scored on ``config.dataset`` if the command sets
    it. If a file has no split of its own, each run draws its validation faces by its own seed.

    Raises:
      UserError: as ``choose`` and ``load_scored``, for any run, before any figure is written.
    """
    runs = [run for workdir in command.workdirs for run in seed_folders(workdir) or [workdir]]
    classifiers = [choose(_command_of(command, run)) for run in runs]
    faces, results = _score_all(runs, classifiers)
    if not _are_same(faces):
        print("  the runs are not scored on the same faces; set --config.dataset to a data set with a split")
    parameters = [classifier.num_parameters for classifier in classifiers]
    print(runs_table(list(zip(map(str, runs), parameters, results, strict=True))))
    print(f"written: {runs[0]}/eval/, …")


def compare_seeds(command: Command) -> None:
    """Score the best checkpoint of each seed, their mean and spread, and their ensemble.

    The ensemble averages probabilities. It is left out if the seeds drew different validation faces, since
    some of these are training faces of other seeds. Write ``eval/`` for each seed and
    ``eval/metrics.json`` in the workdir.

    Raises:
      UserError: as ``choose`` and ``load_scored``.
    """
    folders = seed_folders(command.workdir)
    classifiers = [choose(command_of_seed(command, folder)) for folder in folders]
    faces, results = _score_all(folders, classifiers)
    figures = {name: [result[name] for result in results] for name in _FORMATS}
    deviation = statistics.stdev if len(folders) > 1 else lambda values: 0.0
    summary = {
        "seeds": {f.name: {n: r[n] for n in _FORMATS} for f, r in zip(folders, results, strict=True)},
        "mean": {name: statistics.mean(values) for name, values in figures.items()},
        "standard_deviation": {name: deviation(values) for name, values in figures.items()},
    }
    if _are_same(faces):
        seen = [c.predict(faces[0].images, views=c.config["views"]) for c in classifiers]
        ensemble = summarize(score_probabilities(np.mean(seen, 0), faces[0].labels), classifiers[0].labels)
        summary["ensemble"] = {name: ensemble[name] for name in _FORMATS}
    else:
        print("  no ensemble: the seeds drew different validation faces, which others of them trained on")
    print(seeds_table(summary, results[0]))
    path = command.workdir / "eval" / "metrics.json"
    write_json(path, summary)
    print(f"written: {path}, {folders[0]}/eval/, …")


def _command_of(command: Command, run: Path) -> Command:
    """The command for one of several runs; of a seed's run its own seed counts."""
    if run in command.workdirs:
        return dataclasses.replace(command, workdirs=(run,), shipped_name=None)
    return command_of_seed(command, run)


def runs_table(runs: list[tuple[str, int, Mapping[str, Any]]]) -> str:
    """Format (name, parameters, content of eval/metrics.json) of each run as aligned text."""
    heads = ("parameters", "faces", "views", "accuracy", "95% interval", "balanced", "macro F1", "loss")
    rows = [("run", *heads)]
    for name, parameters, result in runs:
        low, high = accuracy_interval(np.array(result["confusion_matrix"]))
        accuracy, *others = _cells(result)
        counts = f"{parameters:,}", f"{result['num_examples']:,}", result["views"]
        rows.append((name, *counts, accuracy, f"{low:.2%}-{high:.2%}", *others))
    return "\n" + _align(rows, (max(len(row[0]) for row in rows), 12, 8, 10, 10, 18, 10, 10, 8))


def seeds_table(summary: Mapping[str, Any], scored: Mapping[str, Any]) -> str:
    """Format each seed, their mean and standard deviation, and the ensemble as aligned text."""
    rows = [("", "accuracy", "balanced", "macro F1", "loss")]
    others = {name: row for name, row in summary.items() if name != "seeds"}
    for name, figures in (summary["seeds"] | others).items():
        rows.append((name.replace("_", " "), *_cells(figures)))
    head = f"\n{scored['split']}, {number_of(scored['num_examples'], 'face')}, views: {scored['views']}\n"
    return head + _align(rows, (20, 10, 10, 10, 8))


def _cells(figures: Mapping[str, Any]) -> list[str]:
    return [format(figures[name], kind) for name, kind in _FORMATS.items()]


def _align(rows: Iterable[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    """Join rows of cells: the first of each row to the left of its column, the others to the right."""
    signs = "<" + ">" * (len(widths) - 1)
    return "\n".join(
        "".join(f"{cell:{sign}{width}}" for cell, sign, width in zip(row, signs, widths, strict=True))
        for row in rows
    )


def _score_all(
    folders: Sequence[Path], classifiers: list[Classifier]
) -> tuple[list[Faces], list[dict[str, Any]]]:
    """Load the faces of each run, then score each and write its ``eval/`` -> faces and results."""
    printed: set[str] = set()
    faces, results = [], []
    for folder, classifier in zip(folders, classifiers, strict=True):
        faces.append(load_scored(classifier, printed, weights=f"the weights of {folder}").faces)
    for folder, classifier, scored in zip(folders, classifiers, faces, strict=True):
        result, bins = score(classifier, scored)
        report(result, bins, folder, classifier, quiet=True)
        results.append(result)
    return faces, results


def _are_same(faces: list[Faces]) -> bool:
    return all(np.array_equal(faces[0].images, others.images) for others in faces[1:])
