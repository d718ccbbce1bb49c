"""Batches that cover each face of a set once."""

from collections.abc import Iterator

import numpy as np


def padded_batches(count: int, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows int32 (B,) and mask bool (B,) of batches that cover each row once; padding repeats row 0."""
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size, dtype=np.int32)
        mask = rows < count
        yield np.where(mask, rows, 0), mask
