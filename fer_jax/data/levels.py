"""From the values in a picture file to grey or colour from 0 black to 255 white."""

import os
import sys
from typing import BinaryIO

import numpy as np
from PIL import Image

_BITS = (8, 10, 12, 14, 16, 24, 31)
"""Bits that the content of a file of 16 or more may have: of screens, of cameras, of all that it can hold."""


def to_grey_or_rgb(picture: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert a loaded picture of any mode to L or RGB, on white where it is transparent.

    Values of more than 8 bits and floats are read by the range that they have: 12 bits of content in a file
    of 16 would otherwise be black.

    Returns:
      The picture, and remarks to print after "1 picture": how its range was read, if that was open.

    Raises:
      ValueError: floats of an unknown range.
    """
    if picture.mode == "F":
        return _from_floats(np.asarray(picture))
    if picture.mode.startswith("I"):
        return _from_integers(np.maximum(np.asarray(picture), 0))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture_on_white = Image.alpha_composite(white, picture.convert("RGBA"))
        return picture_on_white.convert("L" if picture.mode in ("L", "LA", "La") else "RGB"), ()
    mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    return picture if picture.mode == mode else picture.convert(mode), ()


def _from_floats(values: np.ndarray) -> tuple[Image.Image, tuple[str, ...]]:
    if not np.all(np.isfinite(values)) or values.min() < 0 or not 0 < values.max() <= 65535:
        raise ValueError("floating-point pixels whose range is unknown; 0 to 1, 255 or 65535 is read")
    white = next(white for white in (1, 255, 65535) if values.max() <= white)
    picture = Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
    return picture, (f"of floats from 0 to {white}, read by that range",)


def _from_integers(values: np.ndarray) -> tuple[Image.Image, tuple[str, ...]]:
    bits, remarks = _bits_of(values)
    return Image.fromarray(_scaled(values, bits)), remarks


def _bits_of(values: np.ndarray) -> tuple[int, tuple[str, ...]]:
    """The least of the usual bits that holds all values, and a remark if it is not 16."""
    most = int(values.max(initial=0))
    bits = next(bits for bits in _BITS if most < 2**bits)
    return bits, () if bits == 16 else (f"with {bits} bits of content in a file of more, read by that range",)


def _scaled(values: np.ndarray, bits: int) -> np.ndarray:
    """Scale integers of ``bits`` to uint8, rounded."""
    white = 2**bits - 1
    if bits > 16:
        return np.rint(values * (255 / white)).astype(np.uint8)
    table = (np.arange(white + 1) * 255 + white // 2) // white
    return table.astype(np.uint8)[values]


def is_deep(picture: Image.Image) -> bool:
    """Whether a picture that is open and not loaded yet is in colour, with 16 bits a channel."""
    return picture.mode in ("RGB", "RGBA") and bool(_other_bytes(picture))


def deep_colours(
    source: str | os.PathLike | BinaryIO, picture: Image.Image
) -> tuple[Image.Image, tuple[str, ...]]:
    """The colours of a file for which ``is_deep`` holds, by their own range; Pillow keeps the upper 8 bits.

    Args:
      source: the file, or its bytes.
      picture: what Pillow made of it, loaded, not yet turned; returned as it is unless it is so dark that
        fewer than 16 bits may be used.

    Returns:
      The picture of the same mode, and remarks as ``to_grey_or_rgb``.
    """
    if max(high for _, high in picture.getextrema()[:3]) >= 64:
        return picture, ()
    with Image.open(source) as again:
        again.tile = tiles = _other_bytes(again)
        other = np.asarray(again)
    if _raw_mode(tiles[0]) == "RGBA":  # grey and alpha, both bytes of each
        pairs = other.astype(np.uint16)
        grey, alpha = pairs[..., 0] * 256 + pairs[..., 1], pairs[..., 2] * 256 + pairs[..., 3]
        values = np.stack([grey, grey, grey, alpha], -1)
    else:
        values = np.asarray(picture).astype(np.uint16) * 256 + other
    bits, remarks = _bits_of(values[..., :3])
    channels = [_scaled(values[..., :3], bits)]
    if values.shape[-1] == 4:  # what is opaque may be so by another range
        channels.append(_scaled(values[..., 3:], _bits_of(values[..., 3:])[0]))
    return Image.fromarray(np.concatenate(channels, -1)), remarks


def _other_bytes(picture: Image.Image) -> list:
    """The tiles of a picture of 16 bits a channel, to decode the lower byte; empty if it has 8."""
    swapped = {"LA;16B": "RGBA"}
    for channels in ("RGB", "RGBA"):
        native = "L" if sys.byteorder == "little" else "B"
        for order in "LBN":
            is_little = (native if order == "N" else order) == "L"
            swapped[f"{channels};16{order}"] = f"{channels};16{'B' if is_little else 'L'}"
    tiles = []
    for tile in getattr(picture, "tile", []):
        if (raw := _raw_mode(tile)) not in swapped:
            return []
        args = swapped[raw] if isinstance(tile[3], str) else (swapped[raw], *tile[3][1:])
        # A plain tuple in earlier versions of Pillow.
        tiles.append(tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args))
    return tiles


def _raw_mode(tile: tuple) -> str:
    """How the pixels of a tile lie in the file, as ``RGB;16B``; empty if it does not say."""
    args = tile[3]
    return args if isinstance(args, str) else str(args[0]) if args else ""
