"""Parse the rows of a CSV file of faces: fast where they are as in FER2013, otherwise with more care."""

import io
import math
import os
import re
from collections.abc import Sequence
from string import whitespace
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from PIL import Image

from fer_jax.data.csv_layout import KEYS, PIXELS, VOTES, Layout, readable, show, split_row
from fer_jax.data.label_texts import EXPECTED, label_text
from fer_jax.data.parts import USAGE_OF, usage_of
from fer_jax.data.read_pictures import to_face
from fer_jax.data.tables import FER2013
from fer_jax.errors import UserError
from fer_jax.labels import SIDE

BYTES_AT_ONCE = 2 << 20
"""Parsed by one call of pandas: enough to make its own share small, few enough to need little memory."""

_FACES_AT_ONCE = 16
"""Parsed by one call of NumPy: few enough to stay in the CPU's cache."""

_MOST_KEPT = 100_000

_TEXT_OF = {"label": label_text, "usage": usage_of}
_PLAIN = {"label": frozenset(FER2013), "usage": frozenset(USAGE_OF.values())}
_EXPECTED = {"label": EXPECTED, "usage": f"{' or '.join(USAGE_OF.values())}, or train, validation or test"}
_PIXEL_OF = {f"{value:0{digits}}": value for value in range(256) for digits in (1, 2, 3)}
_VOTES = re.compile(r"\d{1,6}(?:\.0*)?")
_BLANKS = str.maketrans(",;()[]", "      ")

Columns = dict[str, list]
"""By key, a value for each row; of the pixels arrays uint8 (rows, 2304), of paths texts."""


def parse_rows(path: str | os.PathLike, lines: range, rows: Sequence[bytes], layout: Layout) -> Columns:
    """Parse consecutive lines; blank ones are left out. The column ``lines`` has the number of each row's.

    Raises UserError, with the line, if a row is not what it should be.
    """
    try:
        if not layout.is_plain:
            raise ValueError("not for pandas")
        return _parse(rows, layout.columns) | {"lines": list(lines)}
    except ValueError:  # a bad row, or a good one that is not plain
        numbered = [(n, row) for n, row in zip(lines, rows, strict=True) if row.strip()]
        texts = [_texts_of(f"{path}, line {n}", row, layout) for n, row in numbered]
        keys = [key for key in (*KEYS, *VOTES) if key in layout.columns]
        part = {key: [row[key] for row in texts] for key in keys}
        places = [f"{path}, line {n}" for n, _ in numbered]
        part["lines"] = [n for n, _ in numbered]
        if "pixels" in part:
            part["pixels"] = _faces_of(places, part["pixels"], layout)
        return part


def _parse(rows: Sequence[bytes], columns: Sequence[str]) -> Columns:
    """Parse rows with pandas, with what ``_texts_of`` and ``_faces_of`` would make of them.

    Raises ValueError if a row is bad, or so odd that pandas might take it for another.
    """
    # pandas goes by the first row: this one has as many fields as the header. Otherwise, it would take what
    # further rows have too much for their names, and skip a byte order mark.
    text = b"".join([b"," * (len(columns) - 1), b"\n", *rows])
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    longest = max(map(len, rows))
    if b"\r" in text or b"\0" in text or len(columns) > 100 or len(rows) * longest > 4 * BYTES_AT_ONCE:
        raise ValueError("rows or fields that pandas would cut off, or need much time or memory for")
    # The pixels stay bytes, which takes half the time.
    kinds = dict.fromkeys(columns, object) | {"pixels": f"S{longest}"}
    options = {"header": None, "na_filter": False, "skip_blank_lines": False, "low_memory": False}
    table = pd.read_csv(io.BytesIO(text), names=list(columns), dtype=kinds, **options)[1:]
    part = {key: table[key].tolist() for key in (*KEYS, *VOTES) if key in columns}
    # An open quote joins lines to a row. An empty last field may be one that pandas added to a short row.
    if len(table) != len(rows) or not all(table[columns[-1]]):
        raise ValueError("an open quote, or a short row")
    part |= {key: _as_text(part[key], key) for key in _TEXT_OF if key in part}
    part |= {key: _votes_of(part[key]) for key in VOTES if key in part}
    starts = range(0, len(rows), _FACES_AT_ONCE)
    faces = [_parse_pixels(part["pixels"][at : at + _FACES_AT_ONCE], PIXELS) for at in starts]
    return part | {"pixels": faces}


def _as_text(fields: Sequence[str], key: str) -> Sequence[str]:
    """What labels or usages mean. Raises ValueError if one means nothing."""
    distinct = set(fields)
    if distinct <= _PLAIN[key]:
        return fields
    text_of = {field: _TEXT_OF[key](field) for field in distinct}
    if None in text_of.values():
        raise ValueError("a label or usage that is not allowed")
    return [text_of[field] for field in fields]


def _votes_of(fields: Sequence[str]) -> list[int]:
    """Raises ValueError if one is no number of votes."""
    if not all(map(_VOTES.fullmatch, fields)):
        raise ValueError("no number of votes")
    return [int(float(field)) for field in fields]


