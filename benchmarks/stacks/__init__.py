"""What each stack does for each benchmark, behind one interface.

A module here has ``prepare(benchmark, network, stack) -> Work`` and imports its framework only then, so
that each stack runs in a process that holds no other.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BATCH_SIZE = int(os.environ.get("FER_JAX_BENCHMARK_BATCH", 128))
REFERENCE_WIDTHS = (64, 64, 128, 128)
REFERENCE_POOL_AFTER = (0, 1, 3)
REFERENCE_HIDDEN = 512


class Work(NamedTuple):
    """``run(calls)`` does the work so many times and returns when it is done.

    Attributes:
      run: the work.
      items: what one call adds to the count that a rate is made of; 0 where seconds a call are told.
    """

    run: Callable[[int], None]
    items: int


def random_faces(count: int = 8 * BATCH_SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (count, 48, 48, 1) and labels int32 (count,): their content does not change the speed."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, 48, 48, 1)).astype(np.uint8)
    return images, draw.integers(0, 7, count).astype(np.int32)


def unit_faces() -> tuple[np.ndarray, np.ndarray]:
    """The same as float32 in [0, 1]: for the stacks that are spared the conversion."""
    images, labels = random_faces()
    return images.astype(np.float32) / 255, labels


SMALL = {"widths": (4, 8), "blocks": (1, 1)}
"""Sizes of the network ``small``, by which the tests run what is for large ones."""


def cnn_sizes(network: str = "cnn") -> dict:
    """``widths``, ``blocks``, ``activation`` and ``dropout`` of configs/cnn.py; ``small`` has fewer."""
    from configs import cnn

    sizes = cnn.get_config().cnn.to_dict()
    # The same in all stacks.
    del sizes["dtype"], sizes["stem_stride"]
    return sizes | (SMALL if network == "small" else {})


def prepare(benchmark: str, network: str, stack: str) -> Work:
    """The work of a stack, by the module that has it."""
    import importlib

    module = "files" if benchmark == "read_csv" else stack.split("-")[0]
    return importlib.import_module(f"stacks.{module}_stack").prepare(benchmark, network, stack)
