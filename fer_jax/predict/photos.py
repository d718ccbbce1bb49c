"""``--mode=predict`` on pictures: a row for each face in them, and the pictures with their faces marked."""

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fer_jax.data import photos
from fer_jax.data.compressed import replacing
from fer_jax.data.read_pictures import open_picture, picture_paths
from fer_jax.errors import UserError
from fer_jax.labels import LABELS, NUM_CLASSES
from fer_jax.predict.table import table
from fer_jax.runtime import files as workdir
from fer_jax.runtime.progress import counted

_AT_ONCE = 8
"""Pictures in memory at a time: one of a phone takes 40 MB."""

Predict = Callable[[np.ndarray], np.ndarray]


class _Photo(NamedTuple):
    """A picture, its faces uint8 (N, 48, 48, 1), and their places in it."""

    path: Path
    picture: Image.Image
    boxes: list[photos.Box]
    faces: np.ndarray


class _Result(NamedTuple):
    """What is kept of a picture: ``boxes`` in whole pixels, ``chances`` (N, 7)."""

    path: Path
    boxes: list[tuple[int, int, int, int]]
    chances: np.ndarray
    is_photo: bool


def predict_photos(source: str, predict: Predict, output: Path, *, with_probabilities: bool) -> None:
    """Writes ``id,label`` and, of faces found in photos, ``x,y,width,height`` to ``output``, atomically.

    A picture of 48 x 48 is a face. In any other faces are looked for, and the picture with its faces
    framed and named goes to the folder ``OUT_pictures`` beside ``OUT.csv``. Pictures that cannot be read
    are named, and the others done all the same.

    Args:
      source: a picture, or a folder of pictures at any depth.
      predict: faces uint8 (N, 48, 48, 1) -> probabilities (N, 7).
      output: the CSV file to write.
      with_probabilities: add one column a label.

    Raises:
      UserError: no picture there, or only where the marked ones go, OpenCV is needed and not installed, or
        pictures could not be read.
    """
    folder = output.with_name(f"{output.stem}_pictures")
    paths = _paths(source, marked=folder)
    root = Path(source) if Path(source).is_dir() else Path(source).parent
    started = time.monotonic()
    unread: list[UserError] = []
    results: list[_Result] = []
    taken: set[Path] = set()
    for group in _groups(_read(counted(paths, unit="picture"), unread), _AT_ONCE):
        for photo, result in zip(group, _predict_group(group, predict), strict=True):
            results.append(result)
            if result.is_photo:
                names = [describe(chances) for chances in result.chances]
                target = _free_name(folder / photo.path.relative_to(root), taken)
                _save_jpeg(photos.annotate(photo.picture, photo.boxes, names), target)
    if not results:
        raise UserError(str(unread[0]) if len(unread) == 1 else f"{source}: none of its pictures can be read")
    workdir.write_text(output, _table(results, with_probabilities=with_probabilities))
    _report(results, output, folder, seconds=time.monotonic() - started)
    if unread:
        raise UserError(
            f"{source}: {len(unread):,} of {len(paths):,} pictures cannot be read; the others are in {output}"
        )


def describe(chances: np.ndarray) -> str:
    """The likeliest expression of probabilities (7,), for people: ``happy 93 %``."""
    return f"{LABELS[int(chances.argmax())]} {100 * chances.max():.0f} %"


def _paths(source: str, *, marked: Path) -> list[Path]:
    """The pictures of ``source`` but for those in ``marked``: earlier copies, or what would be replaced."""
    found = picture_paths(source)
    places = (path.parent.resolve() for path in found)
    inside = [marked.resolve() in (place, *place.parents) for place in places]
    if all(inside):
        raise UserError(
            f"{source}: its pictures are in {marked}/, where those with marked faces would be written; "
            "give --output another name"
        )
    if any(inside):
        print(f"left out: {_count(sum(inside), 'picture')} in {marked}/, where those with marked faces go")
    return [path for path, is_inside in zip(found, inside, strict=True) if not is_inside]


def _read(paths: Iterable[Path], unread: list[UserError]) -> Iterator[_Photo]:
    """Each picture with its faces; those that cannot be read are told of and added to ``unread``."""
    for path in paths:
        try:
            picture = open_picture(path)
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            unread.append(error)
        else:
            yield _Photo(path, picture, *photos.faces_of(picture))


def _groups(read: Iterator[_Photo], size: int) -> Iterator[list[_Photo]]:
    while group := list(itertools.islice(read, size)):
        yield group


def _predict_group(group: list[_Photo], predict: Predict) -> list[_Result]:
    """All faces of a few pictures at once."""
    chances = predict(np.concatenate([photo.faces for photo in group]))
    parts = np.split(chances, np.cumsum([len(photo.faces) for photo in group])[:-1])
    return [
        _Result(
            photo.path,
            [photos.whole_pixels(box, photo.picture.size) for box in photo.boxes],
            part,
            not photos.is_face(photo.picture),
        )
        for photo, part in zip(group, parts, strict=True)
    ]


def _table(results: list[_Result], *, with_probabilities: bool) -> str:
    boxes = [box for result in results for box in result.boxes]
    return table(
        [str(result.path) for result in results for _ in result.boxes],
        np.concatenate([np.zeros((0, NUM_CLASSES)), *(result.chances for result in results)]),
        with_probabilities=with_probabilities,
        # Where all pictures are faces, they have no place in a larger one.
        boxes=boxes if any(result.is_photo for result in results) else None,
    )


def _free_name(target: Path, taken: set[Path]) -> Path:
    """``target``, a JPEG file's name, and not one of ``taken``, to which it is added."""
    if target.suffix.lower() not in (".jpg", ".jpeg"):
        target = target.with_name(f"{target.name}.jpg")
    others = (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in itertools.count(2))
    free = next(name for name in itertools.chain([target], others) if name not in taken)
    taken.add(free)
    return free


def _save_jpeg(picture: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        picture.save(temporary, format="jpeg", quality=92)


def _report(results: list[_Result], output: Path, folder: Path, *, seconds: float) -> None:
    faces = sum(len(result.boxes) for result in results)
    marked = sum(result.is_photo for result in results)
    without = [str(result.path) for result in results if not result.boxes]
    rate = len(results) / seconds
    print(f"{_count(faces, 'face')} in {_count(len(results), 'picture')}, {rate:,.1f} pictures/s")
    if without:
        some = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        print(f"no face found in {len(without):,} of them: {some}")
    print(f"written: {output}, {faces:,} rows")
    if marked:
        print(f"written: {folder}/, {_count(marked, 'picture')} with faces marked")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")
