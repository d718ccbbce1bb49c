"""``--mode=predict``: a CSV of labels for the faces in a file or folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_jax import run_evaluate, run_seeds, workdir
from fer_jax.data.load import load_unlabelled
from fer_jax.errors import UserError
from fer_jax.labels import LABELS


def predict_file(
    where: Path,
    given: Mapping[str, Any],
    overrides: list[str],
    source: str | None,
    output: str | None,
    *,
    with_probabilities: bool,
    shipped_name: str | None = None,
) -> None:
    """Writes ``id,label`` for every face of ``source`` to ``output``, atomically.

    Args:
      where: the workdir whose best checkpoint is used, or those of its seeds.
      given: the command's config.
      overrides: the fields that the command line set.
      source: a CSV file of any layout, a picture, or a folder of pictures.
      output: the CSV file to write.
      with_probabilities: add one column a label.
      shipped_name: see ``choose_weights``.

    Raises:
      UserError: no checkpoint, no source or output, or bad input.
    """
    if source is None or output is None:
        raise UserError("--mode=predict needs --input=PATH and --output=OUT.csv")
    # Of several seeds the ensemble: the mean of their probabilities.
    loaded = [
        run_evaluate.load_weights(run, given, overrides, shipped_name=shipped_name)
        for run in run_seeds.folders(where) or [where]
    ]
    faces = load_unlabelled(source)
    chances = np.mean(
        [
            run_evaluate.probabilities(weights, config, faces.images, views=config["views"])
            for weights, config, _ in loaded
        ],
        axis=0,
    )
    workdir.write_text(Path(output), table(faces.ids, chances, with_probabilities=with_probabilities))
    print(f"written: {output}, {len(faces):,} rows")


def table(ids: np.ndarray, chances: np.ndarray, *, with_probabilities: bool) -> str:
    """CSV text of ids (N,) and probabilities (N, 7): ``id,label`` and, if wanted, a column a label."""
    frame = pd.DataFrame({"id": ids, "label": chances.argmax(1)})
    if with_probabilities:
        frame[list(LABELS)] = chances
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.6f")
