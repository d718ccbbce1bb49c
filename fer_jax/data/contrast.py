"""Find faces that show nothing: black, white, one grey level, or nearly so."""

from collections.abc import Sequence

import numpy as np

from fer_jax.errors import UserError
from fer_jax.runtime.words import some

LEAST_SPREAD = 16
"""Grey levels between the darkest and the lightest hundredth of a face that is one.

Of FER2013's 35,735 faces two have less: one is black, one is dark with a bright spot (spread 11). The next
ones show faces, dark but plain to see, with 34, 40 and 44. Bytes made of floats from 0 to 1 have 1.
"""
_AT_ONCE = 4096
"""Faces sorted at once: few enough to stay in the CPU's cache."""


def has_contrast(images: np.ndarray) -> np.ndarray:
    """Whether each of the faces uint8 (N, 48, 48, 1) has contrast: bool (N,)."""
    pixels = images.reshape(len(images), images[0].size if len(images) else 1)
    # A few pixels of another grey level, as of a date in the corner, make no face.
    edge = pixels.shape[1] // 100
    result = np.ones(len(images), bool)
    for start in range(0, len(images), _AT_ONCE):
        levels = np.sort(pixels[start : start + _AT_ONCE], axis=1, kind="stable")  # radix sort for bytes
        spread = levels[:, -1 - edge] - levels[:, edge]
        result[start : start + _AT_ONCE] = spread >= LEAST_SPREAD
    return result


def describe_flat(ids: Sequence[str], total: int, noun: str = "faces") -> str:
    """Say which of the ``total`` faces have no contrast: ``1 of 3 faces has no contrast: 17``."""
    return f"{len(ids):,} of {total:,} {noun} {'has' if len(ids) == 1 else 'have'} no contrast: {some(ids)}"


def refuse_flat(source: str, total: int) -> UserError:
    """The error for an input none of whose faces has contrast."""
    found = "the only face has" if total == 1 else f"all {total:,} faces have"
    return UserError(
        f"{source}: {found} no contrast (all black, white or of one grey); pictures of faces were expected; "
        "floats from 0 to 1 have to be multiplied by 255 before they are stored as bytes"
    )
