"""Read a data set of pictures in one folder per class."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_jax.data.faces import Faces
from fer_jax.data.find_pictures import CLOSED, Other, describe, find_pictures, look_into, require_pictures
from fer_jax.data.read_pictures import MarkedCopy, load_picture, to_face, to_grey
from fer_jax.errors import UserError
from fer_jax.labels import LABELS, SIDE
from fer_jax.runtime.words import number_of, some

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


class PictureSet(NamedTuple):
    """The faces of each part that has some, and lines that say what was left out or odd."""

    parts: dict[str, Faces]
    notes: tuple[str, ...]


def read_picture_set(root: str | os.PathLike, *, skip_broken: bool = False) -> PictureSet:
    """Read labelled faces from folders named after the seven classes; ids are the paths of the pictures.

    The class folders are in ``root`` itself (one part, ``all``), or in its ``train/``, ``test/`` and
    ``validation/`` (or ``val/``, ``valid/``; parts ``train``, ``test``, ``validation``). Names of folders
    are compared without case. ``happiness``, ``sadness`` and other synonyms are accepted.

    FER2013 is often passed on as ``train/`` and ``test/``, where ``test/`` holds both published held-out
    sets. Without a validation folder, pictures of ``test/`` named ``PublicTest_*`` go to ``validation``,
    and the others (``PrivateTest_*``) stay in ``test``.

    Args:
      root: the folder.
      skip_broken: whether pictures that cannot be read, and folders that cannot be listed, are left out.

    Raises UserError for a folder that is not a class, a class without pictures or a broken picture.
    """
    labelled, others = defaultdict(list), []  # of (label, path), by part
    folders, beside = look_into(root)
    folders_of = defaultdict(list)
    if any(folder.name.lower() in SPLIT_OF for folder in folders):
        others += beside
        for folder in folders:
            if folder.name.lower() not in SPLIT_OF:
                raise UserError(f"{folder}: not a split; expected only train/, test/ and validation/")
            labelled[SPLIT_OF[folder.name.lower()]] += _labelled_pictures(folder, folders_of, others)
            folders_of[SPLIT_OF[folder.name.lower()]].append(folder)
        if "validation" not in labelled:
            for label, path in labelled.pop("test", []):
                part = "validation" if path.name.startswith("PublicTest_") else "test"
                labelled[part].append((label, path))
    else:
        labelled["all"] = _labelled_pictures(root, folders_of, others)
    if not skip_broken:
        _refuse_closed(others)
    reader = PictureReader(skip_broken)
    parts = {part: reader.faces_of(root, pairs) for part, pairs in labelled.items() if pairs}
    return PictureSet(parts, (*_merged(folders_of), *_left_out(others), *reader.notes()))


def _labelled_pictures(
    folder: str | os.PathLike, folders_of: dict[str, list[Path]], others: list[Other]
) -> list[tuple[int, Path]]:
    """List (label, path) of all pictures in the class folders of ``folder``, sorted.

    Add the folders of each class to ``folders_of``, and what is not taken to ``others``.
    """
    classes, beside = look_into(folder)
    if not classes:
        raise UserError(f"{folder}: no folders; expected one of pictures per class: {', '.join(LABELS)}")
    others += beside
    pairs = []
    for path in classes:
        label, found = _label_of(path), find_pictures(path)
        require_pictures(path, found)
        others += found.others
        folders_of[f"{LABELS[label]} in {folder}"].append(path)
        pairs += [(label, picture) for picture in found.paths]
    return sorted(pairs)


def _label_of(folder: Path) -> int:
    name = _SYNONYMS.get(folder.name.lower(), folder.name.lower())
    if name not in LABELS:
        raise UserError(f"{folder}: {folder.name!r} is not a class; expected {', '.join(LABELS)}")
    return LABELS.index(name)


def _refuse_closed(others: Sequence[Other]) -> None:
    for other in others:
        if other.why == CLOSED:
            raise UserError(
                f"{other.path}: {other.kind}; a readable folder of pictures was expected; to leave such "
                "folders and pictures out: --config.skip_broken=True"
            )


def _merged(folders_of: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """Make a line for each split or class that several folders are taken for."""
    for name, folders in folders_of.items():
        if len(folders) > 1:
            yield f"{' and '.join(f'{folder}/' for folder in folders)} are taken together as {name}"


def _left_out(others: Sequence[Other]) -> list[str]:
    return [f"left out: {line}" for line in describe(others)]


class PictureReader:
    """Reads pictures, and notes by reason which were odd or left out."""

    def __init__(self, skip_broken: bool) -> None:
        self._skip_broken = skip_broken
        self._odd: dict[str, list[str]] = defaultdict(list)
        self._broken: list[str] = []
        self._marked: list[str] = []

    def faces_of(self, root: str | os.PathLike, pairs: Sequence[tuple[int, Path]]) -> Faces:
        """Read the pictures of (label, path). Raises UserError if one is broken, or none is left."""
        images, labels, ids = [], [], []
        for label, path in pairs:
            if (image := self.read(path)) is not None:
                images.append(image)
                labels.append(label)
                ids.append(str(path))
        if not images:
            raise UserError(
                f"{root}: none of {number_of(len(pairs), 'picture')} can be read; {self._first()}"
            )
        stacked = np.stack(images).reshape(-1, SIDE, SIDE, 1)
        return Faces(stacked, np.array(labels, np.int32), np.array(ids))

    def read(self, path: Path) -> np.ndarray | None:
        """Read a picture as uint8 (48, 48); None if it is left out. Raises UserError if it is broken."""
        try:
            opened = load_picture(path)
        except MarkedCopy:
            self._marked.append(str(path))
        except UserError as error:
            if not self._skip_broken:
                raise UserError(f"{error}; to leave such pictures out: --config.skip_broken=True") from error
            self._broken.append(str(error))
        else:
            for remark in opened.remarks:
                self._odd[remark].append(str(path))
            return to_face(to_grey(opened.picture))
        return None

    def _first(self) -> str:
        return (self._broken or [f"{self._marked[0]} was written by fer_jax"])[0]

    def notes(self) -> list[str]:
        notes = []
        for remark, paths in self._odd.items():
            notes.append(f"{number_of(len(paths), 'picture')} {remark}: {some(paths)}")
        if self._marked:
            count = number_of(len(self._marked), "picture")
            notes.append(f"left out: {count} that fer_jax has written: {some(self._marked)}")
        if self._broken:
            count = number_of(len(self._broken), "picture")
            notes.append(f"left out: {count} that cannot be read: {some(self._broken)}")
        return notes
