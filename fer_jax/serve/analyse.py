"""From the bytes of an upload to an answer for the page: in memory alone, nothing is kept."""

import base64
import functools
import io
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fer_jax.data import photos
from fer_jax.data.read_pictures import open_picture
from fer_jax.errors import UserError
from fer_jax.evaluate.step import padded_batches
from fer_jax.labels import LABELS

MAX_MEGAPIXELS = 50
BATCH = 4
"""Faces that the network sees at a time. One size means one compilation, and answers that do not
depend on how many faces a picture has; most have few."""

# What cameras, telephones and browsers save. Pillow knows more, some of which run other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")

# From dark blue to yellow, after cividis, which colour-blind people see alike (Nuñez et al., 2018).
_COLOURS = ((0, 34, 78), (87, 93, 109), (165, 156, 116), (253, 231, 55))
_OPACITY = 140  # of 255: the face stays in sight

_decoding = threading.Lock()
"""What Python does with warnings is one setting for all threads, and decoding changes it for a moment."""


class Refused(UserError):
    """No answer for this upload, told in one line for the person at the page; ``status``: of HTTP."""

    def __init__(self, status: int, line: str):
        super().__init__(line)
        self.status = status


class Network(NamedTuple):
    """``look``: see ``make_look``, compiled or not; and what it is called with."""

    look: Callable
    variables: Any
    normalization: Any


def make_look(*, forward: Callable, grad_cam: Callable | None) -> Callable:
    """A pure ``(variables, normalization, images) -> (probabilities, heat)``.

    Images uint8 (N, 48, 48, 1), probabilities float32 (N, 7), heat float32 (N, 48, 48) from 0 to 1: what
    speaks for the likeliest expression, or None.

    Args:
      forward: from ``evaluate.make_forward``.
      grad_cam: from ``explain.make_grad_cam``; None for a network without feature maps.
    """
    import jax.numpy as jnp

    def look(variables, normalization, images):
        chances = jnp.exp(forward(variables, normalization, images))
        if grad_cam is None:
            return chances, None
        return chances, grad_cam(variables, normalization, images, jnp.argmax(chances, -1))

    return look


def look_at(networks: Sequence[Network], faces: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Probabilities (N, 7) and heat (N, 48, 48) of faces uint8 (N, 48, 48, 1): means over the networks.

    Heat is None where a network gives none.
    """
    parts = []
    for rows, mask in padded_batches(len(faces), BATCH):
        seen = [n.look(n.variables, n.normalization, faces[rows]) for n in networks]
        chances = np.mean([np.asarray(c) for c, _ in seen], axis=0)[mask]
        hot = all(h is not None for _, h in seen)
        parts.append((chances, np.mean([np.asarray(h) for _, h in seen], axis=0)[mask] if hot else None))
    chances, heat = zip(*parts, strict=True)
    return np.concatenate(chances), None if heat[0] is None else np.concatenate(heat)


def make_analyse(networks: Sequence[Network]) -> Callable[[bytes], dict[str, Any]]:
    """``bytes of a picture file -> answer``, as ``docs/serve.md`` describes it.

    The function raises Refused if there is nothing to answer, and is meant for one thread at a time:
    several would only take turns.
    """

    def analyse(body: bytes) -> dict[str, Any]:
        picture = read_upload(body)
        boxes, faces = photos.faces_of(picture)
        if not boxes:
            raise Refused(
                422,
                "No face found. The detector looks for upright faces seen from the front, with both eyes "
                "in view; a larger or brighter picture, or a closer crop, may help.",
            )
        return to_answer(picture.size, boxes, faces, *look_at(networks, faces))

    return analyse


def read_upload(body: bytes) -> Image.Image:
    """The picture in an upload, upright, of mode L or RGB. Raises Refused; its size is read first."""
    if not body:
        raise Refused(400, "The upload is empty: 0 bytes arrived. Choose a picture.")
    with _decoding:
        width, height = _size(body)
        megapixels = width * height / 1e6
        if megapixels > MAX_MEGAPIXELS:
            raise _too_large(f"{np.ceil(megapixels):.0f} megapixels ({width} x {height})")
        try:
            return open_picture(io.BytesIO(body), name="upload", formats=_formats())
        except UserError as error:
            raise Refused(
                415, "The picture is damaged or incomplete and cannot be read. Try to save it anew."
            ) from error


def _too_large(size: str) -> Refused:
    return Refused(413, f"The picture is too large: {size}; at most {MAX_MEGAPIXELS} megapixels.")


def _size(body: bytes) -> tuple[int, int]:
    """Width and height that the file's header tells; nothing is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(body), formats=_formats()) as picture:
                return picture.size
    except Image.DecompressionBombError as error:
        raise _too_large("more than 178 megapixels") from error
    except Exception as error:  # on damaged files, Pillow raises nearly anything
        if body[4:8] == b"ftyp" and body[8:12] in _HEIF_BRANDS:
            line = "This is a HEIC picture, which cannot be read here. Save it as JPEG first."
        else:
            line = "This is no picture that can be read here. JPEG, PNG, WebP, GIF, BMP or TIFF will do."
        raise Refused(415, line) from error


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those that this Pillow was built with."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def to_answer(
    size: tuple[int, int],
    boxes: Sequence[photos.Box],
    faces: np.ndarray,
    chances: np.ndarray,
    heat: np.ndarray | None,
) -> dict[str, Any]:
    """The answer as JSON holds it.

    Args:
      size: width and height of the picture.
      boxes: N of them, in its pixels.
      faces: uint8 (N, 48, 48, 1).
      chances: (N, 7).
      heat: (N, 48, 48) from 0 to 1, or None.
    """
    found = []
    heats = [None] * len(boxes) if heat is None else heat
    for box, face, chance, hot in zip(boxes, faces, chances, heats, strict=True):
        one = {
            "box": list(photos.whole_pixels(box, size)),
            "seen": [round(value, 2) for value in box],
            "label": LABELS[int(np.argmax(chance))],
            "probabilities": {label: round(float(c), 6) for label, c in zip(LABELS, chance, strict=True)},
            "face": _data_url(Image.fromarray(face[:, :, 0])),
        }
        found.append(one if hot is None else one | {"heat": _data_url(heat_picture(hot))})
    return {"faces": found, "width": size[0], "height": size[1]}


def heat_picture(heat: np.ndarray) -> Image.Image:
    """Heat (H, W) from 0 to 1 as colour to lay over a face: dark blue where 0, yellow where 1."""
    steps = np.linspace(0, 1, len(_COLOURS))
    colour = [np.interp(heat, steps, channel) for channel in zip(*_COLOURS, strict=True)]
    pixels = np.stack([*colour, np.full(heat.shape, _OPACITY)], -1)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
