"""Faces in photos: found by OpenCV's detector, cropped as FER2013's were, marked in the picture.

OpenCV is imported where it is used: whoever has faces of 48 x 48 needs none of it.
"""

import functools
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_jax.data.read_pictures import to_face, to_grey
from fer_jax.errors import UserError
from fer_jax.labels import SIDE

MARGIN = 0.025
"""What is added to each side of a box, as a share of its side; chosen by ``benchmarks/photos.py``."""

_LONGEST_SIDE = 1280
"""Larger pictures are searched in this size: a face of a 30th of their width is still found."""
_SMALLEST_FACE = 40  # pixels a side; FER2013's faces are 48
_SCALE_STEP, _NEIGHBOURS = 1.1, 3
_BOX_COLOUR = "#0072B2"  # Okabe and Ito's blue

_detecting = threading.Lock()
"""A cascade keeps state while it searches, and there is one for all threads."""


class Box(NamedTuple):
    """A square in a picture, in pixels from its upper left corner; may reach over the edge a little."""

    x: float
    y: float
    width: float
    height: float


def find_faces(picture: Image.Image) -> list[Box]:
    """The faces in an upright picture (mode L or RGB), from left to right.

    By the cascade of Haar features (Viola and Jones, "Rapid Object Detection using a Boosted Cascade of
    Simple Features", 2001; Lienhart et al., 2003) that OpenCV's wheel brings along: the kind of detector
    that FER2013's faces were cropped with. It looks for upright faces seen from the front.

    Raises:
      UserError: OpenCV is not installed.
    """
    import_opencv()
    shrink = max(1.0, max(picture.size) / _LONGEST_SIDE)
    grey = to_grey(picture)
    if shrink > 1:
        size = (max(1, round(grey.width / shrink)), max(1, round(grey.height / shrink)))
        grey = grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    with _detecting:
        found = _cascade().detectMultiScale(
            np.asarray(grey),
            scaleFactor=_SCALE_STEP,
            minNeighbors=_NEIGHBOURS,
            minSize=(_SMALLEST_FACE, _SMALLEST_FACE),
        )
    return sorted(Box(*(float(value) * shrink for value in box)) for box in found)


def widen(box: Box, margin: float = MARGIN) -> Box:
    """The box with ``margin`` times its side added on each side."""
    dx, dy = margin * box.width, margin * box.height
    return Box(box.x - dx, box.y - dy, box.width + 2 * dx, box.height + 2 * dy)


def crop_faces(picture: Image.Image, boxes: Sequence[Box]) -> np.ndarray:
    """What is in each box, as training saw faces: uint8 (N, 48, 48, 1); pixels over the edge repeat it."""
    grey = to_grey(picture)
    faces = [np.zeros((0, SIDE, SIDE), np.uint8), *(_crop(grey, box)[None] for box in boxes)]
    return np.concatenate(faces)[..., None]


def _crop(grey: Image.Image, box: Box) -> np.ndarray:
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    over = int(np.ceil(max(0, -left, -top, right - grey.width, bottom - grey.height)))
    if over:
        grey = Image.fromarray(np.pad(np.asarray(grey), over, mode="edge"))
    return to_face(grey, (left + over, top + over, right + over, bottom + over))


def is_face(picture: Image.Image) -> bool:
    """Whether the picture is a face already: 48 x 48 pixels are taken whole."""
    return picture.size == (SIDE, SIDE)


def faces_of(picture: Image.Image) -> tuple[list[Box], np.ndarray]:
    """Boxes, as wide as what the network sees, and faces uint8 (N, 48, 48, 1); a face is one of its own.

    Raises UserError if OpenCV is needed and not installed.
    """
    boxes = [Box(0, 0, SIDE, SIDE)] if is_face(picture) else [widen(box) for box in find_faces(picture)]
    return boxes, crop_faces(picture, boxes)


def whole_pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, width, height of the box in whole pixels, within a picture of (width, height) ``size``."""
    left, top = max(0, round(box.x)), max(0, round(box.y))
    right, bottom = min(size[0], round(box.x + box.width)), min(size[1], round(box.y + box.height))
    return left, top, right - left, bottom - top


def annotate(picture: Image.Image, boxes: Sequence[Box], names: Sequence[str]) -> Image.Image:
    """A copy in RGB with a frame around each box and its name above it, or below where there is no room."""
    marked = picture.convert("RGB")
    draw = ImageDraw.Draw(marked)
    width = max(2, round(max(picture.size) / 400))
    for box, name in zip(boxes, names, strict=True):
        x, y, w, h = whole_pixels(box, picture.size)
        font = ImageFont.load_default(max(12, round(h / 9)))
        draw.rectangle((x, y, x + w - 1, y + h - 1), outline=_BOX_COLOUR, width=width)
        _, _, text_width, text_height = draw.textbbox((0, 0), name, font=font)
        pad = width + 1
        left = max(0, min(x, picture.width - text_width - 2 * pad))
        top = y - text_height - 2 * pad
        top = top if top >= 0 else min(y + h, picture.height - text_height - 2 * pad)
        draw.rectangle(
            (left, top, left + text_width + 2 * pad, top + text_height + 2 * pad), fill=_BOX_COLOUR
        )
        draw.text((left + pad, top + pad), name, fill="white", font=font)
    return marked


def import_opencv() -> Any:
    """The module cv2, with the detector's file in it. Raises UserError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UserError(
            "finding faces in photos needs OpenCV: pip install -r requirements-photos.txt"
        ) from error
    # OpenCV 5 has dropped the cascades.
    if not hasattr(cv2, "CascadeClassifier") or not hasattr(cv2, "data"):
        raise UserError(
            f"finding faces in photos needs OpenCV 4, and {cv2.__version__} is installed: "
            "pip install -r requirements-photos.txt"
        )
    return cv2


@functools.cache
def _cascade() -> Any:
    cv2 = import_opencv()
    return cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
