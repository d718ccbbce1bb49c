"""Read and write faces as CSV, in each of the layouts that are around.

Labelled faces have ``label,feature`` or ``emotion,pixels``, others ``id,feature``. Kaggle's
``emotion,pixels,Usage`` tells the published split; ``icml_face_data.csv`` has the same columns in another
order and a space before two names. Columns are found by name, in any order; other columns are ignored.
A face is 2304 integers from 0 to 255 separated by blanks. One row is one line.

Other ways to write the same are read too, with a note: see ``csv_layout``. Labels may be words.
"""

import contextlib
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fer_jax.data.batches import grouped
from fer_jax.data.compressed import lines
from fer_jax.data.csv_layout import PIXELS, VOTES, Layout, read_header, with_rows
from fer_jax.data.csv_rows import BYTES_AT_ONCE as _BYTES_AT_ONCE
from fer_jax.data.csv_rows import Columns, parse_rows
from fer_jax.data.faces import Faces
from fer_jax.data.meaning import check_one_kind
from fer_jax.data.picture_folders import PictureReader
from fer_jax.data.tables import FER2013, PATHS, Table, concatenated, indexed
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.files import os_reason, replacing
from fer_jax.runtime.progress import announced

_PICTURES_AT_ONCE = 256


def read_csv(path: str | os.PathLike, *, require_labels: bool, skip_broken: bool = False) -> Table:
    """Read a CSV file (plain, .gz, .xz or .zip) in any layout of this module.

    Args:
      path: the file.
      require_labels: whether a file without labels, or votes for them, is an error.
      skip_broken: whether pictures that a file names, and that cannot be read, are left out.

    Returns:
      The table: images uint8 (N, 48, 48, 1), labels int32 (N,) or None, ids (N,) of str (the file's
      own, otherwise the picture's path or the row number from 0), usage (N,) of str or None.

    Raises:
      UserError: the file cannot be read, or a row is not what it should be; the message names the
        file and the line, the header being line 1.
    """
    tables: list[Table] = []
    with contextlib.ExitStack() as stack:
        for table in read_csv_chunks(path, require_labels=require_labels, skip_broken=skip_broken):
            if PATHS in table.form and not tables:
                stack.enter_context(announced(f"reading the pictures of {path}"))
            tables.append(table)
    if not any(len(table.faces) for table in tables):
        broken = next((f"; {note}" for table in tables for note in table.notes), "")
        raise UserError(f"{path}: a header but no rows; at least one face was expected{broken}")
    whole = concatenated(tables)
    check_one_kind(str(path), whole)
    return whole


def read_csv_chunks(
    path: str | os.PathLike,
    *,
    require_labels: bool,
    skip: int = 0,
    rows_skipped: int = 0,
    skip_broken: bool = False,
) -> Iterator[Table]:
    """Read a CSV file as ``read_csv``, a few hundred faces at a time.

    Args:
      path: the file; it may be a pipe.
      require_labels: as for ``read_csv``.
      skip: number of chunks to pass over unparsed.
      rows_skipped: how many rows those have, from which rows without an id are numbered on.
      skip_broken: as for ``read_csv``.

    Yields:
      Tables of consecutive rows, empty where lines are blank; none if the file is a header alone. The notes
      of the last one are those on all pictures.

    Raises:
      UserError: as ``read_csv``.
    """
    # pandas would unpack the file itself, but not what macOS zips; and it would hold a line without end in
    # memory, and not tell a damaged archive from a bad row.
    source = lines(path)
    header = next(source, b"")
    layout = read_header(path, header, require_labels)
    number, row, reader = 2, rows_skipped, PictureReader(skip_broken)
    # A row is a line, of one byte or more.
    most = _PICTURES_AT_ONCE if layout.pixels == "paths" else _BYTES_AT_ONCE
    for chunk, rows in enumerate(grouped(source, most=most, size_of=len, most_size=_BYTES_AT_ONCE)):
        if chunk == 0:
            layout = with_rows(layout, header, rows)
        if chunk >= skip:
            columns = parse_rows(path, range(number, number + len(rows)), rows, layout)
            if layout.pixels == "paths":
                columns = _with_pictures(Path(path), columns, reader)
            table = _make_table(columns, row, layout)
            row += len(table.faces)
            yield table._replace(notes=tuple(reader.notes()))
        number += len(rows)


def _make_table(columns: Columns, row: int, layout: Layout) -> Table:
    """Make the table of parsed rows, which are numbered from ``row``."""
    images = np.concatenate([np.zeros((0, PIXELS), np.uint8), *columns["pixels"]])
    count = len(images)
    labels, found = indexed(columns["label"]) if "label" in columns else (None, FER2013)
    own = columns.get("id", columns.get("path")) or [str(row + n) for n in range(count)]
    usage = np.array(columns["usage"], np.str_) if "usage" in columns else None
    votes = np.array([columns[key] for key in VOTES], np.int64).T if VOTES[0] in columns else None
    faces = Faces(images.reshape(-1, SIDE, SIDE, 1), labels, np.array(own, np.str_))
    return Table(faces, usage, found, np.array(columns["lines"], np.int64), votes, layout.form())


def _with_pictures(path: Path, columns: Columns, reader: PictureReader) -> Columns:
    """Read the pictures that rows name, relative to the CSV file; leave out the rows of broken ones.

    Raises UserError, with the line, if one cannot be read and ``reader`` does not leave it out.
    """
    faces, kept = [], []
    for place, (line, name) in enumerate(zip(columns["lines"], columns["path"], strict=True)):
        try:
            face = reader.read(_path_of(path, name.strip()))
        except UserError as error:
            raise UserError(f"{path}, line {line}: {error}") from error
        if face is not None:
            faces.append(face.reshape(1, -1))
            kept.append(place)
    return {key: [values[place] for place in kept] for key, values in columns.items()} | {"pixels": faces}


def _path_of(path: Path, name: str) -> Path:
    """The path of a picture; Windows' ``\\`` stands between folders where there is no file of that name."""
    found = path.parent / name
    return path.parent / name.replace("\\", "/") if "\\" in name and not found.exists() else found


def write_homework_csv(path: str | os.PathLike, faces: Faces) -> None:
    """Write ``label,feature``, or ``id,feature`` where there are no labels, whole or not at all.

    Raises UserError if the file cannot be written.
    """
    first, name = (faces.ids, "id") if faces.labels is None else (faces.labels, "label")
    text_of = [str(value) for value in range(256)]
    try:
        with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([name, "feature"])
            for key, image in zip(first, faces.images, strict=True):
                writer.writerow([key, " ".join(map(text_of.__getitem__, image.ravel()))])
    except OSError as error:
        raise UserError(f"{path}: {os_reason(error)}; a place to write to was expected") from error
