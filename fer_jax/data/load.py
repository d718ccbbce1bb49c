"""Load the faces that a user names: the built-in ones, a CSV file, a folder or a picture."""

import os
from collections.abc import Mapping
from typing import Any

from fer_jax.data import kaggle
from fer_jax.data.cache import cached_read_csv
from fer_jax.data.faces import Faces, Splits
from fer_jax.data.read_csv import CsvTable, read_csv
from fer_jax.data.read_pictures import SUFFIXES, read_folder, read_unlabelled
from fer_jax.data.split import rows_shared, stratified_split
from fer_jax.data.synthetic import synthetic_splits
from fer_jax.errors import UserError

_PART_OF = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


def load_dataset(config: Mapping[str, Any]) -> Splits:
    """Load the data set of a config. Raises UserError if it cannot be read."""
    if config["dataset"] == "synthetic":
        return synthetic_splits(**(dict(config["synthetic"]) | {"seed": seed_of_faces(config)}))
    options = {name: config[name] for name in ("validation_fraction", "seed", "cache")}
    return load_splits(config["dataset"], **options)


def seed_of_faces(config: Mapping[str, Any]) -> int:
    """The seed of the built-in faces: ``synthetic.seed``, or that of the run if it is below 0 or missing."""
    seed = config["synthetic"].get("seed", -1)  # older runs lack it
    return seed if seed >= 0 else config["seed"]


def labelled_faces(splits: Splits, *, split: str, dataset: str) -> Faces:
    """The faces of one split, ``validation`` or ``test``.

    Raises UserError, with the name of the ``dataset``, if it has none with labels.
    """
    faces = getattr(splits, split)
    if faces is None or faces.labels is None or not len(faces):
        raise UserError(f"{dataset}: has no labelled {split} faces; choose another split")
    return faces


def load_splits(dataset: str, *, validation_fraction: float, seed: int, cache: bool = True) -> Splits:
    """Load a labelled data set, and split it.

    A split of the source is kept: train on Training, choose on PublicTest, test on PrivateTest.

    Args:
      dataset: path of a CSV file (see ``read_csv``) or a folder of pictures (see ``read_folder``), or
        ``kaggle:OWNER/NAME`` (see ``kaggle.download``).
      validation_fraction: share of the training faces to draw for validation where the source has none:
        stratified by class, with all copies of a face in the same part.
      seed: of the draw.
      cache: whether a parsed CSV file is kept for the next time (see ``cached_read_csv``).

    Returns:
      The parts, with labels. The notes say how validation was made, and how many of its faces also occur
      byte for byte in training.

    Raises:
      UserError: the source cannot be read, has no labels or no faces to train on, or cannot be split.
    """
    if dataset.startswith(kaggle.PREFIX):
        path = str(kaggle.download(dataset.removeprefix(kaggle.PREFIX)))
    else:
        path = os.path.expanduser(dataset)  # a shell leaves the ~ in --config.dataset=~/faces alone
    if os.path.isdir(path):
        parts = read_folder(path)
    else:
        parts = _parts(cached_read_csv(path, require_labels=True, cache=cache))
    train = parts.get("train") or parts.get("all")
    if not train:
        raise UserError(f"{dataset}: no faces to train on, only for {' and '.join(parts)}")
    if validation := parts.get("validation"):
        note = f"{len(train):,} training and {len(validation):,} validation faces, split as in {dataset}"
    else:
        train, validation, note = _draw(dataset, train, validation_fraction, seed)
    shared = rows_shared(validation.images, train.images)
    overlap = (
        f"{shared.sum():,} of the {len(validation):,} validation faces ({shared.mean():.1%}) "
        "also occur byte for byte in training"
    )
    return Splits(train, validation, parts.get("test"), (note, overlap))


def load_unlabelled(path: str | os.PathLike) -> Faces:
    """Load faces to predict: a CSV file of any layout (all rows), a picture, or a folder of pictures.

    Labels are None unless a CSV file has them. Raises UserError.
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
    return {part: table.faces.take(mask) for part, mask in masks.items() if mask.any()}


def _draw(dataset: str, faces: Faces, fraction: float, seed: int) -> tuple[Faces, Faces, str]:
    """Split training faces into (train, validation, a note on how)."""
    try:
        train, validation = stratified_split(faces.images, faces.labels, fraction=fraction, seed=seed)
    except UserError as error:
        raise UserError(f"{dataset}: {error}") from error
    note = (
        f"{dataset} has no validation faces: {len(validation):,} of its {len(faces):,} training faces "
        f"({len(validation) / len(faces):.1%}) were drawn by seed {seed}, stratified by class"
    )
    return faces.take(train), faces.take(validation), note
