"""Faces as the rows of a file have them, before anything says what their labels mean."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.data.faces import Faces
from fer_jax.labels import NUM_CLASSES

FER2013 = tuple(str(label) for label in range(NUM_CLASSES))
"""The ``found`` of a table whose labels are FER2013's numbers."""

PATHS = "paths of pictures"
"""In the ``form`` of a table whose faces are in other files."""

NPZ, PARQUET = (".npz",), ("parquet",)
"""How the ``form`` of a table begins that is no CSV file."""


class Table(NamedTuple):
    """What a CSV, .npz or parquet file holds.

    Attributes:
      faces: all rows in the order of the file. ``labels`` are indices into ``found``; None if the file has
        no labels.
      usage: (N,) of str, as ``parts.USAGE_OF`` has it; None if the file names no parts.
      found: labels as the file has them, numbers or words; see ``label_texts.label_text``.
      lines: int64 (N,), the line of each row, or its number from 1 where the file has no lines.
      votes: int64 (N, 10) in the order of ``votes.COLUMNS``; None if the file has none.
      form: how the file differs from FER2013's, in words for a note; empty where it does not.
      notes: lines to print.
    """

    faces: Faces
    usage: np.ndarray | None
    found: tuple[str, ...]
    lines: np.ndarray
    votes: np.ndarray | None = None
    form: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def take(self, rows: np.ndarray | slice) -> "Table":
        """The rows at ``rows``: an int array of indices, a bool mask (N,) or a slice."""
        usage, votes = (None if a is None else a[rows] for a in (self.usage, self.votes))
        return self._replace(faces=self.faces.take(rows), usage=usage, votes=votes, lines=self.lines[rows])


def indexed(texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number label texts: indices int32 (N,), and what they are indices into.

    The latter is ``FER2013`` where that has all of them.
    """
    distinct = set(texts)
    found = FER2013 if distinct <= set(FER2013) else tuple(sorted(distinct))
    place = {text: index for index, text in enumerate(found)}
    return np.array([place[text] for text in texts], np.int32), found


def concatenated(tables: Sequence[Table]) -> Table:
    """Put tables of one file together; the notes are those of the last."""
    first = tables[0]
    found = first.found
    if any(table.found != found for table in tables):
        found = tuple(sorted({text for table in tables for text in table.found}))
    labels = None
    if first.faces.labels is not None:
        place = {text: index for index, text in enumerate(found)}
        renumbered = [np.array([place[text] for text in t.found], np.int32) for t in tables]
        labels = [new[t.faces.labels] for new, t in zip(renumbered, tables, strict=True)]
    images, ids, lines = (
        np.concatenate(arrays)
        for arrays in zip(*((t.faces.images, t.faces.ids, t.lines) for t in tables), strict=True)
    )
    faces = Faces(images, None if labels is None else np.concatenate(labels), ids)
    usage = None if first.usage is None else np.concatenate([t.usage for t in tables])
    votes = None if first.votes is None else np.concatenate([t.votes for t in tables])
    return Table(faces, usage, found, lines, votes, first.form, tables[-1].notes)
