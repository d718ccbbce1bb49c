"""Read and write FER2013 as CSV, in each of the layouts that are around.

Labelled faces have ``label,feature`` or ``emotion,pixels``, others ``id,feature``. Kaggle's
``emotion,pixels,Usage`` tells the published split; ``icml_face_data.csv`` has the same columns in another
order and a space before two names. Columns are found by name, in any order; other columns are ignored.
A face is 2304 integers from 0 to 255 separated by blanks. One row is one line.
"""

import codecs
import csv
import io
import os
from collections.abc import Iterator
from string import whitespace
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from fer_jax.data.compressed import lines
from fer_jax.data.faces import Faces
from fer_jax.errors import UserError
from fer_jax.labels import NUM_CLASSES, SIDE
from fer_jax.runtime.files import os_reason, replacing

USAGES = ("Training", "PublicTest", "PrivateTest")
LAYOUTS = "'label,feature', 'id,feature', 'emotion,pixels' or 'emotion,pixels,Usage'"

_PIXELS = SIDE * SIDE
_KEYS = ("pixels", "label", "usage", "id")
_KEY_OF = {"feature": "pixels", "emotion": "label"} | {key: key for key in _KEYS}
_ALLOWED = {"label": [str(label) for label in range(NUM_CLASSES)], "usage": USAGES}
_EXPECTED = {"label": f"an integer from 0 to {NUM_CLASSES - 1}", "usage": " or ".join(USAGES)}
_PIXEL_OF = {f"{value:0{digits}}": value for value in range(256) for digits in (1, 2, 3)}

_BYTES_AT_ONCE = 2 << 20
"""Parsed by one call of pandas: enough to make its own share small, few enough to need little memory."""

_FACES_AT_ONCE = 16
"""Parsed by one call of NumPy: few enough to stay in the CPU's cache."""


class CsvTable(NamedTuple):
    """What a CSV file holds.

    Attributes:
      faces: all rows in the order of the file; ``labels`` is None if there is no such column.
      usage: (N,) of str, each one of ``USAGES``; None if there is no such column.
    """

    faces: Faces
    usage: np.ndarray | None


def read_csv(path: str | os.PathLike, *, require_labels: bool) -> CsvTable:
    """Read a CSV file (plain, .gz, .xz or .zip) in any layout of this module.

    Args:
      path: the file.
      require_labels: whether a file without a column of labels is an error.

    Returns:
      The table: images uint8 (N, 48, 48, 1), labels int32 (N,) or None, ids (N,) of str (the file's
      own, otherwise the row number from 0), usage (N,) of str or None.

    Raises:
      UserError: the file cannot be read, or a row is not what it should be; the message names the
        file and the line, the header being line 1.
    """
    tables = list(read_csv_chunks(path, require_labels=require_labels))
    if not any(len(table.faces) for table in tables):
        raise UserError(f"{path}: a header but no rows; at least one face was expected")
    images, labels, ids = (
        np.concatenate(arrays) if arrays[0] is not None else None
        for arrays in zip(*((t.faces.images, t.faces.labels, t.faces.ids) for t in tables), strict=True)
    )
    usage = None if tables[0].usage is None else np.concatenate([table.usage for table in tables])
    return CsvTable(Faces(images, labels, ids), usage)


def read_csv_chunks(
    path: str | os.PathLike, *, require_labels: bool, skip: int = 0, rows_skipped: int = 0
) -> Iterator[CsvTable]:
    """Read a CSV file as ``read_csv``, a few hundred faces at a time.

    Args:
      path: the file; it may be a pipe.
      require_labels: as for ``read_csv``.
      skip: number of chunks to pass over unparsed.
      rows_skipped: how many rows those have, from which rows without an id are numbered on.

    Yields:
      Tables of consecutive rows, empty where lines are blank; none if the file is a header alone.

    Raises:
      UserError: as ``read_csv``.
    """
    # pandas would unpack the file itself, but not what macOS zips; and it would hold a line without end in
    # memory, and not tell a damaged archive from a bad row.
    source = lines(path)
    columns = _read_header(path, next(source, b""), require_labels)
    number, row = 2, rows_skipped
    for chunk, rows in enumerate(_chunks(source)):
        if chunk >= skip:
            table = _make_table(_parse_chunk(path, number, rows, columns), row)
            row += len(table.faces)
            yield table
        number += len(rows)


