"""``--mode=predict`` on pictures: write a row for each face, and copies of the pictures with faces marked."""

import functools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.data import photos
from fer_jax.data.batches import grouped
from fer_jax.data.contrast import describe_flat, has_contrast, refuse_flat
from fer_jax.data.find_pictures import CLOSED, Found, describe
from fer_jax.data.inputs import find_input
from fer_jax.data.photos import Photo
from fer_jax.data.read_pictures import MarkedCopy
from fer_jax.errors import UserError
from fer_jax.predict.copies import Copies, folder_of_copies
from fer_jax.predict.rows import Entry, FileRows, StreamRows, appended_rows
from fer_jax.predict.table import table_header, table_rows, without_boxes
from fer_jax.runtime import signals
from fer_jax.runtime.files import is_stream
from fer_jax.runtime.progress import counted
from fer_jax.runtime.words import number_of, some

_AT_ONCE, _PIXELS_AT_ONCE = 64, 100_000_000
"""Most pictures in memory at a time, and the pixels after which no further one is read: 4 bytes each."""

Predict = Callable[[np.ndarray], np.ndarray]


def predict_photos(
    source: str,
    predict: Predict,
    output: Path,
    *,
    labels: Sequence[str],
    with_probabilities: bool,
    found: Found | None = None,
    key: str | None = None,
    with_videos: bool = False,
    detector: str = "",
    whole: bool = False,
) -> None:
    """Write ``id,label`` and, if there are photos, ``x,y,width,height`` to ``output``, by ``appended_rows``.

    A picture of about 48 x 48 pixels is a face. Any other is a photo: find the faces in it, and if there are
    some, write a copy with the faces framed and named to the folder ``OUT_pictures`` beside ``OUT.csv``. Skip
    pictures that cannot be read, and raise UserError at the end.

    Args:
      source: a picture, or a folder of pictures at any depth.
      predict: faces uint8 (N, 48, 48, 1) -> probabilities (N, K).
      output: the CSV file to write; for a pipe or device there are no copies.
      labels: names of the K classes.
      with_probabilities: whether to add a column for each class.
      found: what ``find_input`` finds in the source; it is called if None.
      key: see ``appended_rows``.
      with_videos: whether ``predict_videos`` takes the folder's videos after this.
      detector, whole: see ``photos.faces_of``.

    Raises UserError if its pictures are in the folder of the copies, OpenCV is needed and not installed,
    pictures or folders cannot be read, or no face has contrast.
    """
    found = found or find_input(source)
    folder = None if is_stream(output) else folder_of_copies(output)
    paths = _without_copies(source, found.paths, folder)
    _print_left_out(found, with_videos)
    started = time.monotonic()
    read = functools.partial(photos.read_photos, detector=detector, whole=whole)
    target = output, folder, key
    rows, copies = _write_rows(source, paths, (read, predict), target, labels, with_probabilities)
    now, entries = _sum(rows.entries[rows.kept :], "pictures"), rows.entries
    _print_summary(entries, output, whole, rate=now / (time.monotonic() - started))
    copies.finish(beside_videos=with_videos)
    _raise_for_unread(source, found, entries, output)


def _print_left_out(found: Found, with_videos: bool) -> None:
    for line in describe(found.without_videos() if with_videos else found.others):
        print(f"left out: {line}")


def _write_rows(
    source: str,
    paths: Sequence[Path],
    functions: tuple[Callable[[Iterable[Path]], Iterator[Photo | UserError]], Predict],
    target: tuple[Path, Path | None, str | None],
    labels: Sequence[str],
    with_probabilities: bool,
) -> tuple[FileRows | StreamRows, Copies]:
    """Write the table and the copies.

    ``functions`` read photos and predict faces; ``target`` is the output, the folder of the copies, the key.
    """
    (read, predict), (output, folder, key) = functions, target
    # The first line of a stream cannot be changed when the first photo comes.
    with_boxes = folder is not None or photos.any_photo(paths)
    header = table_header(with_boxes=with_boxes, labels=labels if with_probabilities else ())
    with appended_rows(output, header, key) as rows, signals.telling(rows.told):
        copies = Copies(folder, Path(source), _all(rows.entries, "copies"))
        done = _sum(rows.entries, "pictures")
        photos_read = read(counted(paths[done:], unit="picture"))
        for group in grouped(photos_read, most=_AT_ONCE, size_of=_pixels, most_size=_PIXELS_AT_ONCE):
            text, entry = _predict_group(group, predict, copies, labels, with_boxes, with_probabilities)
            _print_errors(entry, alone=len(paths) == 1)
            rows.append(text, entry)
        _require_faces(source, rows.entries)
        rows.finish(None if any(entry["photos"] for entry in rows.entries) else without_boxes)
    return rows, copies


def likeliest(probabilities: np.ndarray, labels: Sequence[str]) -> str:
    """Name and percentage of the likeliest class of probabilities (K,): ``happy 93 %``."""
    return f"{labels[int(probabilities.argmax())]} {100 * probabilities.max():.0f} %"


def _without_copies(source: str, paths: Sequence[Path], folder: Path | None) -> list[Path]:
    """The paths except those in ``folder``, since this command writes there."""
    if folder is None:
        return list(paths)
    copies = folder.resolve()
    in_copies = {parent: parent.resolve().is_relative_to(copies) for parent in {p.parent for p in paths}}
    kept = [path for path in paths if not in_copies[path.parent]]
    if not kept:
        raise UserError(
            f"{source}: its pictures are in {folder}/, where those with marked faces would be written; "
            "give --output another name"
        )
    if left_out := len(paths) - len(kept):
        count = number_of(left_out, "picture")
        print(f"left out: {count} in {folder}/, the folder of pictures with marked faces")
    return kept


