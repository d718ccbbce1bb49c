"""List the pictures in a folder, known by their content, and name what else is there."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fer_jax.data.kinds import FOREIGN, HEIC, PICTURE, TO_READ_HEIC, VIDEO, kind_of
from fer_jax.errors import UserError
from fer_jax.runtime.files import os_reason
from fer_jax.runtime.words import number_of, some, tally

NO_PICTURE, BESIDE, HIDDEN, LINKED = "no picture", "beside the folders", "hidden", "linked"
SPECIAL, CLOSED = "special", "closed"

_OF_SYSTEMS = (
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"),
    *("system volume information", "__pycache__"),
)
"""What systems leave beside pictures, and hide or ought to."""


class Other(NamedTuple):
    """Something in a folder that is not taken: ``kind`` is the end of its name, or says what it is.

    ``why`` is one of the constants above, ``FOREIGN``, ``HEIC`` or ``VIDEO``.
    """

    path: Path
    why: str
    kind: str


class Found(NamedTuple):
    """The pictures in a folder at any depth, sorted, and everything that is not taken."""

    paths: list[Path]
    others: list[Other]

    def videos(self) -> list[Path]:
        """The videos, which only --mode=predict takes; they are among ``others``."""
        return [other.path for other in self.others if other.why == VIDEO]

    def without_videos(self) -> list[Other]:
        """The others that are no videos."""
        return [other for other in self.others if other.why != VIDEO]


def find_pictures(folder: str | os.PathLike) -> Found:
    """List the pictures at any depth below ``folder``, without hidden ones.

    A folder within it that is a symbolic link is not entered, so that no picture comes twice and no loop is
    walked; the ``folder`` itself may be a link. Only plain files are opened, and only where the name does not
    end as those of pictures do. Raises UserError if the folder itself cannot be listed.
    """
    top, paths, others = os.fspath(folder), [], []
    pending = [top]
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    sort = _sort(entry)
                    if sort is None:
                        pending.append(entry.path)
                    elif sort[0] == PICTURE:
                        paths.append(Path(entry.path))
                    else:
                        others.append(Other(Path(entry.path), *sort))
        except OSError as error:
            if here == top:
                raise UserError(
                    f"{folder}: {os_reason(error)}; expected a readable folder of pictures"
                ) from error
            others.append(Other(Path(here), CLOSED, os_reason(error)))
    return Found(sorted(paths), sorted(others))


def require_pictures(folder: str | os.PathLike, found: Found) -> None:
    """Raise UserError, which says what is there instead, if no picture was found in ``folder``."""
    if not found.paths:
        instead = "; ".join(describe(found.others)) or "it is empty"
        raise UserError(
            f"{folder}: no pictures ({instead}); a folder of JPEG, PNG or other pictures was expected"
        )


def look_into(folder: str | os.PathLike) -> tuple[list[Path], list[Other]]:
    """The folders in ``folder`` itself, sorted, links to folders too, and everything else that is there.

    Raises UserError if it cannot be listed.
    """
    folders, others = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                sort = _sort(entry)
                if sort is None or sort[0] == LINKED:
                    folders.append(Path(entry.path))
                else:
                    why, kind = sort
                    others.append(Other(Path(entry.path), BESIDE if why == PICTURE else why, kind))
    except OSError as error:
        raise UserError(f"{folder}: {os_reason(error)}; a readable folder was expected") from error
    return sorted(folders), sorted(others)


def _sort(entry: os.DirEntry) -> tuple[str, str] | None:
    """``PICTURE`` or why an entry is not taken, and its kind; None if it is a folder to enter."""
    try:
        if is_hidden(entry.name):
            return HIDDEN, ""
        if entry.is_dir(follow_symlinks=False):
            return None
        if entry.is_dir():
            return LINKED, ""
        if not entry.is_file():
            return SPECIAL, special_kind(os.stat(entry.path).st_mode)
        kind = kind_of(entry.path)
        return (kind if kind in (PICTURE, FOREIGN, HEIC, VIDEO) else NO_PICTURE), _suffix(entry.name)
    except FileNotFoundError:
        return SPECIAL, "link to nothing"
    except OSError as error:
        return SPECIAL, os_reason(error)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden or a system's own, as ``._1.jpg`` and ``Thumbs.db``."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def special_kind(mode: int) -> str:
    """Name what is neither a plain file nor a folder, by ``st_mode``."""
    kinds = {stat.S_ISFIFO: "named pipe", stat.S_ISSOCK: "socket"}
    return next((kind for is_kind, kind in kinds.items() if is_kind(mode)), "device")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "without suffix"


def describe(others: Sequence[Other]) -> list[str]:
    """Make a line for each reason, as ``3 files that are no pictures (2 .txt, 1 .mp4)``."""
    by_why: dict[str, list[Other]] = {}
    for other in others:
        by_why.setdefault(NO_PICTURE if other.why == VIDEO else other.why, []).append(other)
    lines = {
        NO_PICTURE: lambda all_: f"{_files(all_)} no picture{_s(all_)} ({tally(o.kind for o in all_)})",
        BESIDE: lambda all_: f"{number_of(len(all_), 'picture')} beside the folders ({_paths(all_)})",
        HEIC: lambda all_: f"{number_of(len(all_), 'HEIC picture')}; to read HEIC: {TO_READ_HEIC}",
        FOREIGN: lambda all_: (
            f"{number_of(len(all_), 'picture')} of a kind that cannot be read here "
            f"({tally(o.kind for o in all_)}); save such pictures as JPEG"
        ),
        SPECIAL: lambda all_: f"{_files(all_)} no plain file{_s(all_)} ({_named(all_)})",
        LINKED: lambda all_: (
            f"{number_of(len(all_), 'folder')} behind a symbolic link ({_paths(all_)}); "
            "name one itself to take its pictures"
        ),
        CLOSED: lambda all_: f"{number_of(len(all_), 'folder')} that cannot be listed ({_named(all_)})",
        HIDDEN: lambda all_: f"{number_of(len(all_), 'hidden file')} or folder{_s(all_)}",
    }
    return [line(by_why[why]) for why, line in lines.items() if why in by_why]


def _files(others: Sequence[Other]) -> str:
    return f"{number_of(len(others), 'file')} that {'is' if len(others) == 1 else 'are'}"


def _s(others: Sequence[Other]) -> str:
    return "" if len(others) == 1 else "s"


def _paths(others: Sequence[Other]) -> str:
    return some([str(other.path) for other in others])


def _named(others: Sequence[Other]) -> str:
    return some([f"{other.path}: {other.kind}" for other in others])
