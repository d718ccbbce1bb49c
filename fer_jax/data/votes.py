"""FER+: what ten people said of each face, as labels (Barsoum et al., "Training Deep Networks for Facial
Expression Recognition with Crowd-Sourced Label Distribution", 2016).
"""

import os
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_jax.data.class_names import EIGHT, expression_of
from fer_jax.data.faces import Faces
from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line, os_reason

COLUMNS = (*EIGHT, "unknown", "nf")
"""What people could vote for; the last two say that it is no expression, or no face."""

TARGETS = ("majority", "probability")


class Votes(NamedTuple):
    """Votes for faces.

    Attributes:
      counts: int64 (N, 10), in the order of ``COLUMNS``.
      usage: (N,) of str, as in Kaggle's file; None if there is no such column.
    """

    counts: np.ndarray
    usage: np.ndarray | None


def read_votes(path: str | os.PathLike) -> Votes:
    """Read ``fer2013new.csv`` of FER+: one row for each row of Kaggle's ``fer2013.csv``, in its order.

    Raises UserError if it cannot be read, or a column of ``COLUMNS`` is missing or has no counts.
    """
    try:
        table = pd.read_csv(path, dtype=str, na_filter=False, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {os_reason(error)}; FER+'s fer2013new.csv was expected") from error
    except (ValueError, EOFError) as error:  # pandas' own errors are ValueErrors
        raise UserError(
            f"{path}: not a table ({one_line(error)}); FER+'s fer2013new.csv was expected"
        ) from error
    return votes_of(table, path)


def votes_of(table: pd.DataFrame, path: str | os.PathLike) -> Votes:
    """Take the votes from a table of strings, whose columns are found by name. Raises UserError."""
    names = {column_of(name): name for name in table.columns}
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UserError(
            f"{path}, line 1: no column of votes for {', '.join(missing)}; FER+'s fer2013new.csv has one "
            "each for neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown and NF"
        )
    counts = table[[names[name] for name in COLUMNS]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    bad = np.flatnonzero(~(np.isfinite(counts) & (counts >= 0) & (counts % 1 == 0)).all(1))
    if len(bad):
        raise UserError(f"{path}, line {bad[0] + 2}: expected a number of votes, 0 or more, in each column")
    usage = table[names["usage"]].str.strip().to_numpy(str) if "usage" in names else None
    return Votes(counts.astype(np.int64), usage)


def labels_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label faces by their votes int (N, 10), by the paper's rule for the majority.

    A single vote for something counts as none. A face has a label if one of the eight expressions has more
    than half of the votes that are left.

    Returns:
      labels int32 (N,), the expression with most votes; and a mask bool (N,) of the faces that have a label.
    """
    left = np.where(counts > 1, counts, 0)
    expressions = left[:, : len(EIGHT)]
    return expressions.argmax(1).astype(np.int32), 2 * expressions.max(1) > left.sum(1)


def distributions_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn votes int (N, 10) into distributions over the eight expressions.

    A single vote for something counts as none. A face has a distribution if the eight expressions together
    have more than half of the votes that are left.

    Returns:
      distributions float32 (N, 8); and a mask bool (N,) of the faces that have one.
    """
    left = np.where(counts > 1, counts, 0)
    expressions = left[:, : len(EIGHT)]
    total = expressions.sum(1)
    return (expressions / np.maximum(total, 1)[:, None]).astype(np.float32), 2 * total > left.sum(1)


def label_by_votes(faces: Faces, counts: np.ndarray, *, target: str) -> Faces:
    """Keep the faces that people agree on, with labels among ``EIGHT``.

    Args:
      faces: N faces.
      counts: int (N, 10), their votes.
      target: ``majority`` (see ``labels_of``), or ``probability``: also faces without a majority, all with
        the distribution of the votes as targets (see ``distributions_of``).
    """
    labels, kept = labels_of(counts)
    if target == "majority":
        return faces.take(kept).labelled(labels[kept])
    distributions, kept = distributions_of(counts)
    return faces.take(kept).labelled(labels[kept], distributions[kept])


def column_of(name: str) -> str:
    """The name of a column, one of ``COLUMNS`` where it is one of these expressions."""
    name = name.strip().lower().removeprefix("\ufeff")
    return expression_of(name) or name