def _parse_pixels(rows: Sequence[bytes], count: int) -> np.ndarray:
    """Parse the pixels of some rows: uint8 (rows, count). Raises ValueError if one of them is bad."""
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
        np.any(np.diff(np.searchsorted(last, np.flatnonzero(row_end)), prepend=0) != count)
        or not np.all(is_digit | row_end | (text == ord(" ")))
        or np.any(is_digit[:-3] & is_digit[1:-2] & is_digit[2:-1] & is_digit[3:])
        or np.any(value > 255)
    ):
        raise ValueError(f"not {count} integers from 0 to 255 separated by blanks")
    return value.astype(np.uint8).reshape(-1, count)


def _texts_of(place: str, line: bytes, layout: Layout) -> dict[str, Any]:
    """Split a row and check all but its pixels. Raises UserError; the message starts with ``place``."""
    fields = split_row(line, layout)
    if b"\0" in line:
        _fail(place, "a NUL byte", "text; the file is damaged")
    if len(fields) != len(layout.columns):
        expected = len(layout.columns) + (layout.count - 1 if layout.pixels == "columns" else 0)
        _fail(place, f"{len(fields)} fields", f"{expected} as in the header")
    row: dict[str, Any] = dict(zip(layout.columns, fields, strict=True))
    for key, expected in _EXPECTED.items():
        if key in row:
            field = row[key]
            row[key] = _TEXT_OF[key](field.strip(whitespace)) if field == readable(field) else None
            if row[key] is None:
                _fail(place, f"the {key} is {show(field)}", expected)
    for key in ("id", "path"):
        if key in row and row[key] != readable(row[key]):
            _fail(place, f"the {key} is {show(row[key])}", "text in UTF-8")
    for key in VOTES:
        if key in row:
            if not _VOTES.fullmatch(row[key].strip()):
                _fail(place, f"{key}: {show(row[key])}", "a number of votes, 0 or more")
            row[key] = int(float(row[key]))
    return row


def _faces_of(places: Sequence[str], texts: Sequence[str], layout: Layout) -> list[np.ndarray]:
    """Parse the pixels of rows, and scale them to 48 x 48. Raises UserError, with the place of a bad row."""
    parsed, levels = [], _GreyLevels(layout.white)
    for start in range(0, len(texts), _FACES_AT_ONCE):
        some = texts[start : start + _FACES_AT_ONCE]
        try:
            if layout.is_float:
                raise ValueError("not integers")
            written = [_with_blanks(text, layout).encode(errors="surrogateescape") for text in some]
            values = _parse_pixels(written, layout.count)
        except ValueError:
            values = np.stack(
                [_parse_face(p, t, layout, levels) for p, t in zip(places[start:], some, strict=False)]
            )
        parsed.append(values if layout.count == PIXELS else _scaled(values))
    return parsed


def _with_blanks(text: str, layout: Layout) -> str:
    """Put blanks for brackets and commas, except where FER2013 would have none."""
    return text if layout.pixels == "plain" and not layout.is_float else text.translate(_BLANKS)


def _parse_face(place: str, text: str, layout: Layout, levels: "_GreyLevels") -> np.ndarray:
    """Parse a face slowly: uint8 (count,). Raises UserError; the message starts with ``place``."""
    words = list(
        filter(None, _with_blanks(text, layout).strip(whitespace if layout.is_float else " ").split(" "))
    )
    value_of, expected = _PIXEL_OF.get, "an integer from 0 to 255"
    if layout.is_float:
        value_of = levels.__getitem__
        expected = f"a number from 0 to {layout.white}, as in the first rows"
    pixels = list(map(value_of, words))
    if None in pixels:
        bad = pixels.index(None)
        _fail(place, f"pixel {bad + 1} is {show(words[bad])}", expected)
    if len(pixels) != layout.count:
        side = math.isqrt(layout.count)
        as_first = "" if layout.count == PIXELS else ", as in the first row"
        _fail(place, f"{len(pixels)} pixels", f"{layout.count} ({side} x {side}){as_first}")
    if layout.white == 255 and layout.is_float and max(pixels) <= 1 and any(map(_has_fraction, words)):
        _fail(place, "pixels from 0 to 1 alone", "pixels from 0 to 255, as in other rows")
    return np.array(pixels, np.uint8)


def _has_fraction(word: str) -> bool:
    return float(word) % 1 != 0


class _GreyLevels(dict):
    """Grey levels of numbers from 0 to ``white`` by their texts, None for others; keeps what it has read."""

    def __init__(self, white: int) -> None:
        super().__init__()
        self._white = white

    def __missing__(self, word: str) -> int | None:
        try:
            value = float(word) if word.isascii() and "_" not in word else math.nan
        except ValueError:
            value = math.nan
        level = round(value * 255 / self._white) if 0 <= value <= self._white else None
        if len(self) < _MOST_KEPT:  # faces of bytes have 256 texts, others have any number
            self[word] = level
        return level


def _scaled(values: np.ndarray) -> np.ndarray:
    """Scale square faces uint8 (N, side * side) to uint8 (N, 2304), as pictures are."""
    side = math.isqrt(values.shape[1])
    faces = [to_face(Image.fromarray(face.reshape(side, side))) for face in values]
    return np.stack(faces).reshape(-1, SIDE * SIDE)


def _fail(place: str, found: str, expected: str) -> NoReturn:
    raise UserError(f"{place}: {found}; expected {expected}")
