"""FER2013 as CSV, in each of the layouts that are around.

======================  ==============================================================
``label,feature``       labelled faces
``id,feature``          unlabelled faces
``emotion,pixels``      labelled faces
``emotion,pixels,Usage``  Kaggle's, with the published split; ``icml_face_data.csv`` has
                        the same columns in another order and a space before two names
======================  ==============================================================

Columns are found by name, in any order; other columns are ignored. A face is 2304 integers from 0 to
255 separated by blanks. One row is one line.
"""

import codecs
import csv
import os
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, NoReturn

import numpy as np

from fer_jax.data.compressed import lines, os_reason, replacing
from fer_jax.data.faces import Faces
from fer_jax.errors import UserError
from fer_jax.labels import NUM_CLASSES, SIDE

USAGES = ("Training", "PublicTest", "PrivateTest")
LAYOUTS = "'label,feature', 'id,feature', 'emotion,pixels' or 'emotion,pixels,Usage'"

_PIXELS = SIDE * SIDE
_LABEL_OF = {str(label).encode(): label for label in range(NUM_CLASSES)}
_USAGE_OF = {usage.encode(): usage for usage in USAGES}

# Rows parsed in one go: enough to make Python's share small, few enough to stay in the CPU's cache.
_ROWS_AT_ONCE = 64


class CsvTable(NamedTuple):
    """What a CSV file holds.

    Attributes:
      faces: all rows in the order of the file; ``labels`` is None if there is no such column.
      usage: (N,) of str, each one of ``USAGES``; None if there is no such column.
    """

    faces: Faces
    usage: np.ndarray | None


class _Columns(NamedTuple):
    """Where in a row to find what."""

    count: int
    pixels: int
    label: int | None
    usage: int | None
    id: int | None


class _Row(NamedTuple):
    """One row, checked but for its pixels."""

    line: int
    pixels: bytes
    label: int | None
    usage: str | None
    id: str | None


def read_csv(path: str | os.PathLike, *, require_labels: bool) -> CsvTable:
    """Reads a CSV file (plain, .gz, .xz or .zip) in any layout of this module.

    Args:
      path: the file.
      require_labels: whether a file without a column of labels is an error.

    Returns:
      The table: images uint8 (N, 48, 48, 1), labels int32 (N,) or None, ids (N,) of str (the file's
      own, else the row number from 0), usage (N,) of str or None.

    Raises:
      UserError: the file cannot be read, or a row is not what it should be; the message names the
        file and the line, the header being line 1.
    """
    source = lines(path)
    columns = _read_header(path, next(source, None), require_labels)
    rows = _read_rows(path, source, columns)
    images, labels, usages, ids = [], [], [], []
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        images.append(_parse_pixels(path, chunk))
        labels.extend(row.label for row in chunk)
        usages.extend(row.usage for row in chunk)
        ids.extend(row.id for row in chunk)
    if not images:
        raise UserError(f"{path}: a header but no rows; at least one face was expected")
    faces = Faces(
        images=np.concatenate(images).reshape(-1, SIDE, SIDE, 1),
        labels=None if columns.label is None else np.array(labels, np.int32),
        ids=np.array(ids if columns.id is not None else [str(row) for row in range(len(ids))]),
    )
    return CsvTable(faces, None if columns.usage is None else np.array(usages))


