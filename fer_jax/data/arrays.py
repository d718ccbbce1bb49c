"""Read faces from arrays: an .npz file, or pixels of any size, range and number of channels."""

import os
from collections.abc import Collection, Mapping

import numpy as np
from PIL import Image

from fer_jax.data.compressed import DAMAGED_ARRAYS
from fer_jax.data.csv_layout import is_square
from fer_jax.data.faces import Faces
from fer_jax.data.label_texts import EXPECTED, label_text
from fer_jax.data.meaning import check_one_kind
from fer_jax.data.parts import USAGE_OF, WORDS
from fer_jax.data.read_pictures import to_face, to_grey
from fer_jax.data.tables import FER2013, NPZ, Table, concatenated, indexed
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.files import one_line, os_reason
from fer_jax.runtime.words import some

_IMAGES = ("images", "image", "faces", "pixels", "features", "data", "imgs", "img", "x")
_LABELS = ("labels", "label", "emotions", "emotion", "targets", "target", "classes", "y")
_NAMES = ("class_names", "label_names", "names", "classes")
_EXPECTED_ARRAYS = "arrays 'images' and 'labels', or 'x_train' and 'y_train' and the like"
_ZIP = b"PK"


def is_npz(path: str | os.PathLike) -> bool:
    """Whether a file is named .npz and packed as one."""
    try:
        return os.fspath(path).lower().endswith(".npz") and open_head(path)[:2] == _ZIP
    except OSError:
        return False


def open_head(path: str | os.PathLike) -> bytes:
    """The first four bytes of a plain file, none of another. Raises OSError."""
    if not os.path.isfile(path):
        return b""
    with open(path, "rb") as file:
        return file.read(4)


def read_npz(path: str | os.PathLike, *, require_labels: bool) -> Table:
    """Read faces and labels from an .npz file, in one part or in up to three.

    Arrays are found by name, whatever its case: ``images`` and ``labels``, ``x`` and ``y``, ``x_train`` and
    ``y_train``, and the like. Labels are numbers (N,), words, or one column for each class. ``class_names``
    may say what numbers mean. Objects, which NumPy would unpickle, are refused.

    Raises UserError if it cannot be read, or its arrays are not those of faces.
    """
    arrays = _arrays_in(path)
    tables = []
    has_training = _named(arrays, _IMAGES, "train") is not None
    for part in ("", *WORDS):
        images = _named(arrays, _IMAGES, part)
        if images is None or (not part and has_training):  # all faces once more
            continue
        labels = _named(arrays, _LABELS, part)
        if labels is None and require_labels:
            raise UserError(f"{path}: {images} has no labels; {_EXPECTED_ARRAYS} were expected")
        names = next((arrays[name] for name in _NAMES if name in arrays and name != labels), None)
        given = None if labels is None else arrays[labels]
        tables.append(_table(f"{path}: {images}", arrays[images], given, names, USAGE_OF.get(part, "")))
    if not tables or not any(len(table.faces) for table in tables):
        found = some(sorted(arrays)) or "nothing"
        raise UserError(f"{path}: holds {found}; {_EXPECTED_ARRAYS} were expected")
    whole = concatenated([t for t in tables if len(t.faces)])
    rows = np.arange(1, len(whole.faces) + 1)
    ids = np.array([str(row - 1) for row in rows])
    usage = None if set(whole.usage) == {""} else np.where(whole.usage == "", "Training", whole.usage)
    faces = Faces(whole.faces.images, whole.faces.labels, ids)
    whole = whole._replace(lines=rows, faces=faces, usage=usage)
    check_one_kind(str(path), whole)
    return whole


