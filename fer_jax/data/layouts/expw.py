"""ExpW, faces in the wild: a list of boxes and labels beside the pictures (Zhang et al., 2018)."""

import math
import os
from pathlib import Path

from fer_jax.data.class_names import NUMBERINGS
from fer_jax.data.layouts.samples import Found, Options, Sample
from fer_jax.data.layouts.text import numbered_lines, safe_path, shown
from fer_jax.errors import UserError

_LISTS = ("label.lst", "label/label.lst")
_FOLDERS = ("image/origin", "image", "images", "origin")
_EXPECTED = (
    "expected 'name.jpg face_id top left right bottom confidence label', numbers in pixels, label 0 to 6"
)


def recognizes(folder: Path) -> bool:
    """Whether ``label.lst`` is there."""
    return any((folder / name).is_file() for name in _LISTS)


def read(root: Path, options: Options) -> Found:
    """List the faces by their boxes. Raises UserError for a line that is none, or without the pictures."""
    listed = next(root / name for name in _LISTS if (root / name).is_file())
    samples, folder = [], None
    for number, line in numbered_lines(listed):
        where = f"{listed}, line {number}"
        name, box, label = _parse(line, where)
        folder = folder or _folder_of(root, name, listed)
        samples.append(Sample(NUMBERINGS["fer2013"][label], safe_path(folder, name, where), box))
    return Found("ExpW folders", {"all": samples})


def _parse(line: str, where: str) -> tuple[str, tuple[float, float, float, float], int]:
    """The picture, the box (left, top, right, bottom) and the label of a line."""
    fields = line.split()
    try:
        name, (_, top, left, right, bottom, _, label) = fields[0], map(float, fields[1:])
        if label not in NUMBERINGS["fer2013"] or not all(map(math.isfinite, (top, left, right, bottom))):
            raise ValueError
    except ValueError as error:
        raise UserError(f"{where}: {shown(line)}; {_EXPECTED}") from error
    if not (left < right and top < bottom):
        raise UserError(f"{where}: the box has no area; {_EXPECTED}")
    return name, (left, top, right, bottom), int(label)


def _folder_of(root: Path, name: str, listed: Path) -> Path:
    """The folder that has the first picture of the list."""
    for folder in _FOLDERS:
        if os.path.isfile(root / folder / name):
            return root / folder
    raise UserError(f"{listed}: its first picture, {name}, is not in {root}; expected image/{name}")
