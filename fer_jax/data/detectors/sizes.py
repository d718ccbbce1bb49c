"""Pictures at the size at which a detector looks at them."""

import numpy as np
from PIL import Image

from fer_jax.data.detectors.boxes import Box

_SMALLEST_FACE = 40
"""Side of the smallest face that is looked for, in pixels of the picture: the network sees 48."""


def shrunk(picture: Image.Image, mode: str, longest: int) -> tuple[np.ndarray, tuple[float, float]]:
    """The picture as uint8 (H, W) for mode L or (H, W, 3) for RGB, its longer side at most ``longest``.

    Also its original width and height, as multiples of those returned.
    """
    shrink = max(1.0, max(picture.size) / longest)
    width, height = (max(1, round(length / shrink)) for length in picture.size)
    small = picture.convert(mode).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small), (picture.width / width, picture.height / height)


def smallest_face(scale: tuple[float, float], least: int) -> float:
    """Side of the smallest face to look for, in pixels of the shrunken picture; at least ``least``."""
    return max(least, _SMALLEST_FACE / max(scale))


def scaled(box: tuple[float, float, float, float], scale: tuple[float, float]) -> Box:
    """A box x, y, width, height in pixels of the picture itself."""
    x, y, width, height = (float(value) for value in box)
    return Box(x * scale[0], y * scale[1], width * scale[0], height * scale[1])
