"""Find and load the faces that ``--input`` names: those of a CSV file, a picture, a video or a folder."""

import contextlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.data import photos
from fer_jax.data.faces import Faces
from fer_jax.data.find_pictures import Found, Other, describe, find_pictures, require_pictures
from fer_jax.data.kinds import FOREIGN, HEIC, PICTURE, SUFFIXES, TO_READ_HEIC, VIDEO, VIDEO_SUFFIXES, kind_of
from fer_jax.data.meaning import known_labels
from fer_jax.data.read_table import read_table
from fer_jax.errors import UserError
from fer_jax.labels import LABELS, SIDE
from fer_jax.runtime.words import number_of


def load_unlabelled(
    path: str | os.PathLike,
    *,
    most: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    detector: str = "",
    whole: bool = False,
    known: Sequence[str] = LABELS,
    classes: str = "",
) -> Faces:
    """Load faces to look at: those of a file of ``read_table``, of a picture or of a folder of pictures.

    Args:
      path: see ``find_input``. Pictures are read by ``photos.read_photos``; ids are their paths.
      most: of faces without labels, load no more than this.
      say: takes lines to print: what is odd, and what is left out.
      detector, whole: see ``photos.faces_of``.
      known, classes: names of the network's classes, and what numbers mean; see ``known_labels``.

    Returns:
      The faces; labels are None unless a file has them. Faces of classes that are not known are left out.

    Raises UserError if it cannot be read, or has no faces.
    """
    found = find_input(path)
    if found is None:
        return _faces_of_table(str(path), most, say, {"known": known, "classes": classes})
    for line in describe(found.others):
        say(f"left out: {line}")
    images, ids = [np.zeros((0, SIDE, SIDE, 1), np.uint8)], []
    for photo in photos.read_photos(found.paths, detector=detector, whole=whole):
        if isinstance(photo, UserError):
            if len(found.paths) == 1:
                raise photo
            say(f"left out: {photo}")
            continue
        for remark in photo.remarks:
            say(f"1 picture {remark}: {photo.name}")
        images.append(photo.faces)
        ids += [photo.name] * len(photo.faces)
        if most is not None and len(ids) >= most:
            break
    if not ids:
        raise UserError(f"{path}: no face found in {number_of(len(found.paths), 'picture')}")
    return Faces(np.concatenate(images), None, np.array(ids)).take(slice(most))


def _faces_of_table(
    path: str, most: int | None, say: Callable[[str], None], meaning: Mapping[str, Any]
) -> Faces:
    """The faces of a file with rows, labelled by the classes of a network; see ``known_labels``."""
    table = read_table(path, require_labels=False)
    if table.faces.labels is None:
        return table.faces.take(slice(most))
    labels = known_labels(path, table, **meaning)
    unknown = labels < 0
    if unknown.all():
        say(f"the labels of {path} are none of the network's classes; they are not used")
        return table.faces.labelled(None).take(slice(most))
    if unknown.any():
        count = number_of(int(unknown.sum()), "face")
        say(f"left out: {count} of {path} with labels that the network does not know")
    return table.faces.labelled(labels).take(~unknown)


def find_input(path: str | os.PathLike, *, videos: bool = False) -> Found | None:
    """The pictures that ``--input`` names, itself one or a folder of them; None if it is a CSV file.

    With ``videos``, it may also be a video or have some: see ``Found.videos``.

    A file is a picture by its content or its name. What is not a plain file, as a pipe, is read as CSV unless
    it is named as a picture.

    Raises:
      UserError: a folder without pictures or that cannot be listed, a video unless they are wanted, or a
        picture of a kind that cannot be read.
    """
    if os.path.isdir(path):
        found = find_pictures(path)
        if not (videos and found.videos()):
            require_pictures(path, found)
        return found
    name = os.fspath(path).lower()
    named_picture = name.endswith(SUFFIXES)
    # Whoever reads it says what is wrong with it.
    kind = PICTURE if named_picture else VIDEO if videos and name.endswith(VIDEO_SUFFIXES) else None
    with contextlib.suppress(OSError):
        if not named_picture and stat.S_ISREG(os.stat(path).st_mode):
            kind = kind_of(path)
    if kind == VIDEO and videos:
        return Found([], [Other(Path(path), VIDEO, Path(path).suffix.lower())])
    if kind == VIDEO:
        raise UserError(f"{path}: is a video; a picture, a folder of pictures or a CSV file was expected")
    if kind == HEIC:
        raise UserError(f"{path}: is a HEIC picture; to read HEIC: {TO_READ_HEIC}; or save it as JPEG")
    if kind == FOREIGN:
        raise UserError(f"{path}: a kind of picture that cannot be read here; save it as JPEG first")
    return Found([Path(path)], []) if kind == PICTURE else None