def write_homework_csv(path: str | os.PathLike, faces: Faces) -> None:
    """Writes ``label,feature``, or ``id,feature`` where there are no labels, whole or not at all.

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


def _read_header(path: str | os.PathLike, line: bytes | None, require_labels: bool) -> _Columns:
    """Finds the columns by their names; case and blanks around a name do not matter."""
    if line is None:
        raise UserError(f"{path}: the file is empty; a CSV file with the columns {LAYOUTS} was expected")
    try:
        names = [field.decode().strip().lower() for field in _fields(line.removeprefix(codecs.BOM_UTF8))]
    except UnicodeDecodeError:
        names = ["\0"]
    if any("\0" in name for name in names):
        raise UserError(
            f"{path}: not a text file in UTF-8; a CSV file with the columns {LAYOUTS} was expected, "
            "plain or as .gz, .xz or .zip"
        )

    def find(*wanted: str) -> int | None:
        found = [index for index, name in enumerate(names) if name in wanted]
        if len(found) > 1:
            both = " and ".join(_show(names[index]) for index in found[:2])
            raise UserError(f"{path}, line 1: {both} name the same thing; one such column was expected")
        return found[0] if found else None

    columns = _Columns(
        len(names), find("pixels", "feature"), find("emotion", "label"), find("usage"), find("id")
    )
    if columns.pixels is None or (require_labels and columns.label is None):
        missing = (
            "pixels ('feature' or 'pixels')" if columns.pixels is None else "labels ('label' or 'emotion')"
        )
        found = ", ".join(map(_show, names[:8])) + (", ..." if len(names) > 8 else "")
        raise UserError(
            f"{path}, line 1: no column of {missing} among {found}; the columns {LAYOUTS} were expected"
        )
    return columns


def _read_rows(path: str | os.PathLike, source: Iterator[bytes], columns: _Columns) -> Iterator[_Row]:
    """Splits and checks everything but the pixels; empty lines are skipped, but count as lines."""
    for number, line in enumerate(source, start=2):
        if not line.strip():
            continue
        fields = _fields(line)
        if b"\0" in line:
            _fail(path, number, "a NUL byte", "text", "the file is damaged")
        if len(fields) != columns.count:
            _fail(path, number, f"{len(fields)} fields", f"{columns.count} as in the header")
        label = usage = own_id = None
        if columns.label is not None:
            label = _LABEL_OF.get(fields[columns.label].strip())
            if label is None:
                found = _show(fields[columns.label])
                _fail(path, number, f"the label is {found}", f"an integer from 0 to {NUM_CLASSES - 1}")
        if columns.usage is not None:
            usage = _USAGE_OF.get(fields[columns.usage].strip())
            if usage is None:
                _fail(path, number, f"the usage is {_show(fields[columns.usage])}", " or ".join(USAGES))
        if columns.id is not None:
            try:
                own_id = fields[columns.id].decode()
            except UnicodeDecodeError:
                _fail(path, number, f"the id is {_show(fields[columns.id])}", "text in UTF-8")
        yield _Row(number, fields[columns.pixels], label, usage, own_id)


def _fields(line: bytes) -> list[bytes]:
    """Splits a line at its commas; the csv module's care is needed only where there are quotes."""
    if b'"' not in line:
        return line.rstrip(b"\r\n").split(b",")
    try:
        # Latin-1 maps each byte to a character and back, so that bytes stay as they are.
        return [field.encode("latin-1") for field in next(csv.reader([line.decode("latin-1")]))]
    except csv.Error:  # a carriage return inside a line, or a field without end
        return []


def _parse_pixels(path: str | os.PathLike, rows: list[_Row]) -> np.ndarray:
    """The pixels of some rows: uint8 (len(rows), 2304). Raises UserError at the first bad row."""
    # Three blanks in front and one byte behind let every look to the side below stay inside.
    text = np.frombuffer(b"   " + b"\n".join([row.pixels for row in rows]) + b"\n", np.uint8)
    digit = text - np.uint8(ord("0"))  # unsigned: what sorts before "0" wraps around to above 9
    is_digit = digit < 10
    last = np.flatnonzero(is_digit[:-1] > is_digit[1:])  # the last digit of each number
    two = is_digit[last - 1]
    three = two & is_digit[last - 2]
    value = digit[last] + two * digit[last - 1] * np.uint16(10) + three * digit[last - 2] * np.uint16(100)

    row_ends = np.cumsum([len(row.pixels) + 1 for row in rows]) + 2
    well_formed = (
        np.all(np.diff(np.searchsorted(last, row_ends), prepend=0) == _PIXELS)
        and np.count_nonzero(is_digit) + np.count_nonzero(text == ord(" ")) == len(text) - len(rows)
        and not np.any(three & is_digit[last - 3])  # four digits or more
        and np.all(value < 256)
    )
    if not well_formed:
        _fail_at_bad_pixels(path, rows)
    return value.astype(np.uint8).reshape(-1, _PIXELS)


def _fail_at_bad_pixels(path: str | os.PathLike, rows: list[_Row]) -> NoReturn:
    """Names the first row that cannot be parsed, slowly and in plain Python."""
    for row in rows:
        words = [word for word in row.pixels.split(b" ") if word]
        for position, word in enumerate(words):
            if not (word.isdigit() and len(word) <= 3 and int(word) < 256):
                _fail(path, row.line, f"pixel {position + 1} is {_show(word)}", "an integer from 0 to 255")
        if len(words) != _PIXELS:
            _fail(path, row.line, f"{len(words)} pixels", f"{_PIXELS} ({SIDE} x {SIDE})")
    raise AssertionError("the two parsers disagree")


def _fail(path: str | os.PathLike, line: int, wrong: str, expected: str, advice: str = "") -> NoReturn:
    raise UserError(f"{path}, line {line}: {wrong}; expected {expected}" + (advice and f"; {advice}"))


def _show(field: bytes | str) -> str:
    """A field in quotes, on one line and of bounded length."""
    text = field.decode(errors="replace") if isinstance(field, bytes) else field
    return repr(text if len(text) <= 20 else text[:20] + "...")
