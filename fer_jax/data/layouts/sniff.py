"""Find out what kind of data set a folder of pictures is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fer_jax.data.layouts import affectnet, class_folders, expw, ferplus, file_names, rafdb
from fer_jax.data.layouts.names import subfolders
from fer_jax.data.layouts.samples import Found, Options
from fer_jax.errors import UserError
from fer_jax.runtime.words import some


class Layout(NamedTuple):
    """One kind of data set: ``recognizes(folder)`` tells it, ``read(folder, options)`` lists its pictures."""

    recognizes: Callable[[Path], bool]
    read: Callable[[Path, Options], Found]


LAYOUTS = tuple(
    Layout(m.recognizes, m.read) for m in (ferplus, rafdb, affectnet, expw, file_names, class_folders)
)
"""In the order in which they are asked: class folders are what nearly everything could be."""

_MOST_ABOVE = 2
"""How many folders too high a data set may be named."""


def locate(root: str | os.PathLike) -> tuple[Layout, Path]:
    """Find the one data set in ``root``, or up to two folders below it: its layout and its folder.

    Raises UserError if there is none, if there are several, or if ``root`` cannot be listed.
    """
    level = [Path(root)]
    subfolders(root)  # raises UserError
    for _ in range(_MOST_ABOVE + 1):
        hits = [(layout, folder) for folder in level if (layout := _layout_of(folder))]
        if len(hits) > 1:
            names = some([str(folder) for _, folder in hits])
            raise UserError(f"{root}: holds {len(hits)} data sets ({names}); name one of these folders")
        if hits:
            return hits[0]
        level = [inside for folder in level for inside in _below(folder)]
    raise class_folders.refuse(root)


def _layout_of(folder: Path) -> Layout | None:
    try:
        return next((layout for layout in LAYOUTS if layout.recognizes(folder)), None)
    except UserError:
        return None  # it cannot be listed


def _below(folder: Path) -> list[Path]:
    try:
        return subfolders(folder)
    except UserError:
        return []
