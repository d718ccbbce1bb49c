"""Faces in photos: found by OpenCV's detector, cropped as FER2013's were, marked in the picture.

OpenCV is imported on first use: faces of 48 x 48 do not need it.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_jax.data.read_pictures import known_formats, load_picture, to_face, to_grey
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.files import os_reason

MARGIN = 0.025
"""The share of a box's side that is added on each side; chosen by ``benchmarks/photos.py``."""

_LONGEST_SIDE = 1280
"""Larger pictures are shrunk to this before the search; a face of a 30th of their width is still found."""
_SMALLEST_FACE, _LARGEST_FACE = 40, 64  # pixels of a picture that is a face; FER2013's are 48
_SEARCH = {"scaleFactor": 1.1, "minNeighbors": 3, "minSize": (_SMALLEST_FACE, _SMALLEST_FACE)}
_BOX_COLOUR = "#0072B2"  # Okabe and Ito's blue

_detecting = threading.Lock()
"""Held while searching: the cascade has state, and all threads share it."""


class Box(NamedTuple):
    """A square in a picture, in pixels from the picture's upper left corner; may reach beyond the edge."""

    x: float
    y: float
    width: float
    height: float


class Photo(NamedTuple):
    """A picture and the faces in it.

    Attributes:
      name: its path.
      picture: of mode L or RGB, upright.
      size: of the picture in the file, which may have been decoded at a smaller size.
      boxes: what the network sees, in pixels of ``picture``.
      faces: uint8 (N, 48, 48, 1).
      remarks: as those of ``Opened``.
    """

    name: str
    picture: Image.Image
    size: tuple[int, int]
    boxes: list[Box]
    faces: np.ndarray
    remarks: tuple[str, ...]

    def places(self) -> list[tuple[int, int, int, int]]:
        """x, y, width, height of the boxes in whole pixels of the file."""
        scale = self.size[0] / self.picture.width
        return [whole_pixels(Box(*(value * scale for value in box)), self.size) for box in self.boxes]


def read_photos(paths: Iterable[str | os.PathLike]) -> Iterator[Photo | UserError]:
    """Yield each picture by ``read_photo``, or the error that says why it cannot be read.

    Raises UserError if OpenCV is needed and not installed.
    """
    for path in paths:
        try:
            opened = load_picture(path)
        except UserError as error:
            yield error
        else:
            yield Photo(str(path), opened.picture, opened.size, *faces_of(opened.picture), opened.remarks)


