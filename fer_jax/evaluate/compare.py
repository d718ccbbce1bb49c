"""``--mode=eval --workdir=A,B,...``: several runs side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.evaluate import run as run_evaluate
from fer_jax.evaluate.metrics import accuracy_interval
from fer_jax.models import count_parameters

_FIGURES = (("balanced_accuracy", ".2%"), ("macro_f1", ".3f"), ("loss", ".3f"))


def listed(workdirs: str | None) -> list[Path]:
    """The runs of ``--workdir=A,B``; empty for a single one, and for a folder with a comma in its name."""
    if workdirs is None or "," not in workdirs or Path(workdirs).exists():
        return []
    return [Path(name.strip()) for name in workdirs.split(",") if name.strip()]


def compare_runs(runs: list[Path], given: Mapping[str, Any], overrides: list[str]) -> None:
    """Scores the best checkpoint of each run, writes its ``eval/``, and prints a row for each.

    Args:
      runs: workdirs.
      given: the command's config.
      overrides: the fields that the command line set; ``dataset`` scores all on the same faces, but
        where a file has no split of its own each run draws them by its own seed.

    Raises:
      UserError: as ``run_evaluate.evaluate_run``, for any of them, before any figure is written.
    """
    loaded = [run_evaluate.load_record(run, given, overrides) for run in runs]
    told: set[str] = set()
    faces = []
    for run, (_, record, config, _) in zip(runs, loaded, strict=True):
        faces.append(run_evaluate.load_told(record, config, told, of=f"those of {run}")[1])
    if not all(np.array_equal(faces[0].images, others.images) for others in faces[1:]):
        print(
            "  the runs are not scored on the same faces; --config.dataset with a split of its own gives them"
        )
    rows = []
    for run, (weights, _, config, row), scored in zip(runs, loaded, faces, strict=True):
        result, bins = run_evaluate.score(weights, config, scored, config["split"], views=config["views"])
        run_evaluate.report(result, bins, run, epoch=row["epoch"], quiet=True)
        rows.append((str(run), count_parameters(weights.variables["params"]), result))
    print(table(rows))
    print(f"written: {runs[0]}/eval/, …")


def table(rows: list[tuple[str, int, Mapping[str, Any]]]) -> str:
    """Aligned text from (name, parameters, content of eval/metrics.json) of each run."""
    width = max(len("run"), *(len(name) for name, _, _ in rows))
    heads = ("parameters", "faces", "views", "accuracy", "95% interval", "balanced", "macro F1", "loss")
    widths = (12, 8, 10, 10, 18, 10, 10, 8)
    lines = ["", f"{'run':<{width}}" + "".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))]
    for name, parameters, result in rows:
        low, high = accuracy_interval(np.array(result["confusion_matrix"]))
        cells = (
            f"{parameters:,}",
            f"{result['num_examples']:,}",
            result["views"],
            f"{result['accuracy']:.2%}",
            f"{low:.2%}-{high:.2%}",
            *(format(result[figure], kind) for figure, kind in _FIGURES),
        )
        lines.append(f"{name:<{width}}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    return "\n".join(lines)