def _pixels(item: Photo | UserError) -> int:
    """How many pixels a picture takes in memory; none if it cannot be read."""
    return item.picture.width * item.picture.height if isinstance(item, Photo) else 0


def _predict_group(
    group: Sequence[Photo | UserError],
    predict: Predict,
    copies: Copies,
    labels: Sequence[str],
    with_boxes: bool,
    with_probabilities: bool,
) -> tuple[str, Entry]:
    """Predict all faces of a few pictures at once, and write the copies: their rows, and what to note."""
    read = [item for item in group if isinstance(item, Photo)]
    probabilities = predict(np.concatenate([np.zeros((0, 48, 48, 1), np.uint8), *(p.faces for p in read)]))
    parts = np.split(probabilities, np.cumsum([len(photo.faces) for photo in read])[:-1]) if read else []
    for photo, part in zip(read, parts, strict=True):
        if photo.boxes and not photo.is_whole:
            copies.write(photo, [likeliest(row, labels) for row in part])
    text = table_rows(
        [photo.name for photo in read for _ in photo.boxes],
        probabilities,
        with_probabilities=with_probabilities,
        boxes=[place for photo in read for place in photo.places()] if with_boxes else None,
    )
    return text, _entry_of(group, read) | {"copies": copies.take_names()}


def _entry_of(group: Sequence[Photo | UserError], read: Sequence[Photo]) -> Entry:
    errors = [item for item in group if isinstance(item, UserError)]
    remarks = defaultdict(list)
    for photo in read:
        for remark in photo.remarks:
            remarks[remark].append(photo.name)
    return {
        "pictures": len(group),
        "rows": sum(len(photo.boxes) for photo in read),
        "photos": sum(not photo.is_whole for photo in read),
        "cropped": sum(photos.is_cropped(photo.picture, photo.boxes) for photo in read if not photo.is_whole),
        "faceless": [photo.name for photo in read if not photo.boxes],
        "flat": [photo.name for photo in read for seen in has_contrast(photo.faces) if not seen],
        "remarks": remarks,
        "ours": [str(error) for error in errors if isinstance(error, MarkedCopy)],
        "unread": [str(error) for error in errors if not isinstance(error, MarkedCopy)],
    }


def _print_errors(entry: Entry, *, alone: bool) -> None:
    """Print why pictures cannot be read; raise UserError instead if there is one alone."""
    errors = entry["unread"] + (entry["ours"] if alone else [])
    if errors and alone:
        raise UserError(errors[0])
    for error in errors:
        print(f"left out: {error}", file=sys.stderr)


def _require_faces(source: str, entries: Sequence[Entry]) -> None:
    """Raise UserError if no picture could be read, or no face has contrast."""
    pictures, faces = _sum(entries, "pictures"), _sum(entries, "rows")
    unread, ours = _all(entries, "unread"), _all(entries, "ours")
    if len(unread) + len(ours) == pictures:
        reason = "can be read" if unread else "is a photo: fer_jax has written them, with faces marked"
        raise UserError(f"{source}: none of its pictures {reason}")
    if faces and len(_all(entries, "flat")) == faces:
        raise refuse_flat(source, faces)


def _print_summary(entries: Sequence[Entry], output: Path, whole: bool, *, rate: float) -> None:
    pictures, faces = _sum(entries, "pictures"), _sum(entries, "rows")
    ours, faceless, flat = (_all(entries, name) for name in ("ours", "faceless", "flat"))
    read = pictures - len(_all(entries, "unread")) - len(ours)
    print(f"{number_of(faces, 'face')} in {number_of(read, 'picture')}, {rate:,.1f} pictures/s")
    if faceless:
        print(f"no face found in {len(faceless):,} of them: {some(faceless)}")
    cropped = 0 if whole else _sum(entries, "cropped")
    if cropped > 1 and cropped > read / 2:
        print(f"{cropped:,} of them look like cropped faces; --config.faces=whole takes such pictures whole")
    elif faceless:
        print("  (faces that are cropped already are taken as they are at 40 to 64 pixels a side)")
    if flat:
        print(describe_flat(flat, faces))
    remarks = defaultdict(list)
    for entry in entries:
        for remark, names in entry["remarks"].items():
            remarks[remark] += names
    for remark, names in remarks.items():
        print(f"{number_of(len(names), 'picture')} {remark}: {some(names)}")
    if ours:
        print(f"left out: {number_of(len(ours), 'picture')} that fer_jax has written, with faces marked")
    print(f"written: {output}, {number_of(faces, 'row')}")


def _raise_for_unread(source: str, found: Found, entries: Sequence[Entry], output: Path) -> None:
    if unread := len(_all(entries, "unread")):
        failed = f"{unread:,} of {number_of(_sum(entries, 'pictures'), 'picture')}"
        raise UserError(f"{source}: {failed} cannot be read; the others are in {output}")
    raise_for_closed(source, found, output)


def raise_for_closed(source: str, found: Found, output: Path) -> None:
    """Raise UserError if there are folders that cannot be listed; ``output`` has what the others have."""
    if closed := sum(other.why == CLOSED for other in found.others):
        raise UserError(f"{source}: {number_of(closed, 'folder')} cannot be listed; the rest is in {output}")


def _sum(entries: Sequence[Entry], name: str) -> int:
    return sum(entry[name] for entry in entries)


def _all(entries: Sequence[Entry], name: str) -> list[Any]:
    return [item for entry in entries for item in entry[name]]