def _parse_chunk(
    path: str | os.PathLike, number: int, rows: list[bytes], columns: list[str]
) -> dict[str, list]:
    """Parse rows, of which the first is line ``number``: a list for each column. Raises UserError."""
    try:
        return _parse(rows, columns)
    except ValueError:  # a bad row, or a good one that is not plain
        numbered = [(n, row) for n, row in enumerate(rows, number) if row.strip()]
        parsed = [_parse_row(f"{path}, line {n}", row, columns) for n, row in numbered]
        return {key: [row[key] for row in parsed] for key in _KEYS if key in columns}


def _make_table(columns: dict[str, list], row: int) -> CsvTable:
    """Make the table of parsed rows, which are numbered from ``row``."""
    images = np.concatenate([np.zeros((0, _PIXELS), np.uint8), *columns["pixels"]])
    count = len(images)
    labels = np.array(columns["label"]).astype(np.int32) if "label" in columns else None
    ids = np.array(columns["id"] if "id" in columns else [str(row + n) for n in range(count)], np.str_)
    usage = np.array(columns["usage"], np.str_) if "usage" in columns else None
    return CsvTable(Faces(images.reshape(-1, SIDE, SIDE, 1), labels, ids), usage)


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


def _read_header(path: str | os.PathLike, line: bytes, require_labels: bool) -> list[str]:
    """Read which column is which: one of ``_KEYS`` for each, or its number where it is ignored.

    Case and blanks around a name do not matter. Raises UserError if a column is missing or there twice.
    """
    if not line:
        raise UserError(f"{path}: the file is empty; a CSV file with the columns {LAYOUTS} was expected")
    names = [name.strip().lower() for name in _fields(line.removeprefix(codecs.BOM_UTF8))]
    if any("\0" in name or name != _readable(name) for name in names):
        raise UserError(
            f"{path}: not a text file in UTF-8; a CSV file with the columns {LAYOUTS} was expected, "
            "plain or as .gz, .xz or .zip"
        )
    if any("\r" in name for name in names):
        raise UserError(
            f"{path}: its lines end in carriage returns alone; save it with the line ends of Unix or Windows"
        )
    columns = [_KEY_OF.get(name, str(number)) for number, name in enumerate(names)]
    for key in _KEYS:
        if columns.count(key) > 1:
            same = [_show(name) for name in names if _KEY_OF.get(name) == key]
            raise UserError(
                f"{path}, line 1: {same[0]} and {same[1]} name the same thing; one such column was expected"
            )
    if "pixels" not in columns or (require_labels and "label" not in columns):
        missing = "labels ('label' or 'emotion')" if "pixels" in columns else "pixels ('feature' or 'pixels')"
        among = ", ".join(map(_show, names[:8])) + (", ..." if len(names) > 8 else "")
        raise UserError(
            f"{path}, line 1: no column of {missing} among {among}; the columns {LAYOUTS} were expected"
        )
    return columns


