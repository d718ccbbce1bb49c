"""Pictures in one folder for each class, with or without folders of splits above them."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fer_jax.data.find_pictures import CLOSED, Other, find_pictures, look_into
from fer_jax.data.layouts.names import class_in, has_pictures, is_known, subfolders
from fer_jax.data.layouts.samples import Found, Options, Sample
from fer_jax.data.parts import part_of
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.runtime.words import number_of

_EXPECTED = f"one folder of pictures for each class, named {', '.join(LABELS)} or as your own classes are"


def recognizes(folder: Path) -> bool:
    """Whether the folders in ``folder``, or those in its splits, are classes."""
    inside = subfolders(folder)
    if any(part_of(path.name) for path in inside):
        return any(_has_classes(_below(path)) for path in inside if part_of(path.name))
    return _has_classes(folder)


def _has_classes(folder: Path) -> bool:
    """Whether folders are named after expressions or numbers, or two folders have pictures in themselves."""
    inside = _listed(folder)
    if any(is_known(path.name) and not _is_empty(path) for path in inside):
        return True
    return sum(has_pictures(path) for path in inside[:100]) >= 2


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False  # to be refused by name when it is read


def _listed(folder: Path) -> list[Path]:
    """The folders in a folder; none if it cannot be listed."""
    try:
        return subfolders(folder)
    except UserError:
        return []


def _below(folder: Path) -> Path:
    """The folder itself, or the one in it that has all: ``train/images/`` for ``train/``."""
    for _ in range(2):
        inside = _listed(folder)
        if len(inside) != 1 or is_known(inside[0].name) or has_pictures(inside[0]):
            break
        folder = inside[0]
    return folder


def read(root: Path, options: Options) -> Found:
    """List the pictures of the class folders in ``root`` itself, or in its splits.

    FER2013 is often passed on as ``train/`` and ``test/``, where ``test/`` holds both published held-out
    sets. Without a validation folder, pictures of ``test/`` named ``PublicTest_*`` go to ``validation``,
    and the others (``PrivateTest_*``) stay in ``test``.

    Raises UserError for folders without classes, and for one beside the splits that has other pictures.
    """
    samples: dict[str, list[Sample]] = defaultdict(list)
    walk = _Walk()
    folders, beside = look_into(root)
    kind = "pictures in folders by class"
    if any(part_of(folder.name) for folder in folders):
        walk.others += beside
        for folder in folders:
            if (part := part_of(folder.name)) is None:
                walk.pass_over(folder)
                continue
            samples[part] += walk.classes_of(_below(folder), is_needed=part == "train")
            walk.folders_of[part].append(folder)
        if "validation" not in samples:
            for sample in samples.pop("test", []):
                part = "validation" if sample.path.name.startswith("PublicTest_") else "test"
                samples[part].append(sample)
            kind = "FER2013 in folders by class" if samples.get("validation") else kind
    else:
        samples["all"] = walk.classes_of(root, is_needed=True)
    return Found(kind, dict(samples), (*_merged(walk.folders_of), *walk.notes), tuple(walk.others))


class _Walk:
    """Lists folders, and gathers what is found beside the pictures."""

    def __init__(self) -> None:
        self.folders_of: dict[str, list[Path]] = defaultdict(list)
        self.notes: list[str] = []
        self.others: list[Other] = []

    def classes_of(self, folder: Path, *, is_needed: bool) -> list[Sample]:
        """List the pictures of the classes in ``folder``. Raises UserError if it needs some and has none."""
        classes, beside = look_into(folder)
        self.others += beside
        if not classes and is_needed:
            raise UserError(f"{folder}: no folders; expected {_EXPECTED}")
        samples = []
        for path in classes:
            found = find_pictures(path)
            self.others += found.others
            if not found.paths:
                if not any(other.why == CLOSED for other in found.others):
                    self.notes.append(f"passed over: {path}/ has no pictures")
                continue
            self.folders_of[f"{class_in(path.name)} in {folder}"].append(path)
            samples += [Sample(path.name, picture) for picture in found.paths]
        if not samples and not is_needed:
            self.notes.append(f"passed over: {folder}/ has no pictures in folders by class")
        return samples

    def pass_over(self, folder: Path) -> None:
        """Note a folder beside the splits. Raises UserError if it has pictures and is no copy of them."""
        if any(part_of(path.name) for path in _listed(folder)):
            self.notes.append(f"passed over: {folder}/, which has splits of its own")
        elif found := find_pictures(folder).paths:
            has = number_of(len(found), "picture")
            raise UserError(
                f"{folder}: not a split, and has {has}; expected only train/, validation/ and test/ here"
            )
        else:
            self.notes.append(f"passed over: {folder}/ has no pictures")


def _merged(folders_of: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """Make a line for each split or class that several folders are taken for."""
    for name, folders in folders_of.items():
        if len(folders) > 1:
            yield f"{' and '.join(f'{folder}/' for folder in folders)} are taken together as {name}"


def refuse(root: str | os.PathLike) -> UserError:
    """Say what is missing in a folder that is no data set."""
    inside = subfolders(root)
    if not inside:
        return UserError(f"{root}: no folders; expected {_EXPECTED}")
    for folder in inside:
        if part_of(folder.name) and not subfolders(folder):
            return UserError(f"{folder}: no folders; expected {_EXPECTED}")
    names = ", ".join(f"{path.name}/" for path in inside[:5])
    return UserError(f"{root}: no pictures by class in {names}; expected {_EXPECTED}; see docs/data.md")
