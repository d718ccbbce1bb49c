"""Copies of photos with their faces marked, which predict writes beside its table."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from fer_jax.data import photos
from fer_jax.predict.rows import name_with
from fer_jax.runtime import signals
from fer_jax.runtime.files import replacing
from fer_jax.runtime.marks import MARK, is_our_video, is_ours
from fer_jax.runtime.words import number_of

_SUFFIXES = (".jpg", ".jpeg")
VIDEO_COPIES = (".webm", ".png")
"""Suffixes of a video's copy and its timeline."""


def folder_of_copies(output: Path) -> Path:
    """``OUT_pictures`` beside ``OUT.csv``."""
    return output.with_name(name_with(output.stem, "_pictures"))


class Copies:
    """The copies of one command.

    Attributes:
      folder: where they go; None for no copies.
      wanted: how many photos with faces there were.
    """

    def __init__(self, folder: Path | None, source: Path, taken: Iterable[str]) -> None:
        """``source``: the photo, or the folder of photos; ``taken``: names of copies that are written."""
        self.folder, self.wanted = folder, 0
        self._root = source if source.is_dir() else source.parent
        self._taken = set(taken)
        self._new: list[str] = []

    def write(self, photo: photos.Photo, names: Sequence[str]) -> None:
        """Write a copy of a photo with a frame around each face and its name above."""
        self.wanted += 1
        if self.folder is None:
            return
        relative = self._free_name(Path(photo.name).relative_to(self._root))
        with signals.held():
            _save_jpeg(photos.annotate(photo.picture, photo.boxes, names), self.folder / relative)
        self._taken.add(str(relative))
        self._new.append(str(relative))

    def _free_name(self, name: Path) -> Path:
        """Make ``name`` that of a JPEG file that is not taken."""
        if name.suffix.lower() not in _SUFFIXES:
            name = name.with_name(f"{name.name}.jpg")
        others = (name.with_stem(f"{name.stem}-{number}") for number in itertools.count(2))
        return next(free for free in itertools.chain([name], others) if str(free) not in self._taken)

    def take_names(self) -> list[str]:
        """Names of the copies, within the folder, that were written since the last call."""
        names, self._new = self._new, []
        return names

    def finish(self, *, beside_videos: bool = False) -> None:
        """Remove the copies of earlier commands that this one has not written, and print what there is.

        Those of videos stay where they are ``beside_videos`` of the same command.
        """
        if self.folder is None:
            if self.wanted:
                print("left out: copies with faces marked, since the output is no plain file")
            return
        remove_copies(self.folder, keep=self._taken, suffixes=_SUFFIXES if beside_videos else None)
        if self._taken:
            count = number_of(len(self._taken), "picture")
            print(f"written: {self.folder}/, {count} with faces marked")


def remove_copies(folder: Path, *, keep: Iterable[str] = (), suffixes: tuple[str, ...] | None = None) -> None:
    """Remove the copies in a folder that fer_jax has written, except those of the names, and print how many.

    Remove also the folder if it is empty then. ``suffixes`` are those of the copies to look at; None for all.
    """
    kept, removed = set(keep), 0
    suffixes = suffixes or (*_SUFFIXES, *VIDEO_COPIES)
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if str(path.relative_to(folder)) not in kept and _is_our_copy(path, suffixes):
            with signals.held():
                path.unlink()
            removed += 1
    if removed:
        print(f"removed: {number_of(removed, 'copy', 'copies')} of an earlier command in {folder}/")
        for place in sorted({folder, *(p for p in folder.rglob("*") if p.is_dir())}, reverse=True):
            if not any(place.iterdir()):
                place.rmdir()


def _is_our_copy(path: Path, suffixes: tuple[str, ...]) -> bool:
    if path.suffix.lower() not in suffixes or not path.is_file():
        return False
    try:
        if path.suffix.lower() == ".webm":
            return is_our_video(path)
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            return is_ours(picture)
    except Exception:  # of a file that is not ours, Pillow raises nearly anything
        return False


def _save_jpeg(picture: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        picture.save(temporary, format="jpeg", quality=92, comment=MARK.encode())
