"""Read the small text files in which data sets keep their labels."""

import os
from collections.abc import Iterator
from pathlib import Path

from fer_jax.errors import UserError
from fer_jax.runtime.files import os_reason

_LONGEST = 80


def numbered_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line) for each line that is not empty. Raises UserError if it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise UserError(f"{path}: {os_reason(error)}; a file of labels was expected") from error


def shown(text: str) -> str:
    """The beginning of a line in quotes, for a message."""
    text = text.strip()
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def safe_path(folder: Path, name: str, where: str) -> Path:
    """The path of ``name``, which a file of labels has, below ``folder``.

    Raises UserError, beginning with ``where``, if it leads out of the folder.
    """
    path = Path(name.replace("\\", "/"))
    if not name.isprintable() or path.is_absolute() or ".." in path.parts or path.name == "":
        raise UserError(f"{where}: {shown(name)} is no name of a picture in {folder}")
    return folder / path
