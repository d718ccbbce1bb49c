"""FER+ in folders: pictures of FER2013, and a table of ten people's votes for each (Barsoum et al., 2016)."""

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_jax.data.class_names import EIGHT, expression_of
from fer_jax.data.layouts.names import is_number, subfolders
from fer_jax.data.layouts.samples import Found, Options, Sample
from fer_jax.data.layouts.text import numbered_lines, safe_path, shown
from fer_jax.data.parts import part_of
from fer_jax.data.votes import COLUMNS, decide, describe_votes, target_in
from fer_jax.errors import UserError

_ORDER = (
    *("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"),
    *("unknown", "nf"),
)
"""The columns of votes where the table has no header, as FER+'s own program writes it."""
_EXPECTED = "expected the picture's name, its box '(left, top, right, bottom)' and ten numbers of votes"


def recognizes(folder: Path) -> bool:
    """Whether ``FER2013Train/`` or another split has a ``label.csv`` with votes."""
    return bool(_tables(folder))


def _tables(folder: Path) -> list[tuple[str, Path]]:
    pairs = ((part_of(path.name), path / "label.csv") for path in subfolders(folder))
    return [(part, table) for part, table in pairs if part and os.path.isfile(table) and _has_votes(table)]


def _has_votes(table: Path) -> bool:
    """Whether the first row of a table is as FER+'s are: not so a list of pictures and labels."""
    first = next((line for _, line in numbered_lines(table)), "")
    return len(_fields(first)) == 2 + len(COLUMNS)


def read(root: Path, options: Options) -> Found:
    """List the pictures whose votes suffice (see ``votes.decide``).

    Raises UserError for a row that cannot be read.
    """
    samples, notes = {}, []
    for part, table in _tables(root):
        rows = _read_table(table)
        counts = np.array([votes for _, _, votes in rows], np.int64).reshape(-1, len(COLUMNS))
        target = target_in(part, options.vote_target)
        labels, targets, kept = decide(counts, target=target)
        notes.append(describe_votes(str(table), part, target, kept.sum(), len(rows)))
        for row in np.flatnonzero(kept):
            path, box, _ = rows[row]
            learnt = None if targets is None else targets[row]
            samples.setdefault(part, []).append(Sample(EIGHT[labels[row]], path, box, learnt))
    return Found("FER+ folders", samples, tuple(notes), labels=EIGHT)


def _read_table(table: Path) -> list[tuple[Path, tuple[float, float, float, float] | None, list[int]]]:
    """Read (path, box, votes in the order of ``COLUMNS``) of each row."""
    rows, order = [], [_ORDER.index(name) for name in COLUMNS]
    for position, (number, line) in enumerate(numbered_lines(table)):
        where = f"{table}, line {number}"
        name, box, *votes = _fields(line) or ["", ""]
        if position == 0 and (header := _header(votes)):
            order = header
            continue
        if len(votes) != len(COLUMNS) or not all(is_number(vote) and len(vote) < 7 for vote in votes):
            raise UserError(f"{where}: {shown(line)}; {_EXPECTED}")
        counts = [int(votes[column]) for column in order]
        rows.append((safe_path(table.parent, name, where), _box(box, where), counts))
    return rows


def _fields(line: str) -> list[str]:
    """The fields of a line, at least two of them; none if it is no row of a table."""
    try:
        fields = [field.strip() for field in next(csv.reader([line]))]
    except csv.Error:
        return []
    return fields if len(fields) >= 2 else []


def _header(names: Sequence[str]) -> list[int] | None:
    """The columns of ``COLUMNS`` among the names of a header; None if it is none."""
    known = [expression_of(name) or name.lower() for name in names]
    return [known.index(name) for name in COLUMNS] if set(known) >= set(COLUMNS) else None


def _box(text: str, where: str) -> tuple[float, float, float, float] | None:
    """Read a box; None where the field is empty."""
    numbers = [int(n) for n in re.findall(r"-?[0-9]{1,6}", text)]
    if not text:
        return None
    if len(numbers) != 4 or not (numbers[0] < numbers[2] and numbers[1] < numbers[3]):
        raise UserError(f"{where}: {shown(text)} is no box; {_EXPECTED}")
    return tuple(numbers)
