"""Read a data set of pictures in folders, in any of the layouts of ``fer_jax.data.layouts``."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_jax.data.faces import Faces, Source
from fer_jax.data.find_pictures import CLOSED, Other, describe
from fer_jax.data.layouts.classes import Classes, describe_classes, number_classes
from fer_jax.data.layouts.samples import Found, Options, Sample
from fer_jax.data.layouts.sniff import locate
from fer_jax.data.read_pictures import MarkedCopy, load_picture, to_face, to_grey
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.progress import counted
from fer_jax.runtime.words import number_of, some

_NAMES = {"train": "training", "validation": "validation", "test": "test", "all": "faces"}


def read_picture_set(
    root: str | os.PathLike, *, skip_broken: bool = False, classes: str = "", vote_target: str = "majority"
) -> Source:
    """Read labelled faces from pictures in folders; ids are the paths of the pictures.

    ``layouts.sniff`` lists the layouts. The data set may lie up to two folders below ``root``.

    Args:
      root: the folder.
      skip_broken: whether pictures that cannot be read, and folders that cannot be listed, are left out.
      classes: see ``layouts.classes.number_classes``.
      vote_target: what training learns where the layout has votes; see ``votes.decide``.

    Raises UserError for a folder that is no data set, a broken picture, or classes that do not fit.
    """
    layout, folder = locate(root)
    found = layout.read(folder, Options(skip_broken, vote_target))
    if not skip_broken:
        _refuse_closed(found.others)
    names = Counter(sample.name for samples in found.samples.values() for sample in samples)
    if not names:
        raise UserError(f"{folder}: no pictures ({'; '.join(describe(found.others)) or 'all are left out'})")
    numbered = _number(found, names, classes, str(folder))
    reader = PictureReader(skip_broken)
    parts = {}
    for part in _NAMES:
        chosen = [sample for sample in found.samples.get(part, []) if sample.name in numbered.index_of]
        if chosen:
            parts[part] = reader.faces_of(folder, chosen, numbered.index_of)
    above = () if Path(folder) == Path(root) else (f"{root}: the data set is in {folder}",)
    left_out = _left_out_classes(names, numbered)
    notes = (*above, *found.notes, *numbered.notes, *left_out, *_left_out(found.others), *reader.notes())
    summary = f"{found.kind}: {_sizes(parts)}, {describe_classes(numbered.labels)}"
    return Source(parts, numbered.labels, notes, summary, numbered.numbers)


def _number(found: Found, names: Mapping[str, int], classes: str, source: str) -> Classes:
    """Number the classes of what was found. Raises UserError if ``classes`` does not fit."""
    if found.labels is not None and not classes:
        return Classes(found.labels, {name: found.labels.index(name) for name in names})
    if any(sample.target is not None for samples in found.samples.values() for sample in samples):
        raise UserError(
            f"config.classes: {source} has votes for eight classes, and training is to learn them; "
            "leave it out, or set config.vote_target=majority"
        )
    return number_classes(names, classes, source=source)


def _sizes(parts: Mapping[str, Faces]) -> str:
    return ", ".join(f"{len(faces):,} {_NAMES[part]}" for part, faces in parts.items())


def _left_out_classes(names: Mapping[str, int], numbered: Classes) -> list[str]:
    """Make a line of the classes that ``config.classes`` does not name, if there are some."""
    out = [f"{count:,} of {name}" for name, count in sorted(names.items()) if name not in numbered.index_of]
    return (
        [f"left out: pictures of classes that config.classes does not name: {', '.join(out)}"] if out else []
    )


def _refuse_closed(others: Sequence[Other]) -> None:
    for other in others:
        if other.why == CLOSED:
            raise UserError(
                f"{other.path}: {other.kind}; a readable folder of pictures was expected; to leave such "
                "folders and pictures out: --config.skip_broken=True"
            )


def _left_out(others: Sequence[Other]) -> list[str]:
    return [f"left out: {line}" for line in describe(others)]


class PictureReader:
    """Reads pictures, and notes by reason which were odd or left out."""

    def __init__(self, skip_broken: bool) -> None:
        self._skip_broken = skip_broken
        self._odd: dict[str, list[str]] = defaultdict(list)
        self._broken: list[str] = []
        self._marked: list[str] = []

    def faces_of(
        self, root: str | os.PathLike, samples: Sequence[Sample], index_of: Mapping[str, int]
    ) -> Faces:
        """Read pictures, sorted by label and path. Raises UserError if one is broken, or none is left.

        Args:
          root: the data set, for messages.
          samples: the pictures. All have a target, or none has.
          index_of: name of a class -> its label.
        """
        images, kept = [], []
        for sample in counted(
            sorted(samples, key=lambda s: (index_of[s.name], s.path, s.box or ())), unit="picture"
        ):
            if (image := self.read(sample.path, sample.box)) is not None:
                images.append(image)
                kept.append(sample)
        if not images:
            raise UserError(
                f"{root}: none of {number_of(len(samples), 'picture')} can be read; {self._first()}"
            )
        return Faces(
            np.stack(images).reshape(-1, SIDE, SIDE, 1),
            np.array([index_of[sample.name] for sample in kept], np.int32),
            np.array([str(sample.path) for sample in kept]),
            None if kept[0].target is None else np.stack([sample.target for sample in kept]),
        )

    def read(self, path: Path, box: tuple[float, float, float, float] | None = None) -> np.ndarray | None:
        """Read a picture, or the part ``box`` of it (left, top, right, bottom in pixels), as uint8 (48, 48).

        Returns None if it is left out. Raises UserError if it is broken.
        """
        try:
            opened = load_picture(path)
            part = _box_in(opened.picture.size, opened.size, box, path)
        except MarkedCopy:
            self._marked.append(str(path))
        except UserError as error:
            if not self._skip_broken:
                raise UserError(f"{error}; to leave such pictures out: --config.skip_broken=True") from error
            self._broken.append(str(error))
        else:
            for remark in opened.remarks:
                self._odd[remark].append(str(path))
            return to_face(to_grey(opened.picture), part)
        return None

    def _first(self) -> str:
        return (self._broken or [f"{self._marked[0]} was written by fer_jax"])[0]

    def notes(self) -> list[str]:
        """Lines on what was odd or left out so far."""
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


def _box_in(
    decoded: tuple[int, int],
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None,
    path: Path,
) -> tuple[float, float, float, float] | None:
    """The part of a box that is in the picture, in pixels as decoded. Raises UserError if none is.

    ``size`` is width and height in the file, ``decoded`` those in memory. A box of the whole picture is None,
    so that faces of 48 x 48 stay as they are.
    """
    if box is None:
        return None
    (width, height), (left, top, right, bottom) = size, box
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if not (left < right and top < bottom):
        raise UserError(f"{path}: the box {box} is outside of its {width} x {height} pixels")
    if (left, top, right, bottom) == (0, 0, width, height):
        return None
    across, down = decoded[0] / width, decoded[1] / height
    return left * across, top * down, right * across, bottom * down
