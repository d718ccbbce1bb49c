"""Turn the bytes of an upload into an answer for the page, in memory alone; nothing is kept."""

import base64
import functools
import io
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fer_jax.classifier import Classifier
from fer_jax.data import photos
from fer_jax.data.batches import padded_batches
from fer_jax.data.contrast import has_contrast
from fer_jax.data.read_pictures import MarkedCopy, known_formats, open_picture
from fer_jax.errors import UserError
from fer_jax.explain.saliency import grad_cam_layer, make_grad_cam

MAX_MEGAPIXELS = 50
BATCH = 4
"""Faces in a batch. With one size the network is compiled once, and an answer does not depend on how many
faces a picture has. Most pictures have few."""

# The formats that cameras, telephones and browsers save. Some others of Pillow run other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")

# From dark blue to yellow, after cividis, which colour-blind people see the same (Nuñez et al., 2018).
_COLOURS = ((0, 34, 78), (87, 93, 109), (165, 156, 116), (253, 231, 55))
_OPACITY = 140  # of 255, so that the face stays visible

_decoding = threading.Lock()
"""Decoding changes Python's filter for warnings, one setting for all threads, for a moment."""


class Refused(UserError):
    """The reason, in one line for the visitor, that an upload gets no answer; ``status`` is that of HTTP."""

    def __init__(self, status: int, line: str):
        super().__init__(line)
        self.status = status


Network = Callable[[np.ndarray], tuple[Any, Any]]
"""Faces uint8 (N, 48, 48, 1) -> probabilities float32 (N, K), and heat: see ``make_network``."""


FindFaces = Callable[[Image.Image], tuple[list[photos.Box], np.ndarray]]
"""A picture -> the boxes and the faces in it, as ``photos.faces_of``."""


def make_network(classifier: Classifier, *, views: str, heat: bool = True) -> Network:
    """Compile a network, with its arrays on the device, as ``faces -> (probabilities, heat)``.

    Heat float32 (N, 48, 48) from 0 to 1 is the Grad-CAM of the likeliest expression; None if the network has
    no feature maps, or if ``heat`` is false.
    """
    forward, grad_cam = classifier.forward(views), None
    if heat and grad_cam_layer(classifier.model):
        grad_cam = make_grad_cam(model=classifier.model, normalize_kind=classifier.config["normalize"])

    @jax.jit
    def look(variables, normalization, faces):
        probabilities = jnp.exp(forward(variables, normalization, faces))
        if grad_cam is None:
            return probabilities, None
        return probabilities, grad_cam(variables, normalization, faces, jnp.argmax(probabilities, -1))

    weights = classifier.on_device().weights
    return functools.partial(look, weights.variables, weights.normalization)


