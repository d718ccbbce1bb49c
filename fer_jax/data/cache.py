"""Keep parsed CSV files, so that the next run need not parse them again.

One .npz per file in ``$XDG_CACHE_HOME/fer_jax`` or ``~/.cache/fer_jax``; the folder may be deleted at
any time.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from stat import S_ISREG

import numpy as np

from fer_jax.data.compressed import DAMAGED_ARRAYS
from fer_jax.data.csv_layout import VOTES
from fer_jax.data.faces import Faces
from fer_jax.data.read_csv import read_csv
from fer_jax.data.tables import PATHS, Table
from fer_jax.labels import SIDE
from fer_jax.runtime.files import cache_folder, replacing

_FORMAT = 2
"""Raise it when what is stored, or how a CSV file is understood, changes."""


def cached_read_csv(
    path: str | os.PathLike, *, require_labels: bool, cache: bool, skip_broken: bool = False
) -> Table:
    """Read a CSV file as ``read_csv`` does, or from the cache if that has this very file, unchanged.

    A damaged entry is parsed and written anew; a cache that cannot be written is no cache. With
    ``cache=False``, nothing is read from it or written to it. A file that names pictures is never kept, since
    these may change. An entry has labels as the file has them, so that it serves any ``config.classes``.

    Raises UserError as ``read_csv`` does.
    """
    entry = _entry(path) if cache else None
    table = entry and _load(entry)
    # A table without the labels that are required is parsed again just for its error message.
    if table and not (require_labels and table.faces.labels is None and table.votes is None):
        return table
    table = read_csv(path, require_labels=require_labels, skip_broken=skip_broken)
    if entry and PATHS not in table.form:
        with contextlib.suppress(OSError):
            _store(entry, table)
    return table


def _entry(path: str | os.PathLike) -> Path | None:
    """Name the entry of a file: its place in the first half of the name, its version in the second."""
    try:
        stat = os.stat(path)
    except OSError:
        return None  # read_csv says what is wrong
    if not S_ISREG(stat.st_mode):
        return None  # a pipe gives other rows each time
    # The time of change of the content can be set at will, unlike that of the inode.
    version = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino} {_FORMAT}"
    return cache_folder() / f"{_digest(os.path.abspath(path))}-{_digest(version)}.npz"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _load(entry: Path) -> Table | None:
    """Load the table in an entry; None if it is missing or not in order."""
    try:
        # Opened here since np.load leaves the file open when it turns out to be damaged.
        with open(entry, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            faces = Faces(arrays["images"], arrays.get("labels"), arrays["ids"])
            found, form, notes = (tuple(map(str, arrays[name])) for name in ("found", "form", "notes"))
            table = Table(
                faces, arrays.get("usage"), found, arrays["lines"], arrays.get("votes"), form, notes
            )
    except DAMAGED_ARRAYS:
        return None
    return table if _in_order(table) else None


def _in_order(table: Table) -> bool:
    """Whether the arrays have the types and sizes that ``read_csv`` gives."""
    images, labels, ids = table.faces.images, table.faces.labels, table.faces.ids
    rows = len(images) if images.ndim else 0
    return (
        (images.dtype, images.shape) == (np.uint8, (rows, SIDE, SIDE, 1))
        and (labels is None or _are_labels(labels, rows, len(table.found)))
        and (ids.dtype.kind, ids.shape) == ("U", (rows,))
        and (table.usage is None or (table.usage.dtype.kind, table.usage.shape) == ("U", (rows,)))
        and (table.lines.dtype, table.lines.shape) == (np.int64, (rows,))
        and (table.votes is None or (table.votes.dtype, table.votes.shape) == (np.int64, (rows, len(VOTES))))
    )


def _are_labels(labels: np.ndarray, rows: int, classes: int) -> bool:
    is_sound = (labels.dtype, labels.shape) == (np.int32, (rows,))
    return is_sound and bool(((labels >= 0) & (labels < classes)).all())


def _store(entry: Path, table: Table) -> None:
    """Write an entry and remove those of earlier versions of the same file. Raises OSError."""
    optional = {"labels": table.faces.labels, "usage": table.usage, "votes": table.votes}
    words = {
        name: np.array(value, np.str_)
        for name, value in (("found", table.found), ("form", table.form), ("notes", table.notes))
    }
    arrays = {name: array for name, array in optional.items() if array is not None}
    entry.parent.mkdir(parents=True, exist_ok=True)
    with replacing(entry) as temporary, open(temporary, "wb") as file:
        np.savez(file, images=table.faces.images, ids=table.faces.ids, lines=table.lines, **words, **arrays)
    place = entry.name.split("-")[0]
    for earlier in entry.parent.glob(f"{place}-*.npz"):
        if earlier != entry:
            earlier.unlink(missing_ok=True)