def find_faces(picture: Image.Image) -> list[Box]:
    """Find the faces in an upright picture (mode L or RGB), and return them from left to right.

    Uses the cascade of Haar features (Viola and Jones, "Rapid Object Detection using a Boosted Cascade of
    Simple Features", 2001; Lienhart et al., 2003) in OpenCV's wheel. FER2013's faces were cropped with
    this kind of detector. It finds upright faces seen from the front. Raises UserError without OpenCV.
    """
    import_opencv()
    shrink = max(1.0, max(picture.size) / _LONGEST_SIDE)
    size = tuple(max(1, round(length / shrink)) for length in picture.size)
    grey = to_grey(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    with _detecting:
        found = _cascade().detectMultiScale(np.asarray(grey), **_SEARCH)
    return sorted(Box(*(float(value) * shrink for value in box)) for box in found)


def widen(box: Box, margin: float = MARGIN) -> Box:
    """The box with ``margin`` times its side added on each side."""
    dx, dy = margin * box.width, margin * box.height
    return Box(box.x - dx, box.y - dy, box.width + 2 * dx, box.height + 2 * dy)


def crop_faces(picture: Image.Image, boxes: Sequence[Box]) -> np.ndarray:
    """Crop each box as training saw faces: uint8 (N, 48, 48, 1); beyond the edge, its pixels are repeated."""
    grey = to_grey(picture)
    return np.array([_crop(grey, box) for box in boxes], np.uint8).reshape(-1, SIDE, SIDE, 1)


def _crop(grey: Image.Image, box: Box) -> np.ndarray:
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    over = int(np.ceil(max(0, -left, -top, right - grey.width, bottom - grey.height)))
    if over:
        grey = Image.fromarray(np.pad(np.asarray(grey), over, mode="edge"))
    return to_face(grey, (left + over, top + over, right + over, bottom + over))


def is_face(picture: Image.Image) -> bool:
    """Whether the picture has about 48 x 48 pixels, 40 to 64 a side, and so is taken whole as a face.

    The detector finds no face below 40 pixels, so hardly any in a photo of such a size.
    """
    return all(_SMALLEST_FACE <= side <= _LARGEST_FACE for side in picture.size)


def any_photo(paths: Iterable[str | os.PathLike]) -> bool:
    """Whether one of the pictures that can be read is no face, by the size in its header."""
    for path in paths:
        # On damaged files, Pillow raises nearly anything.
        with contextlib.suppress(Exception), Image.open(path, formats=known_formats()) as picture:
            if not is_face(picture):
                return True
    return False


def faces_of(picture: Image.Image) -> tuple[list[Box], np.ndarray]:
    """Find the faces in a picture, or take it whole if it is a face already.

    Returns their boxes, as wide as what the network sees, and the faces uint8 (N, 48, 48, 1). Raises
    UserError if OpenCV is needed and not installed.
    """
    boxes = [Box(0, 0, *picture.size)] if is_face(picture) else [widen(box) for box in find_faces(picture)]
    return boxes, crop_faces(picture, boxes)


def whole_pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, width, height of the box in whole pixels, within a picture of (width, height) ``size``."""
    left, top = max(0, round(box.x)), max(0, round(box.y))
    right, bottom = min(size[0], round(box.x + box.width)), min(size[1], round(box.y + box.height))
    return left, top, right - left, bottom - top


def annotate(picture: Image.Image, boxes: Sequence[Box], names: Sequence[str]) -> Image.Image:
    """Draw a frame around each box on a copy in RGB, with its name above, or below where there is no room."""
    marked = picture.convert("RGB")
    draw = ImageDraw.Draw(marked)
    width = max(2, round(max(picture.size) / 400))
    for box, name in zip(boxes, names, strict=True):
        x, y, w, h = whole_pixels(box, picture.size)
        font = ImageFont.load_default(max(12, round(h / 9)))
        draw.rectangle((x, y, x + w - 1, y + h - 1), outline=_BOX_COLOUR, width=width)
        _, _, text_width, text_height = draw.textbbox((0, 0), name, font=font)
        pad = width + 1
        label_width, label_height = text_width + 2 * pad, text_height + 2 * pad
        left = max(0, min(x, picture.width - label_width))
        top = y - label_height if y >= label_height else min(y + h, picture.height - label_height)
        draw.rectangle((left, top, left + label_width, top + label_height), fill=_BOX_COLOUR)
        draw.text((left + pad, top + pad), name, fill="white", font=font)
    return marked


def import_opencv() -> Any:
    """Import cv2, checked for the detector. Raises UserError if it is not installed or has none."""
    try:
        import cv2
    except ImportError as error:
        raise UserError("finding faces needs OpenCV: pip install -r requirements-photos.txt") from error
    # OpenCV 5 has dropped the cascades.
    if not hasattr(cv2, "CascadeClassifier") or not hasattr(cv2, "data"):
        raise UserError(
            f"finding faces needs OpenCV 4, found {cv2.__version__}: pip install -r requirements-photos.txt"
        )
    _cascade()
    return cv2


@functools.cache
def _cascade() -> Any:
    import cv2

    path = os.path.join(cv2.data.haarcascades, "haarcascade_frontalface_alt2.xml")
    cascade = cv2.CascadeClassifier()
    try:
        # Read here, since OpenCV cannot open a path with letters beyond ASCII on Windows.
        with open(path, encoding="utf-8") as file:
            storage = cv2.FileStorage(file.read(), cv2.FileStorage_READ | cv2.FileStorage_MEMORY)
        cascade.read(storage.getFirstTopLevelNode())
        reason = "damaged" if cascade.empty() else ""
    except OSError as error:
        reason = os_reason(error)
    except (cv2.error, UnicodeDecodeError):
        reason = "damaged"
    if reason:
        raise UserError(
            f"{path}: {reason}; the face detector of OpenCV was expected there; install it again: "
            "pip install --force-reinstall -r requirements-photos.txt"
        )
    return cascade
