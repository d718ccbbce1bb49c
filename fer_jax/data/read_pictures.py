"""Read faces from picture files: one, a folder of them, or a data set of one folder per class."""

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from fer_jax.data.faces import Faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS, SIDE
from fer_jax.runtime.files import one_line, os_reason

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")

_SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
SPLIT_OF = {part: part for part in ("train", "test", "validation")}
SPLIT_OF |= {"val": "validation", "valid": "validation"}
"""The split of each folder's name."""


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read a picture of any size and colour as a face: uint8 (48, 48), 0 black to 255 white.

    It is made grey by ``to_grey``, then stretched to 48 x 48 (antialiased). A grey 8-bit picture of 48 x 48
    stays as it is, bit for bit. Raises UserError as ``open_picture``.
    """
    return to_face(to_grey(open_picture(path)))


def open_picture(
    source: str | os.PathLike | BinaryIO, *, name: str | None = None, formats: Sequence[str] | None = None
) -> Image.Image:
    """Open a picture in grey or colour (modes L and RGB), turned as its EXIF data says.

    Transparent parts become black, 16 bits are scaled to 8, an animation gives its first frame.

    Args:
      source: a path, or the file's bytes.
      name: for the message; the path if None.
      formats: Pillow's names of those accepted; all that it knows if None.

    Raises:
      UserError: the file is missing, not a picture, damaged or suspiciously large.
    """
    name = name or str(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata harms nobody ...
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # ... but this may
            with Image.open(source, formats=formats) as picture:
                return _to_grey_or_rgb(ImageOps.exif_transpose(picture))
    except FileNotFoundError as error:
        raise UserError(f"{name}: {os_reason(error)}; a picture was expected") from error
    except Exception as error:  # on damaged files, Pillow's decoders raise nearly anything
        reason = os_reason(error) if isinstance(error, OSError) else one_line(error)
        raise UserError(
            f"{name}: cannot be read as a picture ({reason}); a complete picture was expected"
        ) from error


def to_grey(picture: Image.Image) -> Image.Image:
    """Convert a picture of mode L or RGB to mode L, with ITU-R 601-2's weights of the colours."""
    return picture.convert("L")


def to_face(grey: Image.Image, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """Resize the part ``box`` (left, top, right, bottom) of a grey picture, or all, to uint8 (48, 48)."""
    return np.array(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))


def _to_grey_or_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if picture.mode.startswith("I"):  # 16 bits; Pillow's own conversion to L would clip at 255
        values = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    return picture.convert("L" if picture.mode in ("1", "L", "LA", "La") else "RGB")


def list_pictures(folder: str | os.PathLike) -> list[Path]:
    """List the files with one of ``SUFFIXES`` at any depth below ``folder``, sorted, without hidden ones.

    Raises UserError if there is none, or a folder cannot be listed.
    """
    found = []
    try:
        for parent, folders, files in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            pictures = [n for n in files if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
            found += [Path(parent, name) for name in pictures]
    except OSError as error:
        raise UserError(f"{folder}: {os_reason(error)}; expected a readable folder of pictures") from error
    if not found:
        raise UserError(f"{folder}: no pictures; expected files that end in {', '.join(SUFFIXES)}")
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def read_unlabelled(path: str | os.PathLike) -> Faces:
    """Read a picture, or all pictures at any depth in a folder; ids are their paths, labels None.

    Raises UserError if there is no picture, or one cannot be read.
    """
    return _read_all(picture_paths(path), labels=None)


def picture_paths(path: str | os.PathLike) -> list[Path]:
    """List the picture itself, or all pictures at any depth in a folder. Raises UserError if it has none."""
    return list_pictures(path) if os.path.isdir(path) else [Path(path)]


def read_folder(root: str | os.PathLike) -> dict[str, Faces]:
    """Read labelled faces from folders named after the seven classes; ids are the paths of the pictures.

    The class folders are in ``root`` itself (one part, ``all``), or in its ``train/``, ``test/`` and
    ``validation/`` (or ``val/``, ``valid/``; parts ``train``, ``test``, ``validation``). Names of folders
    are compared without case. ``happiness``, ``sadness`` and other synonyms are accepted.

    FER2013 is often passed on as ``train/`` and ``test/``, where ``test/`` holds both published held-out
    sets. Without a validation folder, pictures of ``test/`` named ``PublicTest_*`` go to ``validation``,
    and the others (``PrivateTest_*``) stay in ``test``.

    Raises UserError for a folder that is not a class, a class without pictures or a broken picture.
    """
    labelled = defaultdict(list)  # of (label, path), by part
    folders = _folders(root)
    if any(folder.name.lower() in SPLIT_OF for folder in folders):
        for folder in folders:
            if folder.name.lower() not in SPLIT_OF:
                raise UserError(f"{folder}: not a split; expected only train/, test/ and validation/")
            labelled[SPLIT_OF[folder.name.lower()]] += _labelled_pictures(folder)
        if "validation" not in labelled:
            for label, path in labelled.pop("test", []):
                part = "validation" if path.name.startswith("PublicTest_") else "test"
                labelled[part].append((label, path))
    else:
        labelled["all"] = _labelled_pictures(root)
    return {
        part: _read_all([path for _, path in pairs], np.array([label for label, _ in pairs], np.int32))
        for part, pairs in labelled.items()
        if pairs
    }


def _labelled_pictures(folder: str | os.PathLike) -> list[tuple[int, Path]]:
    """List (label, path) of all pictures in the class folders of ``folder``, sorted."""
    classes = _folders(folder)
    if not classes:
        raise UserError(f"{folder}: no folders; expected one of pictures per class: {', '.join(LABELS)}")
    return sorted((_label_of(c), path) for c in classes for path in list_pictures(c))


def _label_of(folder: Path) -> int:
    name = _SYNONYMS.get(folder.name.lower(), folder.name.lower())
    if name not in LABELS:
        raise UserError(f"{folder}: {folder.name!r} is not a class; expected {', '.join(LABELS)}")
    return LABELS.index(name)


def _folders(root: str | os.PathLike) -> list[Path]:
    """List the folders in ``root``, sorted, without hidden ones."""
    try:
        return sorted(p for p in Path(root).iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise UserError(f"{root}: {os_reason(error)}; a readable folder was expected") from error


def _read_all(paths: list[Path], labels: np.ndarray | None) -> Faces:
    images = np.stack([read_picture(path) for path in paths])
    return Faces(images[..., np.newaxis], labels, np.array([str(path) for path in paths]))
