"""Digests by which a checkpoint that came back is known to be what was saved."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def content(tree: Any) -> str:
    """Of the values, dtypes and shapes of all arrays in ``tree``, in its order; 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype.str}{leaf.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def layout(tree: Any) -> str:
    """Of dtypes and shapes alone, which ``jax.ShapeDtypeStruct`` has too."""
    leaves = [[np.dtype(leaf.dtype).str, list(leaf.shape)] for leaf in jax.tree.leaves(tree)]
    return text(leaves)


def text(value: Any) -> str:
    """Of what JSON makes of ``value``."""
    encoded = json.dumps(value, sort_keys=True).encode()
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()
