"""A data set in memory."""

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np

from fer_jax.labels import LABELS


@dataclasses.dataclass(frozen=True, eq=False)
class Faces:
    """Faces of one split.

    Attributes:
      images: uint8 (N, 48, 48, 1), 0 black to 255 white.
      labels: int32 (N,), an index into the names of the classes; None where the source has no labels.
      ids: (N,) of str; the source's own id, the row number from 0, or the picture's path.
      targets: float32 (N, K), a distribution over the K classes to learn from; None where the labels are all.
      votes: int64 (N, 10), what people said of the faces, for a teacher; in the order of ``votes.COLUMNS``.
    """

    images: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray
    targets: np.ndarray | None = None
    votes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray | slice) -> "Faces":
        """The faces at ``rows``: an int array of indices, a bool mask (N,) or a slice."""
        beside = (None if a is None else a[rows] for a in (self.labels, self.targets, self.votes))
        labels, targets, votes = beside
        return Faces(self.images[rows], labels, self.ids[rows], targets, votes)

    def labelled(self, labels: np.ndarray | None, targets: np.ndarray | None = None) -> "Faces":
        """The same faces with other labels, and the targets if there are some."""
        return dataclasses.replace(self, labels=labels, targets=targets)

    def voted(self, votes: np.ndarray) -> "Faces":
        """The same faces with votes."""
        return dataclasses.replace(self, votes=votes)


class Source(NamedTuple):
    """A data set as its source has it, before it is split.

    Attributes:
      parts: the faces of each part that has some: ``train``, ``validation``, ``test``, or ``all``.
      labels: names of the classes.
      notes: lines to print: what was left out or odd.
      summary: says in a line what the source was taken for; empty for FER2013's own files.
      numbers: number in the source -> name of its class; None where labels are words, or votes.
    """

    parts: dict[str, Faces]
    labels: tuple[str, ...]
    notes: tuple[str, ...]
    summary: str = ""
    numbers: dict[int, str] | None = None


class Splits(NamedTuple):
    """The parts of a data set; ``test`` is None where the source has none.

    ``notes`` are lines to print: how the split was made, what was odd. ``labels`` are the names of the
    classes. ``numbers`` are those of the source: number -> name of its class; None where labels are words.
    """

    train: Faces
    validation: Faces
    test: Faces | None
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = LABELS
    numbers: dict[int, str] | None = None


def digest(splits: Splits) -> str:
    """A digest that changes with any training or validation pixel, label or target, and with the classes."""
    h = hashlib.blake2b(digest_size=16)
    for part in (splits.train, splits.validation):
        h.update(np.ascontiguousarray(part.images))
        h.update(np.ascontiguousarray(part.labels))
        if part.targets is not None:
            h.update(np.ascontiguousarray(part.targets))
    if splits.labels != LABELS:  # runs of earlier versions had no others
        h.update("\n".join(splits.labels).encode())
    return h.hexdigest()
