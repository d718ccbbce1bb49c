"""Faces in photos: found by a detector, cropped as FER2013's were, marked in the picture."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_jax.data.detectors import Box, crop_box, make_detector
from fer_jax.data.read_pictures import known_formats, load_picture, to_face, to_grey
from fer_jax.errors import UserError
from fer_jax.labels import SIDE

_SMALLEST_FACE, _LARGEST_FACE = 40, 64  # pixels of a picture that is a face; FER2013's are 48
_MOST_WHOLE, _MOST_OBLONG, _FILLED = 256, 1.25, 0.6
"""Of pictures that may be taken whole: the longest side in pixels; the longer side by the shorter; the share
of the longer side that the square of a face has, if one is found."""
_BOX_COLOUR = "#0072B2"  # Okabe and Ito's blue


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

    @property
    def is_whole(self) -> bool:
        """Whether the picture was taken whole as a face."""
        return self.boxes == [Box(0, 0, *self.picture.size)]

    def places(self) -> list[tuple[int, int, int, int]]:
        """x, y, width, height of the boxes in whole pixels of the file."""
        scale = self.size[0] / self.picture.width
        return [whole_pixels(Box(*(value * scale for value in box)), self.size) for box in self.boxes]


def read_photos(
    paths: Iterable[str | os.PathLike], *, detector: str = "", whole: bool = False
) -> Iterator[Photo | UserError]:
    """Yield each picture with its faces by ``faces_of``, or the error that says why it cannot be read.

    Raises UserError as ``faces_of``.
    """
    for path in paths:
        try:
            opened = load_picture(path)
        except UserError as error:
            yield error
        else:
            faces = faces_of(opened.picture, detector=detector, whole=whole)
            yield Photo(str(path), opened.picture, opened.size, *faces, opened.remarks)


def find_faces(picture: Image.Image, *, detector: str = "") -> list[Box]:
    """Find the faces in an upright picture (mode L or RGB): squares as wide as what the network sees.

    They come from left to right. ``detector`` is as in ``make_detector``, which raises UserError.
    """
    finder = make_detector(detector)
    return [crop_box(box, finder.crop) for box in sorted(finder.find(picture))]


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


def is_cropped(picture: Image.Image, boxes: Sequence[Box]) -> bool:
    """Whether a picture looks like a face that was cropped already, with the boxes that are found in it.

    It is nearly square, of 40 to 256 pixels a side, and shows no face to the detector, or one that fills it.
    Those of RAF-DB have 100 pixels, those of AffectNet 224.
    """
    shorter, longer = sorted(picture.size)
    if shorter < _SMALLEST_FACE or longer > _MOST_WHOLE or longer > _MOST_OBLONG * shorter:
        return False
    return not boxes or (len(boxes) == 1 and boxes[0].width >= _FILLED * longer)


def any_photo(paths: Iterable[str | os.PathLike]) -> bool:
    """Whether one of the pictures that can be read is no face, by the size in its header."""
    for path in paths:
        # On damaged files, Pillow raises nearly anything.
        with contextlib.suppress(Exception), Image.open(path, formats=known_formats()) as picture:
            if not is_face(picture):
                return True
    return False


def faces_of(
    picture: Image.Image, *, detector: str = "", whole: bool = False
) -> tuple[list[Box], np.ndarray]:
    """Find the faces in a picture, or take it whole if it is a face already.

    Args:
      picture: upright, of mode L or RGB.
      detector: as in ``make_detector``.
      whole: whether a larger picture that ``is_cropped`` is taken whole, too.

    Returns:
      Their boxes, as wide as what the network sees, from left to right; and the faces uint8 (N, 48, 48, 1).

    Raises:
      UserError: what the detector needs is not installed.
    """
    boxes = [] if is_face(picture) else find_faces(picture, detector=detector)
    if is_face(picture) or (whole and is_cropped(picture, boxes)):
        boxes = [Box(0, 0, *picture.size)]
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
