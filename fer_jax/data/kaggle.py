"""Data sets of kaggle.com, by their names there."""

import os
from pathlib import Path

from fer_jax.data.compressed import one_line
from fer_jax.data.read_pictures import SUFFIXES
from fer_jax.errors import UserError
from fer_jax.labels import LABELS

PREFIX = "kaggle:"

# Where a data set has several CSV files, these hold faces with labels.
_KNOWN_FILES = ("fer2013.csv", "icml_face_data.csv", "train.csv")


def download(name: str) -> Path:
    """Fetches ``OWNER/NAME``, once, and tells which part of it to read.

    kagglehub keeps what it has fetched in ``~/.cache/kagglehub``, and asks Kaggle with the account that
    ``~/.kaggle/kaggle.json`` names, where one is needed.

    Returns:
      A CSV file, or a folder of pictures with one folder a class, as ``load_splits`` takes them.

    Raises:
      UserError: kagglehub is not installed, the data set cannot be fetched, or holds nothing of the kind.
    """
    if name.count("/") != 1 or name.startswith("/") or name.endswith("/"):
        raise UserError(f"{PREFIX}{name}: expected {PREFIX}OWNER/NAME, as in the data set's address")
    try:
        import kagglehub
    except ImportError as error:
        raise UserError(
            f"{PREFIX}{name}: kagglehub is not installed; pip install -r requirements-kaggle.txt"
        ) from error
    try:
        folder = Path(kagglehub.dataset_download(name))
    except Exception as error:  # of the network, of Kaggle's answer, of the account: many kinds
        raise UserError(
            f"{PREFIX}{name}: cannot be fetched ({one_line(error)}); look at the name and the connection, or "
            "download it by hand and give its path"
        ) from error
    return find_data(folder, name=f"{PREFIX}{name}")


def find_data(folder: Path, *, name: str) -> Path:
    """The CSV file in ``folder``, at any depth, or else the folder that holds the classes' folders.

    Raises UserError, with ``name`` and what is there, if that leaves none or several.
    """
    tables = sorted(folder.rglob("*.csv"))
    for known in _KNOWN_FILES:
        if found := [path for path in tables if path.name == known]:
            return found[0]
    if len(tables) == 1:
        return tables[0]
    if not tables and (found := _picture_folder(folder)):
        return found
    here = ", ".join(str(path.relative_to(folder)) for path in tables[:5]) or "no CSV file"
    raise UserError(
        f"{name}: {here} in {folder}; one CSV file of faces, or folders named {', '.join(LABELS)}, "
        "were expected"
    )


def _picture_folder(folder: Path) -> Path | None:
    """The uppermost folder that has folders of classes, in itself or in ``train/``."""
    parents = {path.parent for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES}
    roots = {parent.parent for parent in parents}
    roots = {
        root.parent if root.name.lower() in ("train", "test", "validation", "val", "valid") else root
        for root in roots
    }
    return min(roots, key=lambda path: len(os.fspath(path)), default=None) if len(roots) == 1 else None
