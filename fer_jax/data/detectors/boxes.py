"""Boxes of faces, and the crop that a detector's box becomes."""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image


class Box(NamedTuple):
    """A rectangle in a picture, in pixels from the picture's upper left corner; may reach beyond the edge."""

    x: float
    y: float
    width: float
    height: float


class Crop(NamedTuple):
    """How a box becomes a square cropped as FER2013's faces are: all in shares of the box's height.

    Attributes:
      right: how far the centre moves to the right.
      down: how far it moves down.
      side: of the square.
    """

    right: float
    down: float
    side: float


class Detector(NamedTuple):
    """What finds faces; made by ``make_detector``.

    Attributes:
      name: ``mtcnn``, ``haar``, or the path of a network.
      find: upright picture of mode L or RGB -> boxes in its pixels, as the method gives them, in any order.
        Several threads may call it.
      crop: chosen for this kind of boxes by ``benchmarks/photos.py``.
    """

    name: str
    find: Callable[[Image.Image], list[Box]]
    crop: Crop


def crop_box(box: Box, crop: Crop) -> Box:
    """The square that the network sees, for a box of a detector."""
    side = crop.side * box.height
    x = box.x + box.width / 2 + crop.right * box.height - side / 2
    y = box.y + box.height / 2 + crop.down * box.height - side / 2
    return Box(x, y, side, side)
