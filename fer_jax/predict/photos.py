"""``--mode=predict`` on pictures: write a row for each face, and copies of the pictures with faces marked."""

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fer_jax.data import photos
from fer_jax.data.read_pictures import open_picture, picture_paths
from fer_jax.errors import UserError
from fer_jax.labels import LABELS, NUM_CLASSES
from fer_jax.predict.table import predictions_table
from fer_jax.runtime.files import replacing, write_text
from fer_jax.runtime.progress import counted

_AT_ONCE = 8
"""Pictures in memory at a time: one from a phone takes 40 MB."""

Predict = Callable[[np.ndarray], np.ndarray]


class _Photo(NamedTuple):
    """A picture, its faces uint8 (N, 48, 48, 1), and their places in it."""

    path: Path
    picture: Image.Image
    boxes: list[photos.Box]
    faces: np.ndarray


class _Result(NamedTuple):
    """What remains of a picture in memory: ``boxes`` in whole pixels, ``probabilities`` (N, 7)."""

    path: Path
    boxes: list[tuple[int, int, int, int]]
    probabilities: np.ndarray
    is_photo: bool


def predict_photos(source: str, predict: Predict, output: Path, *, with_probabilities: bool) -> None:
    """Write ``id,label`` and, if there are photos, ``x,y,width,height`` to ``output``, atomically.

    A picture of 48 x 48 pixels is a face. Any other is a photo: find the faces in it, and write a copy with
    the faces framed and named to the folder ``OUT_pictures`` beside ``OUT.csv``. Skip pictures that cannot
    be read, and raise UserError at the end.

    Args:
      source: a picture, or a folder of pictures at any depth.
      predict: faces uint8 (N, 48, 48, 1) -> probabilities (N, 7).
      output: the CSV file to write.
      with_probabilities: whether to add a column for each label.

    Raises:
      UserError: no picture there, or only in the folder of the copies; OpenCV is needed and not installed;
        or pictures cannot be read.
    """
    folder = output.with_name(f"{output.stem}_pictures")
    paths = _find_pictures(source, copies=folder)
    root = Path(source) if Path(source).is_dir() else Path(source).parent
    started = time.monotonic()
    unread: list[UserError] = []
    results: list[_Result] = []
    taken: set[Path] = set()
    read = _read(counted(paths, unit="picture"), unread)
    while group := list(itertools.islice(read, _AT_ONCE)):
        for photo, result in zip(group, _predict_group(group, predict), strict=True):
            results.append(result)
            if result.is_photo:
                names = [likeliest(probabilities) for probabilities in result.probabilities]
                target = _free_name(folder / photo.path.relative_to(root), taken)
                _save_jpeg(photos.annotate(photo.picture, photo.boxes, names), target)
    if not results:
        raise UserError(str(unread[0]) if len(unread) == 1 else f"{source}: none of its pictures can be read")
    write_text(output, _table(results, with_probabilities=with_probabilities))
    _print_summary(results, output, folder, seconds=time.monotonic() - started)
    if unread:
        failed = f"{len(unread):,} of {len(paths):,} pictures"
        raise UserError(f"{source}: {failed} cannot be read; the others are in {output}")


def likeliest(probabilities: np.ndarray) -> str:
    """Name and percentage of the likeliest expression of probabilities (7,): ``happy 93 %``."""
    return f"{LABELS[int(probabilities.argmax())]} {100 * probabilities.max():.0f} %"


def _find_pictures(source: str, *, copies: Path) -> list[Path]:
    """List the pictures of ``source`` except those in ``copies``, since this command writes there."""
    found, folder = picture_paths(source), copies.resolve()
    kept = [path for path in found if not path.parent.resolve().is_relative_to(folder)]
    if not kept:
        raise UserError(
            f"{source}: its pictures are in {copies}/, where those with marked faces would be written; "
            "give --output another name"
        )
    if left_out := len(found) - len(kept):
        print(
            f"left out: {_count(left_out, 'picture')} in {copies}/, the folder of pictures with marked faces"
        )
    return kept


def _read(paths: Iterable[Path], unread: list[UserError]) -> Iterator[_Photo]:
    """Yield each picture with its faces; print and append to ``unread`` why one cannot be read."""
    for path in paths:
        try:
            picture = open_picture(path)
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            unread.append(error)
        else:
            yield _Photo(path, picture, *photos.faces_of(picture))


def _predict_group(group: list[_Photo], predict: Predict) -> list[_Result]:
    """Predict all faces of a few pictures at once."""
    probabilities = predict(np.concatenate([photo.faces for photo in group]))
    parts = np.split(probabilities, np.cumsum([len(photo.faces) for photo in group])[:-1])
    results = []
    for photo, part in zip(group, parts, strict=True):
        boxes = [photos.whole_pixels(box, photo.picture.size) for box in photo.boxes]
        results.append(_Result(photo.path, boxes, part, not photos.is_face(photo.picture)))
    return results


def _table(results: list[_Result], *, with_probabilities: bool) -> str:
    boxes = [box for result in results for box in result.boxes]
    return predictions_table(
        [str(result.path) for result in results for _ in result.boxes],
        np.concatenate([np.zeros((0, NUM_CLASSES)), *(result.probabilities for result in results)]),
        with_probabilities=with_probabilities,
        # Pictures that are faces have no place in a larger picture.
        boxes=boxes if any(result.is_photo for result in results) else None,
    )


def _free_name(target: Path, taken: set[Path]) -> Path:
    """Make ``target`` the name of a JPEG file that is not in ``taken``, and add it there."""
    if target.suffix.lower() not in (".jpg", ".jpeg"):
        target = target.with_name(f"{target.name}.jpg")
    others = (target.with_stem(f"{target.stem}-{number}") for number in itertools.count(2))
    free = next(name for name in itertools.chain([target], others) if name not in taken)
    taken.add(free)
    return free


def _save_jpeg(picture: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        picture.save(temporary, format="jpeg", quality=92)


def _print_summary(results: list[_Result], output: Path, folder: Path, *, seconds: float) -> None:
    faces = sum(len(result.boxes) for result in results)
    rate = len(results) / seconds
    print(f"{_count(faces, 'face')} in {_count(len(results), 'picture')}, {rate:,.1f} pictures/s")
    if without := [str(result.path) for result in results if not result.boxes]:
        some = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        print(f"no face found in {len(without):,} of them: {some}")
    print(f"written: {output}, {faces:,} rows")
    if marked := sum(result.is_photo for result in results):
        print(f"written: {folder}/, {_count(marked, 'picture')} with faces marked")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")
