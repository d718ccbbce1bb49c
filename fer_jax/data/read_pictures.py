"""Read a picture file of any kind, in grey or colour, or as a face."""

import contextlib
import functools
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_jax.data import kinds
from fer_jax.data.find_pictures import special_kind
from fer_jax.data.levels import deep_colours, is_deep, to_grey_or_rgb
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.files import one_line, os_reason
from fer_jax.runtime.marks import is_ours

MOST_PIXELS = 2**28
"""Decoded at most: Pillow takes 4 bytes for one, so 1 GiB."""
_PIXELS_AT_FULL_SIZE = 2**26
"""A JPEG file with more is decoded at a half, a quarter or an eighth of its size, which costs nothing."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF's Orientation."""

_END_OF_JPEG = b"\xff\xd9"
_NOT_IMAGE_DATA = np.random.default_rng(0).integers(0, 255, 4096, np.uint8).tobytes()
"""Without 255, which begins a marker."""

_pillow = threading.Lock()
"""Held while a file is decoded: Pillow's limit and Python's filter of warnings are one for all threads."""


class MarkedCopy(UserError):
    """A picture that fer_jax has written, such as a copy of a photo with its faces marked."""


class Opened(NamedTuple):
    """A picture of mode L or RGB, upright.

    Attributes:
      picture: as decoded.
      size: width and height of the upright picture in the file, larger than ``picture.size`` where it was
        decoded at a smaller size.
      remarks: what was odd, each to print after "1 picture" or "3 pictures".
    """

    picture: Image.Image
    size: tuple[int, int]
    remarks: tuple[str, ...] = ()


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read a picture of any size and colour as a face: uint8 (48, 48), 0 black to 255 white.

    It is made grey by ``to_grey``, then stretched to 48 x 48 (antialiased). A grey 8-bit picture of 48 x 48
    stays as it is, bit for bit. Raises UserError as ``load_picture``.
    """
    return to_face(to_grey(open_picture(path)))


def open_picture(
    source: str | os.PathLike | BinaryIO, *, name: str | None = None, formats: Sequence[str] | None = None
) -> Image.Image:
    """The ``picture`` of ``load_picture``."""
    return load_picture(source, name=name, formats=formats).picture


def load_picture(
    source: str | os.PathLike | BinaryIO, *, name: str | None = None, formats: Sequence[str] | None = None
) -> Opened:
    """Open a picture in grey or colour (modes L and RGB), turned as its EXIF data says.

    Transparent parts become white, as they are shown; an animation gives its first frame. More than 8 bits
    and floats are scaled by their own range (see ``levels``). A JPEG file that lacks nothing but its end mark
    is read.

    Args:
      source: the path of a plain file, or its bytes.
      name: for the message; the path if None.
      formats: Pillow's names of those accepted; ``known_formats`` if None.

    Raises:
      MarkedCopy: fer_jax has written it.
      UserError: the file is missing, no plain file, not a picture, damaged or too large for memory.
    """
    name, formats = name or str(source), formats or known_formats()
    try:
        with _any_size():
            _require_plain_file(source, name)
            try:
                return _load(source, name, formats)
            except OSError:
                if not (whole := _without_end_mark(source, formats)):
                    raise
                opened = _load(io.BytesIO(whole), name, formats)
                remark = "without the end mark of a JPEG file, read all the same"
                return opened._replace(remarks=(*opened.remarks, remark))
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name}: {os_reason(error)}; a picture was expected") from error
    except Exception as error:  # on damaged files, Pillow's decoders raise nearly anything
        raise UserError(
            f"{name}: cannot be read as a picture ({_reason(error, source)}); a complete picture was expected"
        ) from error


@functools.cache
def known_formats() -> tuple[str, ...]:
    """Those of ``kinds.FORMATS`` that this Pillow was built with, or has learnt from what is installed."""
    Image.init()
    if kinds.reads_heic():
        import pi_heif

        pi_heif.register_heif_opener()
    return tuple(name for name in kinds.FORMATS if name in Image.OPEN)


def to_grey(picture: Image.Image) -> Image.Image:
    """Convert a picture of mode L or RGB to mode L, with ITU-R 601-2's weights of the colours."""
    return picture.convert("L")


def to_face(grey: Image.Image, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """Resize the part ``box`` (left, top, right, bottom) of a grey picture, or all, to uint8 (48, 48)."""
    return np.array(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))


