"""Find out how a CSV file is laid out: by its header, and where that is not enough by its first rows."""

import codecs
import csv
import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fer_jax.data import votes
from fer_jax.data.parts import usage_of
from fer_jax.data.tables import PATHS
from fer_jax.errors import UserError
from fer_jax.labels import SIDE

LAYOUTS = "'label,feature', 'id,feature', 'emotion,pixels' or 'emotion,pixels,Usage'"
PIXELS = SIDE * SIDE
KEYS = ("pixels", "label", "usage", "id", "path")
VOTES = tuple(f"votes for {name}" for name in votes.COLUMNS)

_KEY_OF = {"feature": "pixels", "emotion": "label"} | {key: key for key in KEYS[:4]}
# Looked for where the names above are missing, the first of them first.
_OTHER_NAMES = {
    "pixels": ("pixel", "features", "pixel_values", "image_pixels"),
    "path": (
        *("path", "filepath", "file_path", "image_path", "img_path", "filename", "file_name", "file"),
        *("image_name", "image name", "image", "img", "picture"),
    ),
    "label": (
        *("labels", "class", "expression", "emotions", "target", "category", "y"),
        *("class_name", "label_name", "emotion_name"),
    ),
    "usage": ("split", "subset", "partition", "set"),
}
_MAYBE_PIXELS = ("image", "img", "picture")
_PIXEL_COLUMN = re.compile(r"(?:pixel|pix|px|p)?[ _-]*(\d{1,6})")
_SIDES = range(20, 513)
"""Of square faces: a row of fewer numbers is rather one that was cut off."""
_NUMBERS = re.compile(r"[\d\s.,;+()\[\]eE-]*")
_BLANKS = str.maketrans(",;()[]\t", "       ")


