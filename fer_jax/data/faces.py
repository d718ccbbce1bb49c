"""A data set in memory."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces of one split.

    Attributes:
      images: uint8 (N, 48, 48, 1), 0 black to 255 white.
      labels: int32 (N,), an index into ``LABELS``; None where the source has no labels.
      ids: (N,) of str; the source's own id, the row number from 0, or the picture's path.
    """

    images: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray | slice) -> "Faces":
        """The faces at ``rows``: an int array of indices, a bool mask (N,) or a slice."""
        labels = None if self.labels is None else self.labels[rows]
        return Faces(self.images[rows], labels, self.ids[rows])


class Splits(NamedTuple):
    """The parts of a data set; ``test`` is None where the source has none.

    ``notes`` are lines to print: how the split was made, what was odd.
    """

    train: Faces
    validation: Faces
    test: Faces | None
    notes: tuple[str, ...] = ()


def digest(splits: Splits) -> str:
    """A digest that changes with any training or validation pixel or label."""
    h = hashlib.blake2b(digest_size=16)
    for part in (splits.train, splits.validation):
        h.update(np.ascontiguousarray(part.images))
        h.update(np.ascontiguousarray(part.labels))
    return h.hexdigest()
