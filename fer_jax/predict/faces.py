"""``--mode=predict`` on a CSV file or the like: write a row for each face, and score them by their labels."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fer_jax.data.contrast import describe_flat, has_contrast, refuse_flat
from fer_jax.data.meaning import known_labels
from fer_jax.data.read_table import read_table_chunks
from fer_jax.data.tables import Table
from fer_jax.predict.copies import folder_of_copies, remove_copies
from fer_jax.predict.rows import Entry, appended_rows
from fer_jax.predict.table import table_header, table_rows
from fer_jax.runtime import signals
from fer_jax.runtime.files import is_stream
from fer_jax.runtime.words import number_of

Predict = Callable[[np.ndarray], np.ndarray]
"""Faces uint8 (N, 48, 48, 1) -> probabilities (N, K)."""


def predict_csv(
    source: str,
    predict: Predict,
    output: Path,
    *,
    labels: Sequence[str],
    with_probabilities: bool,
    key: str | None = None,
    classes: str = "",
) -> None:
    """Write ``id,label`` for each row of a CSV file, a few hundred at a time, by ``appended_rows``.

    Print the accuracy if the file has labels, what it was taken for, and which faces have no contrast.

    Args:
      source: a file of ``read_table_chunks``, also a pipe.
      predict: the network.
      output: the CSV file to write.
      labels: names of the classes.
      with_probabilities: whether to add a column for each class.
      key: see ``appended_rows``.
      classes: what numbers as labels mean; see ``known_labels``.

    Raises:
      UserError: bad input, or none of its faces has contrast.
    """
    header, most = table_header(with_boxes=False, labels=labels if with_probabilities else ()), 0
    with appended_rows(output, header, key) as rows, signals.telling(rows.told):
        options = {"skip": len(rows.entries), "rows_skipped": sum(entry["rows"] for entry in rows.entries)}
        for table in read_table_chunks(source, **options):
            faces = table.faces
            most = max(most, len(faces))
            probabilities = _predict_padded(predict, faces.images, most)
            text = table_rows(faces.ids, probabilities, with_probabilities=with_probabilities)
            true = known_labels(source, table, known=labels, classes=classes)
            rows.append(text, _entry_of(table, true, probabilities))
        entries = rows.entries
        total = sum(entry["rows"] for entry in entries)
        if total and sum(len(entry["flat"]) for entry in entries) == total:
            raise refuse_flat(source, total)
        rows.finish()
    if not is_stream(output):
        remove_copies(folder_of_copies(output))
    _print_scores(source, entries)
    print(f"written: {output}, {number_of(total, 'row')}")


def _print_scores(source: str, entries: Sequence[Entry]) -> None:
    """Print what the source is, the accuracy of each part of it, and what is left out or odd."""
    form = next((entry["form"] for entry in entries if entry.get("form")), "")
    if form:
        print(f"{source}: read as {form}")
    flat = [i for entry in entries for i in entry["flat"]]
    if flat:
        print(describe_flat(flat, sum(entry["rows"] for entry in entries)))
    for part, (right, labelled) in _scores(entries).items():
        print(f"accuracy {right / labelled:.2%}: {right:,} of {labelled:,}{part} as labelled in {source}")
    if unnamed := sum(entry.get("unnamed", 0) for entry in entries):
        faces = number_of(unnamed, "face")
        print(f"not among them: {faces} with labels that the network does not know")


def _predict_padded(predict: Predict, images: np.ndarray, size: int) -> np.ndarray:
    """Predict as many faces as ever before: a network is compiled for each size of a batch."""
    padding = np.zeros((size - len(images), *images.shape[1:]), np.uint8)
    return predict(np.concatenate([images, padding]))[: len(images)]


def _entry_of(table: Table, true: np.ndarray | None, probabilities: np.ndarray) -> Entry:
    """What to note of some rows; ``true`` is int (N,), -1 for classes that the network does not know."""
    faces = table.faces
    entry = {
        "rows": len(faces),
        "form": ", ".join(table.form),
        "flat": [str(i) for i in faces.ids[~has_contrast(faces.images)]],
    }
    if true is None:
        return entry | {"scores": {}}
    known, right = true >= 0, probabilities.argmax(1) == true
    # Figures of training faces say little, so that each part has its own.
    usage = np.full(len(faces), "") if table.usage is None else table.usage
    scores = {
        part: [int(right[usage == part].sum()), int((usage[known] == part).sum())]
        for part in set(usage[known])
    }
    return entry | {"scores": scores, "unnamed": int((~known).sum())}


def _scores(entries: Sequence[Entry]) -> dict[str, tuple[int, int]]:
    """Faces named as their labels say, and all that have labels, by part: `` of Training``, or empty."""
    parts = sorted({part for entry in entries for part in entry["scores"]})
    return {
        part and f" of {part}": tuple(
            sum(entry["scores"].get(part, (0, 0))[place] for entry in entries) for place in (0, 1)
        )
        for part in parts
    }
