"""Make the table that ``--mode=predict`` writes."""

import csv
import io
from collections.abc import Sequence

import numpy as np
import pandas as pd

_PLACE = ("x", "y", "width", "height")


def table_header(*, with_boxes: bool, labels: Sequence[str] = ()) -> str:
    """Make the first line: ``id,label``, the columns of ``boxes``, and one for each of the ``labels``."""
    names = io.StringIO()
    places = _PLACE if with_boxes else ()
    csv.writer(names, lineterminator="\n").writerow(["id", "label", *places, *labels])
    return names.getvalue()


def table_rows(
    ids: Sequence[str] | np.ndarray,
    probabilities: np.ndarray,
    *,
    with_probabilities: bool,
    boxes: Sequence[tuple[int, int, int, int]] | None = None,
) -> str:
    """Make CSV text with one row for each face, without the header.

    Args:
      ids: of the faces, (N,).
      probabilities: float (N, K).
      with_probabilities: whether to add a column for each class.
      boxes: x, y, width, height of each face in its picture, in pixels; None to leave out these columns.
    """
    # As objects: the strings of pyarrow, which pandas takes where it is installed, cannot hold every path.
    frame = pd.DataFrame({"id": pd.Series(ids, dtype=object), "label": probabilities.argmax(1)})
    if boxes is not None:
        frame[list(_PLACE)] = np.array(boxes, np.int64).reshape(-1, 4)
    if with_probabilities:
        frame = pd.concat([frame, pd.DataFrame(probabilities)], axis=1)
    return frame.to_csv(index=False, header=False, lineterminator="\n", float_format="%.6f")


def video_header(labels: Sequence[str], *, with_probabilities: bool) -> str:
    """Make the first line of a video's table: ``id,frame,time,face,label``, the box, and the classes."""
    names = labels if with_probabilities else ()
    return ",".join(["id", "frame", "time", "face", "label", *_PLACE, *names]) + "\n"


def video_rows(
    name: str,
    frames: Sequence[tuple[int, float, int]],
    places: Sequence[tuple[int, int, int, int]],
    probabilities: np.ndarray,
    *,
    with_probabilities: bool,
) -> str:
    """Make CSV text with one row for each face in each frame, without the header.

    Args:
      name: of the video.
      frames: number of the frame, its time in seconds, and number of the face; N of them.
      places: x, y, width, height of each face, in pixels.
      probabilities: float (N, classes).
      with_probabilities: whether to add a column for each class.
    """
    result = io.StringIO()
    writer = csv.writer(result, lineterminator="\n")
    for (frame, time, face), place, row in zip(frames, places, probabilities, strict=True):
        values = [f"{value:.6f}" for value in row] if with_probabilities else []
        writer.writerow([name, frame, f"{time:.3f}", face, int(row.argmax()), *place, *values])
    return result.getvalue()


def without_boxes(text: str) -> str:
    """The table without the columns of ``boxes``: where all pictures are faces, they say nothing."""
    result = io.StringIO()
    writer = csv.writer(result, lineterminator="\n")
    writer.writerows(row[:2] + row[2 + len(_PLACE) :] for row in csv.reader(io.StringIO(text)))
    return result.getvalue()
