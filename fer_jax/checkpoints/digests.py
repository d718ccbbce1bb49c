"""Digests that show whether a checkpoint that is read back is what was saved."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def content(tree: Any) -> str:
    """Digest of the values, dtypes and shapes of all arrays in ``tree``, in order; 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype.str}{leaf.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def layout(tree: Any) -> str:
    """Digest of dtypes and shapes alone, which ``jax.ShapeDtypeStruct`` has too."""
    return text([[np.dtype(leaf.dtype).str, list(leaf.shape)] for leaf in jax.tree.leaves(tree)])


def text(value: Any) -> str:
    """Digest of the JSON of ``value``."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
