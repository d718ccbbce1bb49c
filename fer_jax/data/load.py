"""From what a user names to faces in memory: a CSV file, a folder or a picture."""

import os

import numpy as np

from fer_jax.data import kaggle
from fer_jax.data.cache import cached_read_csv
from fer_jax.data.faces import Faces, Splits
from fer_jax.data.read_csv import CsvTable, read_csv
from fer_jax.data.read_pictures import SUFFIXES, read_folder, read_unlabelled
from fer_jax.data.split import count_shared, stratified_split
from fer_jax.errors import UserError

_PART_OF = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


def load_splits(dataset: str, *, validation_fraction: float, seed: int, cache: bool = True) -> Splits:
    """A labelled data set by its parts.

    A split that the source gives is kept: train on Training, choose on PublicTest, test on PrivateTest.
    Where it gives no validation faces, ``validation_fraction`` of the training faces is drawn by
    ``seed``, stratified by class, all copies of a face on one side.

    Args:
      dataset: path of a CSV file (see ``read_csv``) or a folder of pictures (see ``read_folder``), or
        ``kaggle:OWNER/NAME`` (see ``kaggle.download``).
      validation_fraction: share of the training faces to draw, where some must be drawn.
      seed: decides which.
      cache: whether a parsed CSV file is kept for the next time (see ``cached_read_csv``).

    Returns:
      The parts, labels present; the notes say how validation came about and how many of its faces
      also occur byte for byte in training.

    Raises:
      UserError: the source cannot be read, has no labels or no faces to train on, or cannot be split.
    """
    path = _locate(dataset)
    if os.path.isdir(path):
        parts = read_folder(path)
    else:
        parts = _parts(cached_read_csv(path, require_labels=True, cache=cache))
    train = parts.get("train") or parts.get("all")
    if not train:
        raise UserError(
            f"{dataset}: no faces to train on, only for {' and '.join(parts)}; training faces were expected"
        )
    if validation := parts.get("validation"):
        note = f"{len(train):,} training and {len(validation):,} validation faces, as {dataset} gives them"
    else:
        train, validation, note = _draw(dataset, train, validation_fraction, seed)
    shared = count_shared(validation.images, train.images)
    overlap = (
        f"{shared:,} of the {len(validation):,} validation faces ({shared / len(validation):.1%}) "
        "also occur byte for byte in training"
    )
    return Splits(train, validation, parts.get("test"), (note, overlap))


def _locate(dataset: str) -> str:
    if dataset.startswith(kaggle.PREFIX):
        return str(kaggle.download(dataset.removeprefix(kaggle.PREFIX)))
    return os.path.expanduser(dataset)  # a shell leaves the ~ in --config.dataset=~/faces alone


def load_unlabelled(path: str | os.PathLike) -> Faces:
    """Faces to predict: a CSV file of any layout (all rows), a picture, or a folder of pictures.

    Labels are kept where a CSV file has them, and None otherwise. Raises UserError.
    """
    if is_pictures(path):
        return read_unlabelled(path)
    return read_csv(path, require_labels=False).faces


def is_pictures(path: str | os.PathLike) -> bool:
    """Whether ``path`` is a folder, or a picture by its name."""
    return os.path.isdir(path) or os.fspath(path).lower().endswith(SUFFIXES)


def _parts(table: CsvTable) -> dict[str, Faces]:
    """The rows of a CSV file by part; those without rows are left out."""
    if table.usage is None:
        return {"all": table.faces}
    masks = {part: table.usage == usage for usage, part in _PART_OF.items()}
    return {part: table.faces.take(mask) for part, mask in masks.items() if np.any(mask)}


def _draw(dataset: str, faces: Faces, fraction: float, seed: int) -> tuple[Faces, Faces, str]:
    """(train, validation, a note) out of training faces."""
    try:
        train, validation = stratified_split(faces.images, faces.labels, fraction=fraction, seed=seed)
    except UserError as error:
        raise UserError(f"{dataset}: {error}") from error
    note = (
        f"{dataset} gives no validation faces: {len(validation):,} of its {len(faces):,} training faces "
        f"({len(validation) / len(faces):.1%}) were drawn by seed {seed}, stratified by class"
    )
    return faces.take(train), faces.take(validation), note
