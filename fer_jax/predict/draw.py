"""Draw the faces of a frame of a video: a frame around each, its name, and bars of its likeliest classes."""

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_jax.data.detectors import Box
from fer_jax.data.photos import whole_pixels
from fer_jax.runtime.figures import BLUE, class_colour

_LONGEST_SIDE = 1280
"""Pixels; larger frames are shrunk to it."""
_BARS = 3
_DARK = "#202020"


def copy_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the drawn copy of a frame: at most 1280 pixels, and even, as codecs need it."""
    shrink = max(1.0, max(size) / _LONGEST_SIDE)
    return tuple(max(2, round(length / shrink / 2) * 2) for length in size)


def draw_faces_of(
    picture: Image.Image,
    boxes: Sequence[Box],
    numbers: Sequence[int],
    probabilities: np.ndarray,
    labels: Sequence[str],
) -> Image.Image:
    """Draw the faces of a frame on a copy of ``copy_size``.

    The name above each box says the face's number, its likeliest class and that one's probability. Below the
    box are bars of the three likeliest classes. Where there is no room, both move into the picture.

    Args:
      picture: RGB.
      boxes: of the N faces, in its pixels.
      numbers: of the faces.
      probabilities: float (N, classes).
      labels: names of the classes.
    """
    size = copy_size(picture.size)
    marked = picture.copy() if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(marked)
    across, down = size[0] / picture.width, size[1] / picture.height
    for box, number, row in zip(boxes, numbers, probabilities, strict=True):
        scaled = Box(box.x * across, box.y * down, box.width * across, box.height * down)
        place = whole_pixels(scaled, size)
        _draw_box(draw, place, max(2, round(max(size) / 400)))
        best = int(row.argmax())
        bottom = _draw_name(draw, place, size, f"{number}: {labels[best]} {100 * row[best]:.0f} %")
        _draw_bars(draw, (place[0], bottom, place[2], place[3]), size, row, labels)
    return marked


def _draw_box(draw: ImageDraw.ImageDraw, place: tuple[int, int, int, int], width: int) -> None:
    x, y, w, h = place
    draw.rectangle((x, y, x + max(w, 2) - 1, y + max(h, 2) - 1), outline=BLUE, width=width)


def _draw_name(
    draw: ImageDraw.ImageDraw, place: tuple[int, int, int, int], size: tuple[int, int], name: str
) -> int:
    """Draw the name above the box, or below where there is no room; return where the bars may begin."""
    x, y, _, h = place
    font = _font(max(12, round(h / 9)))
    _, _, text_width, text_height = draw.textbbox((0, 0), name, font=font)
    width, height = text_width + 6, text_height + 6
    left = max(0, min(x, size[0] - width))
    below = y < height
    top = y + h if below else y - height
    draw.rectangle((left, top, left + width - 1, top + height - 1), fill=BLUE)
    draw.text((left + 3, top + 3), name, fill="white", font=font)
    return top + height if below else y + h


def _draw_bars(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int, int, int],
    size: tuple[int, int],
    row: np.ndarray,
    labels: Sequence[str],
) -> None:
    """Draw a bar for each of the likeliest classes below each other; ``place`` is where they begin."""
    x, y, w, h = place
    height = max(14, round(h / 11))
    order = np.argsort(-row, kind="stable")[:_BARS]
    width = min(size[0], max(w, 90))
    left = max(0, min(x, size[0] - width))
    top = max(0, min(y, size[1] - height * len(order)))
    font = _font(height - 2)
    for line, label in enumerate(int(label) for label in order):
        at = top + line * height
        draw.rectangle((left, at, left + width - 1, at + height - 1), fill=_DARK)
        length = round(width * float(row[label]))
        if length:
            draw.rectangle((left, at + 1, left + length - 1, at + height - 2), fill=class_colour(label))
        text = f"{labels[label]} {100 * row[label]:.0f} %"
        draw.text(
            (left + 3, at + height // 2),
            text,
            fill="white",
            font=font,
            anchor="lm",
            stroke_width=1,
            stroke_fill=_DARK,
        )


@functools.lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
