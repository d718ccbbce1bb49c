"""What the names of folders say, an expression or a number, and what lies in a folder."""

import os
import re
from pathlib import Path

from fer_jax.data.class_names import expression_of
from fer_jax.data.find_pictures import is_hidden
from fer_jax.data.kinds import PICTURE, SUFFIXES, kind_of
from fer_jax.errors import UserError
from fer_jax.runtime.files import os_reason

_MOST_OPENED = 50
"""Files without the name of a picture that are opened to know whether a folder has pictures."""


def expression_in(name: str) -> str | None:
    """The expression that a folder is named after, also with its number before it: ``0_angry``."""
    return expression_of(re.sub(r"^\d+[\s_.-]+", "", name))


def class_in(name: str) -> str:
    """The class that a folder is named after: its expression, otherwise the name in small letters."""
    return expression_in(name) or name.strip().casefold()


def is_known(name: str) -> bool:
    """Whether a folder is named after an expression or has a number for a name."""
    return expression_in(name) is not None or is_number(name)


def is_number(name: str) -> bool:
    """Whether a name is a whole number, 0 or more."""
    return name.isascii() and name.isdigit()


def subfolders(folder: str | os.PathLike) -> list[Path]:
    """The folders in ``folder``, sorted, without hidden ones. Raises UserError if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if not is_hidden(e.name) and e.is_dir())
    except OSError as error:
        raise UserError(f"{folder}: {os_reason(error)}; a readable folder was expected") from error


def has_pictures(folder: str | os.PathLike) -> bool:
    """Whether pictures lie in ``folder`` itself; False if it cannot be listed."""
    opened = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name) or not entry.is_file():
                    continue
                if not entry.name.lower().endswith(SUFFIXES):
                    opened += 1
                    if opened > _MOST_OPENED:
                        continue
                if kind_of(entry.path) == PICTURE:
                    return True
    except OSError:
        pass
    return False
