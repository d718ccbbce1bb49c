"""Batches that cover each face of a set once, and groups of what comes one by one."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

_Item = TypeVar("_Item")


def padded_batches(count: int, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows int32 (B,) and mask bool (B,) of batches that cover each row once; padding repeats row 0."""
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size, dtype=np.int32)
        mask = rows < count
        yield np.where(mask, rows, 0), mask


def grouped(
    items: Iterable[_Item], *, most: int, size_of: Callable[[_Item], int], most_size: int
) -> Iterator[list[_Item]]:
    """Gather items to lists, each as long as memory should hold at a time.

    Args:
      items: in their order.
      most: items in a list.
      size_of: item -> its size, as bytes or pixels.
      most_size: of all in a list; the one by which it is reached is the last.
    """
    group, size = [], 0
    for item in items:
        group.append(item)
        size += size_of(item)
        if len(group) >= most or size >= most_size:
            yield group
            group, size = [], 0
    if group:
        yield group