def _arrays_in(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All arrays in a file by name in lower case. Raises UserError."""
    try:
        # Opened here since np.load leaves the file open when it turns out to be damaged.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name.lower(): arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise UserError(f"{path}: {os_reason(error)}; an .npz file was expected") from error
    except DAMAGED_ARRAYS as error:
        raise UserError(
            f"{path}: cannot be read ({one_line(error)}); an .npz file of numbers and words was expected"
        ) from error


def _named(arrays: Mapping[str, np.ndarray], names: Collection[str], part: str) -> str | None:
    """The name of the array of one part, as ``x_train``; of all faces if ``part`` is empty."""
    words = WORDS.get(part, ())
    wanted = [f"{n}_{w}" for n in names for w in words] + [f"{w}_{n}" for n in names for w in words]
    return next((name for name in (wanted if part else names) if name in arrays), None)


def _table(
    source: str, images: np.ndarray, labels: np.ndarray | None, names: np.ndarray | None, usage: str
) -> Table:
    faces, form = to_faces(images, source)
    texts = None if labels is None else _texts(source, labels, len(faces), names)
    index, found = (None, FER2013) if texts is None else indexed(texts)
    rows = np.arange(len(faces))
    usages = np.full(len(faces), usage, "U11")
    return Table(Faces(faces, index, rows.astype(np.str_)), usages, found, rows + 1, None, (*NPZ, *form))


def _texts(source: str, labels: np.ndarray, count: int, names: np.ndarray | None) -> list[str]:
    """Labels as texts. Raises UserError if they are no labels, or not as many as there are faces."""
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "biuf":
        if not ((labels != 0).sum(1) == 1).all():
            raise UserError(f"{source}: its labels {labels.shape} are not one of several classes a face")
        labels = labels.argmax(1)
    labels = labels.reshape(-1) if labels.size == count else labels
    if labels.shape != (count,):
        raise UserError(
            f"{source}: {count:,} faces and labels of shape {labels.shape}; a label each was expected"
        )
    texts = [_text(label) for label in labels.tolist()]
    if None in texts:
        row = texts.index(None)
        raise UserError(f"{source}: label {row + 1} is {labels[row]!r}; expected {EXPECTED}")
    if names is not None and names.ndim == 1 and names.dtype.kind == "U" and all(map(str.isdigit, texts)):
        if max(map(int, texts)) >= len(names):
            raise UserError(f"{source}: a label is {max(map(int, texts))}, and there are {len(names)} names")
        texts = [label_text(str(names[int(text)])) or text for text in texts]
    return texts


def _text(label: object) -> str | None:
    return label_text(label.decode(errors="replace") if isinstance(label, bytes) else str(label))


def to_faces(images: np.ndarray, source: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn an array of pictures into faces uint8 (N, 48, 48, 1), and say in words what was done.

    Args:
      images: integers from 0 to 255 or floats from 0 to 1 or 255, of shape (N, H, W), (N, H, W, C), (N, C, H,
        W) with one or three channels, or (N, H * W) for squares.
      source: for messages.

    Raises:
      UserError: another shape or other numbers.
    """
    pictures = _as_pictures(images)
    if pictures is None or images.dtype.kind not in "uifb":
        raise UserError(
            f"{source} is {images.dtype} {images.shape}; expected pictures (N, height, width), also with 1 "
            "or 3 channels"
        )
    if not len(images):
        return np.zeros((0, SIDE, SIDE, 1), np.uint8), ()
    least, most = float(images.min()), float(images.max())
    if not (least >= 0 and most <= 255):  # also where one is NaN
        raise UserError(f"{source} has numbers from {least:g} to {most:g}; expected 0 to 255, or 0 to 1")
    form: tuple[str, ...] = ()
    if images.dtype.kind == "f":
        white = 1 if most <= 1 else 255
        pictures = np.rint(pictures * (255 / white))
        form += (f"floats from 0 to {white}" + (", times 255" if white == 1 else ""),)
    elif most <= 1:
        raise UserError(f"{source} has whole numbers from 0 to 1 alone; expected grey levels from 0 to 255")
    pictures = pictures.astype(np.uint8)
    height, width = pictures.shape[1:3]
    if (height, width) != (SIDE, SIDE):
        form += (f"{height} x {width} pixels, scaled to {SIDE} x {SIDE}",)
    if pictures.shape[3] == 1 and (height, width) == (SIDE, SIDE):
        return np.ascontiguousarray(pictures), form
    faces = [to_face(to_grey(Image.fromarray(picture.squeeze()))) for picture in pictures]
    return np.stack(faces)[..., None], form


def _as_pictures(images: np.ndarray) -> np.ndarray | None:
    """The array as (N, H, W, C); None if its shape is not that of pictures."""
    if images.ndim == 2 and is_square(images.shape[1]):
        side = round(images.shape[1] ** 0.5)
        return images.reshape(-1, side, side, 1)
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return np.moveaxis(images, 1, 3)
    return None