def look_at(
    networks: Sequence[Network], faces: np.ndarray, *, batch: int = BATCH
) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean probabilities (N, K) and heat (N, 48, 48) of the networks for faces uint8 (N, 48, 48, 1), N > 0.

    Heat is None if a network gives none. The networks get ``batch`` faces at a time.
    """
    parts = []
    for rows, mask in padded_batches(len(faces), batch):
        probabilities, heat = zip(*(network(faces[rows]) for network in networks), strict=True)
        hot = all(h is not None for h in heat)
        parts.append((_mean(probabilities)[mask], _mean(heat)[mask] if hot else None))
    probabilities, heat = zip(*parts, strict=True)
    return np.concatenate(probabilities), None if heat[0] is None else np.concatenate(heat)


def _mean(arrays: Sequence[Any]) -> np.ndarray:
    return np.mean([np.asarray(array) for array in arrays], axis=0)


def make_analyse(
    networks: Sequence[Network], labels: Sequence[str], *, find: FindFaces
) -> Callable[[bytes], dict[str, Any]]:
    """Make ``bytes of a picture file -> answer``, as ``docs/serve.md`` describes it.

    The function raises Refused if there is no answer. Call it from one thread at a time: several threads
    would only wait for each other.
    """

    def analyse(body: bytes) -> dict[str, Any]:
        picture = read_upload(body)
        boxes, faces = find(picture)
        if not boxes:
            raise Refused(
                422,
                "No face found. The detector looks for upright faces seen from the front, with both eyes "
                "in view; a larger or brighter picture, or a closer crop, may help.",
            )
        seen = has_contrast(faces)
        if not seen.any():
            raise Refused(
                422,
                "The picture shows nothing: it is black, white or of one grey. It may be transparent, or "
                "stored with values from 0 to 1 instead of 0 to 255.",
            )
        boxes, faces = [box for box, kept in zip(boxes, seen, strict=True) if kept], faces[seen]
        return to_answer(picture.size, boxes, faces, *look_at(networks, faces), labels)

    return analyse


def read_upload(body: bytes, *, max_megapixels: float = MAX_MEGAPIXELS) -> Image.Image:
    """Read the picture in an upload, upright, of mode L or RGB. Raises Refused; checks the size first."""
    if not body:
        raise Refused(400, "The upload is empty: 0 bytes arrived. Choose a picture.")
    with _decoding:
        width, height = _size(body)
        megapixels = width * height / 1e6
        if megapixels > max_megapixels:
            raise _too_large(f"{np.ceil(megapixels):.0f} megapixels ({width} x {height})", max_megapixels)
        try:
            return open_picture(io.BytesIO(body), name="upload", formats=_formats())
        except MarkedCopy as error:
            raise Refused(
                422, "This copy has faces marked by fer_jax already. Choose the photo that it was made of."
            ) from error
        except UserError as error:
            raise Refused(
                415, "The picture is damaged or incomplete and cannot be read. Try to save it again."
            ) from error


def _too_large(size: str, most: float = MAX_MEGAPIXELS) -> Refused:
    return Refused(413, f"The picture is too large: {size}; at most {most:g} megapixels.")


def _size(body: bytes) -> tuple[int, int]:
    """Read width and height from the file's header; nothing is decoded."""
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


def _formats() -> tuple[str, ...]:
    """Return those of ``_FORMATS`` that this Pillow was built with."""
    return tuple(name for name in known_formats() if name in _FORMATS)


def to_answer(
    size: tuple[int, int],
    boxes: Sequence[photos.Box],
    faces: np.ndarray,
    probabilities: np.ndarray,
    heat: np.ndarray | None,
    labels: Sequence[str],
) -> dict[str, Any]:
    """Make the answer, for JSON.

    Args:
      size: width and height of the picture.
      boxes: N places of faces, in its pixels.
      faces: uint8 (N, 48, 48, 1).
      probabilities: (N, K).
      heat: (N, 48, 48) from 0 to 1, or None.
      labels: names of the K classes.
    """
    found = []
    heats = [None] * len(boxes) if heat is None else heat
    for box, face, row, hot in zip(boxes, faces, probabilities, heats, strict=True):
        one = {
            "box": list(photos.whole_pixels(box, size)),
            "seen": [round(value, 2) for value in box],
            "label": labels[int(np.argmax(row))],
            "probabilities": {label: round(float(p), 6) for label, p in zip(labels, row, strict=True)},
            "face": _data_url(Image.fromarray(face[:, :, 0])),
        }
        found.append(one if hot is None else one | {"heat": _data_url(heat_picture(hot))})
    return {"faces": found, "width": size[0], "height": size[1]}


def heat_picture(heat: np.ndarray) -> Image.Image:
    """Colour heat (H, W), to lay over a face: dark blue for 0, yellow for 1."""
    steps = np.linspace(0, 1, len(_COLOURS))
    colour = [np.interp(heat, steps, channel) for channel in zip(*_COLOURS, strict=True)]
    pixels = np.stack([*colour, np.full(heat.shape, _OPACITY)], -1)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
