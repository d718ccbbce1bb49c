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
    expressions, total = _shared_votes(counts)
    return expressions.argmax(1).astype(np.int32), 2 * expressions.max(1) > total


def distributions_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn votes int (N, 10) into distributions over the eight expressions.

    A single vote for something counts as none. A face has a distribution if the eight expressions together
    have more than half of the votes that are left.

    Returns:
      distributions float32 (N, 8); and a mask bool (N,) of the faces that have one.
    """
    expressions, total = _shared_votes(counts)
    voted = expressions.sum(1)
    return (expressions / np.maximum(voted, 1)[:, None]).astype(np.float32), 2 * voted > total


def _shared_votes(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop votes that nobody shares: those left for the eight expressions (N, 8), and for anything (N,)."""
    left = np.where(counts > 1, counts, 0)
    return left[:, : len(EIGHT)], left.sum(1)


class Decided(NamedTuple):
    """What the votes for N faces come to.

    Attributes:
      labels: int32 (N,), indices into ``EIGHT``.
      targets: float32 (N, 8), distributions to learn from; None where the labels are all.
      kept: bool (N,), the faces to use.
    """

    labels: np.ndarray
    targets: np.ndarray | None
    kept: np.ndarray


def decide(counts: np.ndarray, *, target: str) -> Decided:
    """Decide by votes int (N, 10) which faces are used, and what is learnt of them.

    ``target`` is ``majority`` (see ``labels_of``), or ``probability``: also faces without a majority, all
    with the distribution of the votes as targets (see ``distributions_of``).
    """
    labels, kept = labels_of(counts)
    if target == "majority":
        return Decided(labels, None, kept)
    return Decided(labels, *distributions_of(counts))


def target_in(part: str, vote_target: str) -> str:
    """The ``target`` of a part: only training faces (``train``) need no majority."""
    return vote_target if part == "train" else "majority"


def describe_votes(source: str, part: str, target: str, kept: int, count: int) -> str:
    """Say how many of the faces of a part are used by their votes."""
    has = "a majority" if target == "majority" else "enough votes"
    return f"votes of {source}: {kept:,} of {count:,} {part} faces have {has}"


def label_by_votes(
    faces: Faces, counts: np.ndarray, *, target: str, own: np.ndarray | None = None, share: float = 1.0
) -> Faces:
    """Label faces by their votes.

    Args:
      faces: N faces.
      counts: votes int (N, 10).
      target: what is learnt of them, see ``decide``.
      own: int32 (N,), labels that the faces had before: indices into ``EIGHT``, -1 for another class.
      share: of the votes in what is learnt, 0 to 1; the rest is that of the ``own`` labels.

    Returns:
      The faces that ``decide`` keeps, with labels among ``EIGHT``.
    """
    labels, targets, kept = decide(counts, target=target)
    if own is not None:
        targets = _mixed(np.eye(len(EIGHT))[labels] if targets is None else targets, own, share)
    return faces.take(kept).labelled(labels[kept], None if targets is None else targets[kept])


def _mixed(targets: np.ndarray, own: np.ndarray, share: float) -> np.ndarray:
    """Mix targets (N, 8) with labels int32 (N,) of before, where they are among ``EIGHT``."""
    of_own = np.where((own < 0)[:, None], targets, np.eye(len(EIGHT))[own])
    return (share * targets + (1 - share) * of_own).astype(np.float32)


def column_of(name: str) -> str:
    """The name of a column, one of ``COLUMNS`` where it is one of these expressions."""
    name = name.strip().lower().removeprefix("\ufeff")
    return expression_of(name) or name
