"""Read faces from parquet files as the Hugging Face Hub has them: encoded pictures, and a label each."""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.data.arrays import open_head
from fer_jax.data.faces import Faces
from fer_jax.data.label_texts import EXPECTED, label_text
from fer_jax.data.meaning import check_one_kind
from fer_jax.data.parts import usage_of
from fer_jax.data.read_pictures import load_picture, to_face, to_grey
from fer_jax.data.tables import FER2013, PARQUET, Table, concatenated, indexed
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.files import one_line, os_reason
from fer_jax.runtime.words import number_of, some

_MAGIC = b"PAR1"
_IMAGES = ("image", "img", "picture", "face", "pixel_values", "pixels", "bytes", "jpg", "png")
_LABELS = ("label", "labels", "emotion", "expression", "class", "target", "cls")
_AT_ONCE = 256


def is_parquet(path: str | os.PathLike) -> bool:
    """Whether a file is a parquet file, or a folder holds some."""
    if os.path.isdir(path):
        return bool(shards(path))
    try:
        return open_head(path) == _MAGIC
    except OSError:
        return False


def shards(folder: str | os.PathLike) -> list[Path]:
    """The parquet files in a folder, or in its ``data/``, sorted; none if it cannot be listed."""
    for place in (Path(folder), Path(folder) / "data"):
        try:
            if found := sorted(path for path in place.glob("*.parquet") if not path.name.startswith(".")):
                return found
        except OSError:
            continue
    return []


def read_parquet(path: str | os.PathLike, *, require_labels: bool, skip_broken: bool = False) -> Table:
    """Read a parquet file, or all of a folder, whose names begin with their part: ``train-00000-of-...``.

    The pictures are bytes, or a struct with ``bytes`` as ``datasets`` writes it. Labels are numbers or words;
    numbers mean the names that the file itself gives, where it does.

    Raises UserError if pyarrow is not installed, a file cannot be read, or a picture is broken and
    ``skip_broken`` does not leave it out.
    """
    files = shards(path) if os.path.isdir(path) else [Path(path)]
    usages = [usage_of(file.name.split("-")[0].split(".")[0]) for file in files]
    if len(files) > 1 and None in usages:
        other = files[usages.index(None)]
        raise UserError(
            f"{other}: its name does not begin with train, validation or test, as train-00000.parquet; "
            "name one file alone, or move it elsewhere"
        )
    broken: list[str] = []
    tables = [
        table._replace(usage=None if usage is None else np.full(len(table.faces), usage, "U11"))
        for file, usage in zip(files, usages, strict=True)
        for table in read_parquet_chunks(
            file, require_labels=require_labels, broken=broken if skip_broken else None
        )
    ]
    if not any(len(table.faces) for table in tables):
        raise UserError(f"{path}: no rows that can be read; at least one face was expected")
    whole = concatenated(tables)
    rows = np.arange(len(whole.faces)).astype(np.str_)
    if len(files) > 1:  # each file counts its rows from 0
        whole = whole._replace(faces=Faces(whole.faces.images, whole.faces.labels, rows))
    if broken:
        note = f"left out: {number_of(len(broken), 'picture')} that cannot be read: {some(broken)}"
        whole = whole._replace(notes=(note,))
    check_one_kind(str(path), whole)
    return whole


def read_parquet_chunks(
    path: str | os.PathLike, *, require_labels: bool, skip: int = 0, broken: list[str] | None = None
) -> Iterator[Table]:
    """Read one parquet file, a few hundred faces at a time; the first ``skip`` times are passed over.

    Broken pictures are appended to ``broken`` and left out; they are refused if it is None.

    Raises UserError as ``read_parquet``.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(f"{path}: parquet needs pyarrow: pip install -r requirements-parquet.txt") from error
    row = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            image, label = _column(names, _IMAGES), _column(names, _LABELS)
            _check_columns(path, names, image, label if require_labels else "none")
            of_numbers = _class_names(file.schema_arrow.metadata, label)
            columns = [name for name in (image, label) if name]
            for chunk, batch in enumerate(file.iter_batches(_AT_ONCE, columns=columns)):
                if chunk >= skip:
                    values = batch.to_pydict()
                    labels = values[label] if label else None
                    yield _table(path, values[image], labels, row, (of_numbers, broken))
                row += len(batch)
    except OSError as error:
        if isinstance(error, pa.ArrowException):
            raise _damaged(path, error) from error
        raise UserError(f"{path}: {os_reason(error)}; a parquet file was expected") from error
    except pa.ArrowException as error:
        raise _damaged(path, error) from error


def _damaged(path: str | os.PathLike, error: Exception) -> UserError:
    return UserError(f"{path}: cannot be read ({one_line(error)}); a complete parquet file was expected")


def _column(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    return next((name for want in wanted for name in names if name.lower() == want), None)


def _check_columns(
    path: str | os.PathLike, names: Sequence[str], image: str | None, label: str | None
) -> None:
    for column, what in ((image, "pictures ('image')"), (label, "labels ('label')")):
        if column is None:
            raise UserError(
                f"{path}: no column of {what} among {some(names)}; 'image' and 'label' were expected"
            )


def _class_names(metadata: Mapping[bytes, bytes] | None, label: str | None) -> tuple[str, ...]:
    """The names of the numbers of labels, as ``datasets`` stores them in the file; empty if it has none."""
    try:
        about = json.loads((metadata or {})[b"huggingface"])
        return tuple(map(str, about["info"]["features"][label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()


def _table(
    path: str | os.PathLike,
    pictures: Sequence[Any],
    labels: Sequence[Any] | None,
    row: int,
    reading: tuple[Sequence[str], list[str] | None],
) -> Table:
    """Make the table of some rows, from number ``row`` on; see ``_class_names`` and ``broken``."""
    names, broken = reading
    faces, kept = [np.zeros((0, SIDE, SIDE), np.uint8)], []
    for place, picture in enumerate(pictures):
        try:
            faces.append(_face(picture, f"{path}, row {row + place + 1}")[None])
        except UserError as error:
            if broken is None:
                more = "to leave such pictures out: --config.skip_broken=True"
                raise UserError(f"{error}; {more}") from error
            broken.append(f"row {row + place + 1} of {path}")
        else:
            kept.append(place)
    index, found = None, FER2013
    if labels is not None:
        index, found = indexed([_label(labels[p], names, f"{path}, row {row + p + 1}") for p in kept])
    numbers = row + np.array(kept, np.int64)
    images = np.concatenate(faces)[..., None]
    return Table(Faces(images, index, numbers.astype(np.str_)), None, found, numbers + 1, None, PARQUET)


def _face(picture: Any, name: str) -> np.ndarray:
    """Read an encoded picture, or a struct that has one, as uint8 (48, 48). Raises UserError."""
    content = picture.get("bytes") if isinstance(picture, dict) else picture
    if not isinstance(content, bytes):
        raise UserError(
            f"{name}: the picture is {type(content).__name__}; the bytes of a picture file were expected"
        )
    return to_face(to_grey(load_picture(io.BytesIO(content), name=name).picture))


def _label(value: Any, names: Sequence[str], place: str) -> str:
    text = None if value is None else label_text(str(value))
    if text is not None and text.isdigit() and int(text) < len(names):
        return label_text(names[int(text)]) or text
    if text is None:
        raise UserError(f"{place}: the label is {value!r}; expected {EXPECTED}")
    return text
