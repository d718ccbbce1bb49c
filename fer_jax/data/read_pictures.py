"""Faces as picture files: one, a folder of them, or a data set of one folder per class."""

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from fer_jax.data.compressed import one_line, os_reason
from fer_jax.data.faces import Faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS, SIDE

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")

_SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
_SPLIT_OF = {
    "train": "train",
    "test": "test",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
}


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """One picture of any size and colour as a face: uint8 (48, 48), 0 black to 255 white.

    ``open_picture`` made grey by ``to_grey``, then stretched to 48 x 48 (antialiased). A grey 8-bit picture
    of 48 x 48 stays as it is, bit for bit.

    Raises UserError as ``open_picture``.
    """
    return to_face(to_grey(open_picture(path)))


def open_picture(
    source: str | os.PathLike | BinaryIO, *, name: str | None = None, formats: Sequence[str] | None = None
) -> Image.Image:
    """A picture in grey or colour (modes L and RGB), turned as its EXIF data says.

    Transparent parts are over black, 16 bits are scaled to 8. Of an animation, the first frame.

    Args:
      source: a path, or the file's bytes.
      name: for the message; the path if None.
      formats: Pillow's names of those accepted; all that it knows if None.

    Raises:
      UserError: the file is missing, no picture, damaged or suspiciously large.
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
    """Mode L of a picture of mode L or RGB: by ITU-R 601-2's weights of the colours."""
    return picture.convert("L")


def to_face(grey: Image.Image, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """The part ``box`` (left, top, right, bottom) of a grey picture, or all of it, as uint8 (48, 48)."""
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
    """All picture files at any depth below ``folder``, sorted; told by ``SUFFIXES``, hidden ones left out.

    Raises UserError if a folder cannot be listed.
    """
    found = []
    try:
        for parent, folders, files in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(parent, name) for name in files if _is_picture(name)]
    except OSError as error:
        raise UserError(
            f"{folder}: {os_reason(error)}; a readable folder of pictures was expected"
        ) from error
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def read_unlabelled(path: str | os.PathLike) -> Faces:
    """One picture, or all pictures at any depth in a folder; ids are their paths, labels None.

    Raises UserError if there is no picture, or one cannot be read.
    """
    return _read_all(picture_paths(path), labels=None)


def picture_paths(path: str | os.PathLike) -> list[Path]:
    """The picture itself, or all pictures at any depth in a folder. Raises UserError if it has none."""
    return _some_pictures(path) if os.path.isdir(path) else [Path(path)]


def read_folder(root: str | os.PathLike) -> dict[str, Faces]:
    """Labelled faces from folders named after the seven classes; ids are the paths of the pictures.

    The class folders are in ``root`` itself (one part, ``all``), or in ``train/``, ``test/`` and
    ``validation/`` (or ``val/``, ``valid/``) there (parts ``train``, ``test``, ``validation``). Names of
    folders are compared without case; ``happiness``, ``sadness`` and their like are understood too.

    FER2013 is often passed on as ``train/`` and ``test/`` alone, where ``test/`` holds both of the
    published held-out sets. Their names tell them apart: without a validation folder, ``PublicTest_*``
    goes to ``validation``, and the rest of ``test/`` (``PrivateTest_*``) stays there.

    Raises UserError for a folder that is no class, a class without pictures or a broken picture.
    """
    labelled = defaultdict(list)  # of (label, path), by part
    folders = _folders(root)
    if any(folder.name.lower() in _SPLIT_OF for folder in folders):
        for folder in folders:
            part = _SPLIT_OF.get(folder.name.lower())
            if part is None:
                raise UserError(f"{folder}: no split; beside train/, only test/ and validation/ are expected")
            labelled[part] += _labelled_pictures(folder)
        if "validation" not in labelled:
            _part_public_from_private(labelled)
    else:
        labelled["all"] = _labelled_pictures(root)
    return {
        part: _read_all([path for _, path in pairs], np.array([label for label, _ in pairs], np.int32))
        for part, pairs in labelled.items()
        if pairs
    }


def _part_public_from_private(labelled: dict[str, list[tuple[int, Path]]]) -> None:
    held_out = labelled.pop("test", [])
    for label, path in held_out:
        part = "validation" if path.name.startswith("PublicTest_") else "test"
        labelled[part].append((label, path))


def _labelled_pictures(folder: str | os.PathLike) -> list[tuple[int, Path]]:
    """(label, path) of all pictures in the class folders of ``folder``, sorted."""
    classes = _folders(folder)
    if not classes:
        raise UserError(
            f"{folder}: no folders; one folder of pictures per class was expected: {', '.join(LABELS)}"
        )
    return sorted((_label_of(c), path) for c in classes for path in _some_pictures(c))


def _label_of(folder: Path) -> int:
    name = folder.name.lower()
    name = _SYNONYMS.get(name, name)
    if name not in LABELS:
        raise UserError(
            f"{folder}: {folder.name!r} is not a class; expected folders named {', '.join(LABELS)}"
        )
    return LABELS.index(name)


def _folders(root: str | os.PathLike) -> list[Path]:
    """The folders in ``root``, sorted, hidden ones left out."""
    try:
        return sorted(p for p in Path(root).iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise UserError(f"{root}: {os_reason(error)}; a readable folder was expected") from error


def _some_pictures(folder: str | os.PathLike) -> list[Path]:
    paths = list_pictures(folder)
    if not paths:
        raise UserError(f"{folder}: no pictures; expected files that end in {', '.join(SUFFIXES)}")
    return paths


def _read_all(paths: list[Path], labels: np.ndarray | None) -> Faces:
    images = np.stack([read_picture(path) for path in paths])
    return Faces(images[..., np.newaxis], labels, np.array([str(path) for path in paths]))