def _chunks(source: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Gather lines to lists of about ``_BYTES_AT_ONCE`` in all."""
    rows, size = [], 0
    for row in source:
        rows.append(row)
        size += len(row)
        if size >= _BYTES_AT_ONCE:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _parse(rows: list[bytes], columns: list[str]) -> dict[str, list]:
    """Parse rows with pandas: a list for each column, with what ``_parse_row`` would make of the rows.

    Raises ValueError if a row is bad, or so odd that pandas might take it for another.
    """
    # pandas goes by the first row: this one has as many fields as the header. Otherwise, it would take what
    # further rows have too much for their names, and skip a byte order mark.
    text = b"".join([b"," * (len(columns) - 1), b"\n", *rows])
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    longest = max(map(len, rows))
    if b"\r" in text or b"\0" in text or len(columns) > 100 or len(rows) * longest > 4 * _BYTES_AT_ONCE:
        raise ValueError("rows or fields that pandas would cut off, or need much time or memory for")
    # The pixels stay bytes, which takes half the time.
    kinds = dict.fromkeys(columns, object) | {"pixels": f"S{longest}"}
    options = {"header": None, "na_filter": False, "skip_blank_lines": False, "low_memory": False}
    table = pd.read_csv(io.BytesIO(text), names=columns, dtype=kinds, **options)[1:]
    part = {key: table[key].tolist() for key in _KEYS if key in columns}
    unknown = any(set(part[key]) - set(_ALLOWED[key]) for key in part.keys() & _ALLOWED)
    # An open quote joins lines to a row. An empty last field may be one that pandas added to a short row.
    if unknown or len(table) != len(rows) or not all(table[columns[-1]]):
        raise ValueError("a label or usage that is not allowed, or an open quote, or a short row")
    starts = range(0, len(rows), _FACES_AT_ONCE)
    return part | {"pixels": [_parse_pixels(part["pixels"][at : at + _FACES_AT_ONCE]) for at in starts]}


def _parse_pixels(rows: list[bytes]) -> np.ndarray:
    """Parse the pixels of some rows: uint8 (rows, 2304). Raises ValueError if one of them is bad."""
    # Three blanks in front let every look to the left below stay inside.
    text = np.frombuffer(b"   " + b"\n".join(rows) + b"\n", np.uint8)
    digit = text - np.uint8(ord("0"))  # unsigned: what sorts before "0" wraps around to above 9
    is_digit, row_end = digit < 10, text == ord("\n")
    last = np.flatnonzero(is_digit[:-1] > is_digit[1:])  # where a number ends
    # For each place from the third on, the number of at most three digits that ends there.
    digit *= is_digit
    tens = digit[:-1] * is_digit[1:]
    hundreds = tens[:-1] * is_digit[2:]
    value = (digit[2:] + tens[1:] * np.uint8(10) + hundreds * np.uint16(100))[last - 2]
    if (
        np.any(np.diff(np.searchsorted(last, np.flatnonzero(row_end)), prepend=0) != _PIXELS)
        or not np.all(is_digit | row_end | (text == ord(" ")))
        or np.any(is_digit[:-3] & is_digit[1:-2] & is_digit[2:-1] & is_digit[3:])
        or np.any(value > 255)
    ):
        raise ValueError("not 2304 integers from 0 to 255 separated by blanks")
    return value.astype(np.uint8).reshape(-1, _PIXELS)


def _parse_row(place: str, line: bytes, columns: list[str]) -> dict[str, Any]:
    """Parse a row slowly, in plain Python: the value of each column, of the pixels uint8 (1, 2304).

    Raises UserError if it is bad; the message starts with ``place``.
    """

    def fail(found: str, expected: str) -> NoReturn:
        raise UserError(f"{place}: {found}; expected {expected}")

    fields = _fields(line)
    if b"\0" in line:
        fail("a NUL byte", "text; the file is damaged")
    if len(fields) != len(columns):
        fail(f"{len(fields)} fields", f"{len(columns)} as in the header")
    row: dict[str, Any] = dict(zip(columns, fields, strict=True))
    for key, expected in _EXPECTED.items():
        if key in row:
            field, row[key] = row[key], row[key].strip(whitespace)
            if row[key] not in _ALLOWED[key]:
                fail(f"the {key} is {_show(field)}", expected)
    if "id" in row and row["id"] != _readable(row["id"]):
        fail(f"the id is {_show(row['id'])}", "text in UTF-8")
    words = list(filter(None, row["pixels"].split(" ")))
    pixels = list(map(_PIXEL_OF.get, words))
    if None in pixels:
        bad = pixels.index(None)
        fail(f"pixel {bad + 1} is {_show(words[bad])}", "an integer from 0 to 255")
    if len(pixels) != _PIXELS:
        fail(f"{len(pixels)} pixels", f"{_PIXELS} ({SIDE} x {SIDE})")
    return row | {"pixels": np.frombuffer(bytes(pixels), np.uint8).reshape(1, -1)}


def _fields(line: bytes) -> list[str]:
    """Split a line at its commas; the csv module's care is needed only where there are quotes."""
    text = line.decode(errors="surrogateescape")
    if '"' not in text:
        return text.rstrip("\r\n").split(",")
    try:
        return next(csv.reader([text]))
    except csv.Error:  # a carriage return inside a line, or a field without end
        return []


def _readable(field: str) -> str:
    """Put a replacement character for each byte that is not UTF-8."""
    return field.encode(errors="surrogateescape").decode(errors="replace")


def _show(field: str) -> str:
    """Put a field in quotes, on one line and of bounded length."""
    text = _readable(field)
    return repr(text if len(text) <= 20 else text[:20] + "...")