class Layout(NamedTuple):
    """How the rows of a CSV file are laid out.

    Attributes:
      columns: one of ``KEYS`` or ``VOTES`` for each field of a row; its number where it is ignored.
      delimiter: between fields.
      pixels: how a face is written: ``plain``, numbers with blanks between them, as in FER2013; ``list``,
        with brackets or commas; ``columns``, a field for each number, the first of them where ``columns`` has
        ``pixels``; ``paths``, in a picture file.
      count: numbers a face.
      white: the number for white, 255 or 1.
      is_float: whether numbers have a decimal point.
      remarks: what is left out, in words for a note.
    """

    columns: tuple[str, ...]
    delimiter: str = ","
    pixels: str = "plain"
    count: int = PIXELS
    white: int = 255
    is_float: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether faces are written as in FER2013, in a file with commas."""
        return self == Layout(self.columns, remarks=self.remarks)

    def form(self) -> tuple[str, ...]:
        """How rows differ from those of FER2013, in words for a note."""
        side = math.isqrt(self.count)
        between = {";": "semicolons", "\t": "tabs"}.get(self.delimiter)
        written = {"list": "pixels as a list", "columns": "one column a pixel", "paths": PATHS}
        named = (
            between and f"{between} between columns",
            written.get(self.pixels),
            self.count != PIXELS and f"{side} x {side} pixels, scaled to {SIDE} x {SIDE}",
            self.is_float and f"floats from 0 to {self.white}" + (", times 255" if self.white == 1 else ""),
            VOTES[0] in self.columns and "FER+'s votes",
        )
        return (*filter(None, named), *self.remarks)


def read_header(path: str | os.PathLike, line: bytes, require_labels: bool) -> Layout:
    """Read which column is which. Case and blanks around a name do not matter.

    Raises UserError if a column is missing or there twice.
    """
    if not line:
        raise UserError(f"{path}: the file is empty; a CSV file with the columns {LAYOUTS} was expected")
    line = line.removeprefix(codecs.BOM_UTF8)
    names = _names(line, ",")
    _check_text(path, names)
    delimiter, columns = ",", _columns(path, names)
    for other in (";", "\t"):
        if not _has_faces(columns) and _has_faces(found := _columns(path, _names(line, other))):
            delimiter, columns = other, found
    has_labels = "label" in columns or VOTES[0] in columns
    if not _has_faces(columns) or (require_labels and not has_labels):
        _refuse(path, names if delimiter == "," else _names(line, delimiter), columns)
    pixels = "paths" if "path" in columns else "plain"
    unused = _has_votes(_names(line, delimiter)) and "label" in columns
    remarks = ("without its votes (to use them: --config.votes=FILE)",) if unused else ()
    layout = Layout(tuple(columns), delimiter, pixels, remarks=remarks)
    if columns.count("pixels") > 1:  # one for each pixel
        first, count = columns.index("pixels"), columns.count("pixels")
        columns[first : first + count] = ["pixels"]
        layout = layout._replace(columns=tuple(columns), pixels="columns", count=count)
    return layout


def _names(line: bytes, delimiter: str) -> list[str]:
    return [name.strip().lower() for name in fields_of(line, delimiter)]


def _check_text(path: str | os.PathLike, names: Sequence[str]) -> None:
    if any("\0" in name or name != readable(name) for name in names):
        raise UserError(
            f"{path}: not a text file in UTF-8; a CSV file with the columns {LAYOUTS} was expected, "
            "plain or as .gz, .xz or .zip"
        )
    if any("\r" in name for name in names):
        raise UserError(
            f"{path}: its lines end in carriage returns alone; save it with the line ends of Unix or Windows"
        )


def _columns(path: str | os.PathLike, names: Sequence[str]) -> list[str]:
    """A key for each column: see ``Layout.columns``. Raises UserError if two have the same one."""
    columns = [_KEY_OF.get(name, str(number)) for number, name in enumerate(names)]
    for key in KEYS:
        if columns.count(key) > 1:
            same = [show(name) for name in names if _KEY_OF.get(name) == key]
            raise UserError(
                f"{path}, line 1: {same[0]} and {same[1]} name the same thing; one such column was expected"
            )
    if "pixels" not in columns:
        for place in _pixel_columns(names):
            columns[place] = "pixels"
    for key, others in _OTHER_NAMES.items():
        there = [name for name in others if name in names]
        if there and key not in columns and not (key == "path" and "pixels" in columns):
            columns[names.index(there[0])] = key
    if _has_votes(names) and "label" not in columns:
        for place, name in enumerate(names):
            if (column := votes.column_of(name)) in votes.COLUMNS:
                columns[place] = f"votes for {column}"
    return columns


def _has_votes(names: Sequence[str]) -> bool:
    """Whether there is one column for each of ``votes.COLUMNS``."""
    return sorted(filter(votes.COLUMNS.__contains__, map(votes.column_of, names))) == sorted(votes.COLUMNS)


def _pixel_columns(names: Sequence[str]) -> range:
    """The places of a run of columns that are numbered one by one, as pixel0, pixel1, ...; often empty."""
    numbers = [int(m[1]) if (m := _PIXEL_COLUMN.fullmatch(name)) else None for name in names]
    longest = start = range(0)
    for place, number in enumerate(numbers):
        goes_on = place and number is not None and numbers[place - 1] == number - 1
        start = range(start.start if goes_on else place, place + 1)
        if number is not None and len(start) > len(longest):
            longest = start
    return longest if is_square(len(longest)) else range(0)


def is_square(count: int) -> bool:
    """Whether a square face may have so many pixels."""
    return math.isqrt(count) in _SIDES and math.isqrt(count) ** 2 == count


def _has_faces(columns: Sequence[str]) -> bool:
    return "pixels" in columns or "path" in columns


def _refuse(path: str | os.PathLike, names: Sequence[str], columns: Sequence[str]) -> None:
    has_faces = _has_faces(columns)
    if VOTES[0] in columns and not has_faces:
        raise UserError(
            f"{path}: has FER+'s votes and no faces; name the faces too: --config.dataset=fer2013.csv "
            f"--config.votes={path}"
        )
    missing = "labels ('label' or 'emotion')" if has_faces else "pixels ('feature' or 'pixels')"
    among = ", ".join(map(show, names[:8])) + (", ..." if len(names) > 8 else "")
    raise UserError(
        f"{path}, line 1: no column of {missing} among {among}; the columns {LAYOUTS} were expected"
    )


def with_rows(layout: Layout, header: bytes, rows: Sequence[bytes]) -> Layout:
    """Complete a layout by the first rows: how pixels are written, and what the ``header`` leaves open."""
    fields = next((fields_of(row, layout.delimiter) for row in rows if row.strip()), [])
    layout, names = _without_doubts(layout, header, fields), layout.columns
    extra = len(fields) - len(layout.columns) + 1
    if layout.pixels == "paths" or names.count("pixels") != 1:
        return layout
    if layout.pixels == "plain" and extra > 1 and is_square(extra):
        layout = layout._replace(pixels="columns", count=extra)
    return _with_pixels(layout, _pixel_texts(layout, rows))


def _without_doubts(layout: Layout, header: bytes, fields: Sequence[str]) -> Layout:
    """Decide what may be one thing or another by the fields of the first row."""
    columns, pixels = list(layout.columns), layout.pixels
    if len(fields) == len(columns):
        names = _names(header, layout.delimiter)
        place = columns.index("usage") if "usage" in columns else 0
        # Such as the number of a fold.
        if "usage" in columns and names[place] != "usage" and usage_of(fields[place]) is None:
            columns[place] = str(place)
        if "path" in columns and names[place := columns.index("path")] in _MAYBE_PIXELS:
            text = fields[place].translate(_BLANKS)
            if _NUMBERS.fullmatch(text) and is_square(len(text.split())):
                columns[place], pixels = "pixels", "plain"
    return layout._replace(columns=tuple(columns), pixels=pixels)


def _pixel_texts(layout: Layout, rows: Sequence[bytes]) -> Iterator[str]:
    for row in rows:
        if row.strip() and len(fields := split_row(row, layout)) == len(layout.columns):
            yield fields[layout.columns.index("pixels")]


def _with_pixels(layout: Layout, texts: Iterator[str]) -> Layout:
    """Find out how the numbers of faces are written; the layout as it is where they look like FER2013's."""
    first = next(texts, "")
    words = first.translate(_BLANKS).split()
    if not _NUMBERS.fullmatch(first) or not is_square(len(words)):
        return layout
    if set(first) & set(",;()[]") and layout.pixels == "plain":
        layout = layout._replace(pixels="list")
    layout = layout._replace(count=len(words))
    numbers = [word for word in words if word not in ("0", "1")]  # as some write 0.0 and 1.0
    if 2 * sum(not word.isdigit() for word in numbers) <= len(numbers):
        return layout
    # One face may be dark: the brightest pixel of many tells whether 1 is white.
    faces = [text.translate(_BLANKS).split() for text in (first, *itertools.islice(texts, 200))]
    brightest = max(float(word) for face in faces for word in face if _is_float(word))
    return layout._replace(is_float=True, white=1 if brightest <= 1 else 255)


def _is_float(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def split_row(line: bytes, layout: Layout) -> list[str]:
    """Split a row into a field for each of ``layout.columns``; another number of fields if it has another."""
    if layout.pixels != "columns":
        return fields_of(line, layout.delimiter)
    place = layout.columns.index("pixels")
    after = len(layout.columns) - place - 1
    fields = fields_of(line, layout.delimiter)
    if len(fields) != len(layout.columns) - 1 + layout.count:
        return fields
    return [*fields[:place], " ".join(fields[place : len(fields) - after]), *fields[len(fields) - after :]]


def fields_of(line: bytes, delimiter: str = ",") -> list[str]:
    """Split a line; the csv module's care is needed only where there are quotes."""
    text = line.decode(errors="surrogateescape")
    if '"' not in text:
        return text.rstrip("\r\n").split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter))
    except csv.Error:  # a carriage return inside a line, or a field without end
        return []


def readable(field: str) -> str:
    """Put a replacement character for each byte that is not UTF-8."""
    return field.encode(errors="surrogateescape").decode(errors="replace")


def show(field: str) -> str:
    """Put a field in quotes, on one line and of bounded length."""
    text = readable(field)
    return repr(text if len(text) <= 20 else text[:20] + "...")