@contextlib.contextmanager
def _any_size() -> Iterator[None]:
    """Lift Pillow's limit of pixels, since ``_load`` has its own; ignore warnings of odd metadata."""
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _require_plain_file(source: str | os.PathLike | BinaryIO, name: str) -> None:
    """Raise UserError for a named pipe, a socket or a device: to open one may wait for ever."""
    if isinstance(source, str | os.PathLike):
        mode = os.stat(source).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UserError(f"{name}: is a {special_kind(mode)}; a plain file was expected")


def _load(source: str | os.PathLike | BinaryIO, name: str, formats: Sequence[str]) -> Opened:
    with Image.open(source, formats=formats) as picture:
        if is_ours(picture):
            raise MarkedCopy(f"{name}: was written by fer_jax, with faces marked; name the photo itself")
        size, remarks = picture.size, _decode_smaller(picture)
        _require_memory(picture, name)
        deep = is_deep(picture)
        orientation = picture.getexif().get(0x0112)
        picture.load()
        upright, more = deep_colours(source, picture) if deep else (picture, ())
        if orientation in _TURNS:
            upright = upright.transpose(_TURNS[orientation])
        converted, open_range = to_grey_or_rgb(upright)
        size = size[::-1] if orientation in (5, 6, 7, 8) else size
        return Opened(converted, size, (*remarks, *more, *open_range))


def _decode_smaller(picture: Image.Image) -> tuple[str, ...]:
    """Let a very large JPEG file be decoded at a smaller size, and return the remark on it."""
    # All coefficients of a progressive file are in memory at any size.
    if picture.format not in ("JPEG", "MPO") or picture.info.get("progressive"):
        return ()
    width, height = picture.size
    shrink = next((n for n in (1, 2, 4) if width * height / n**2 <= _PIXELS_AT_FULL_SIZE), 8)
    if shrink == 1:
        return ()
    picture.draft(picture.mode, (width // shrink, height // shrink))
    return (f"of more than {_PIXELS_AT_FULL_SIZE / 1e6:.0f} megapixels, searched at 1/{shrink} of the size",)


def _require_memory(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    pixels = width * height
    if pixels > MOST_PIXELS:
        raise UserError(
            f"{name}: cannot be read as a picture ({width} x {height}, {pixels / 1e6:,.0f} megapixels, "
            f"{pixels / 2**28:,.1f} GiB in memory); at most {MOST_PIXELS / 1e6:.0f} megapixels (1 GiB) are "
            "read; make it smaller, or save it as a JPEG file that is not progressive"
        )


def _without_end_mark(source: str | os.PathLike | BinaryIO, formats: Sequence[str]) -> bytes | None:
    """The content of a JPEG file with its end mark, if it lacks no more than that; None otherwise."""
    if isinstance(source, io.BytesIO):
        content = source.getvalue()
    else:
        with open(source, "rb") as file:
            content = file.read()
    if not content.startswith(b"\xff\xd8") or "JPEG" not in formats or content.endswith(_END_OF_JPEG):
        return None
    content = content.removesuffix(b"\xff")
    # Where data are missing, what follows changes the picture; where none are, the decoder does not look.
    pictures = []
    for ending in (b"", _NOT_IMAGE_DATA):
        with Image.open(io.BytesIO(content + ending + _END_OF_JPEG), formats=("JPEG",)) as picture:
            _decode_smaller(picture)
            _require_memory(picture, "")
            picture.load()
            pictures.append(picture.copy())
    return content + _END_OF_JPEG if pictures[0] == pictures[1] else None


def _reason(error: Exception, source: str | os.PathLike | BinaryIO) -> str:
    """Why a file could not be read, without its path."""
    if isinstance(error, UnidentifiedImageError):
        return _what_it_is(source)
    if isinstance(error, OSError) and error.strerror:
        return os_reason(error)
    return one_line(error)


def _what_it_is(source: str | os.PathLike | BinaryIO) -> str:
    try:
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:
                head = file.read(64)
        else:
            source.seek(0)
            head = source.read(64)
    except OSError as error:
        return os_reason(error)
    if not head:
        return "an empty file"
    if b"avif" in head[8:32] and "AVIF" not in known_formats():
        return "AVIF, which needs Pillow 11.3 or newer: pip install --upgrade pillow"
    return {
        kinds.VIDEO: "a video",
        kinds.HEIC: f"HEIC; to read such: {kinds.TO_READ_HEIC}",
        kinds.FOREIGN: "of a kind that cannot be read here: save it as JPEG",
        kinds.PICTURE: "damaged",
    }.get(kinds.kind_of_content(head), "no picture by its content")
