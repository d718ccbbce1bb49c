"""``--mode=predict``: a CSV file of labels for the faces in a CSV file, a picture or a folder of pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.check_config import views_in_pictures
from fer_jax.data.load import is_pictures, load_unlabelled
from fer_jax.data.read_pictures import picture_paths
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.predict import photos as run_photos
from fer_jax.predict.table import table
from fer_jax.runtime import files as workdir
from fer_jax.train import seeds as run_seeds


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

    For faces found in photos also ``x,y,width,height``: see ``run_photos.predict_photos``.

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
    if Path(output).is_dir():
        raise UserError(f"--output={output}: is a folder; a CSV file to write was expected")
    if _is_read(Path(output), Path(source)):
        raise UserError(f"--output={output}: is a file that --input={source} reads; give it another name")
    # Of several seeds the ensemble: the mean of their probabilities.
    networks = run_seeds.load_members(where, given, overrides, shipped_name=shipped_name)

    pictures = is_pictures(source)

    def predict(images: np.ndarray) -> np.ndarray:
        chances = []
        for weights, config, _ in networks:
            views = views_in_pictures(config, overrides) if pictures else config["views"]
            chances.append(run_evaluate.probabilities(weights, config, images, views=views))
        return np.mean(chances, axis=0)

    if pictures:
        run_photos.predict_photos(source, predict, Path(output), with_probabilities=with_probabilities)
        return
    faces = load_unlabelled(source)
    chances = predict(faces.images)
    workdir.write_text(Path(output), table(faces.ids, chances, with_probabilities=with_probabilities))
    print(f"written: {output}, {len(faces):,} rows")


def _is_read(output: Path, source: Path) -> bool:
    """Whether the file to write is the source, or a picture in it."""
    if not (output.exists() and source.exists()):
        return False
    return any(output.samefile(path) for path in (picture_paths(source) if source.is_dir() else [source]))
