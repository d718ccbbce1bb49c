"""Data sets of kaggle.com, by their names there."""

from pathlib import Path

from fer_jax.data.layouts.sniff import locate
from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line

PREFIX = "kaggle:"

# Where a data set has several CSV files, these hold faces with labels.
_KNOWN_FILES = ("fer2013.csv", "icml_face_data.csv", "train.csv")


def download(name: str) -> Path:
    """Fetch ``OWNER/NAME``, once, and return the part of it to read.

    kagglehub keeps what it has fetched in ``~/.cache/kagglehub``. Where Kaggle asks for an account, it uses
    the one in ``~/.kaggle/kaggle.json``.

    Returns:
      A CSV file, or a folder of pictures with one folder a class, as ``load_splits`` takes them.

    Raises:
      UserError: kagglehub is not installed, or the data set cannot be fetched or holds no faces.
    """
    if name.count("/") != 1 or name.startswith("/") or name.endswith("/"):
        raise UserError(f"{PREFIX}{name}: expected {PREFIX}OWNER/NAME, as in the data set's address")
    try:
        import kagglehub
    except ImportError as error:
        raise UserError(f"{PREFIX}{name} needs kagglehub: pip install -r requirements-kaggle.txt") from error
    try:
        folder = Path(kagglehub.dataset_download(name))
    except Exception as error:  # of the network, of Kaggle's answer, of the account: many kinds
        raise UserError(
            f"{PREFIX}{name}: cannot be fetched ({one_line(error)}); check the name and the connection, or "
            "download it by hand and give its path"
        ) from error
    return find_data(folder, name=f"{PREFIX}{name}")


def find_data(folder: Path, *, name: str) -> Path:
    """Find the known CSV file in ``folder``, otherwise a data set of pictures, otherwise the only CSV file.

    Raises UserError, with ``name`` and what was found, if there is none or it could be several.
    """
    tables = sorted(folder.rglob("*.csv"))
    if known := [path for file in _KNOWN_FILES for path in tables if path.name == file]:
        return known[0]
    pictures, reason = _picture_folder(folder)
    if pictures or len(tables) == 1:
        return pictures or tables[0]
    here = ", ".join(str(path.relative_to(folder)) for path in tables[:5]) or "no CSV file"
    raise UserError(
        f"{name}: {here} in {folder}; expected one CSV file of faces, or pictures by class ({reason})"
    )


def _picture_folder(folder: Path) -> tuple[Path | None, str]:
    """The folder in ``folder`` that is a data set of pictures; otherwise None, and why there is none."""
    try:
        return locate(folder)[1], ""
    except UserError as error:
        return None, str(error)
