"""Make the table that ``--mode=predict`` writes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_jax.labels import LABELS


def predictions_table(
    ids: Sequence[str] | np.ndarray,
    probabilities: np.ndarray,
    *,
    with_probabilities: bool,
    boxes: Sequence[tuple[int, int, int, int]] | None = None,
) -> str:
    """Make CSV text with one row for each face.

    Args:
      ids: of the faces, (N,).
      probabilities: float (N, 7).
      with_probabilities: whether to add a column for each label.
      boxes: x, y, width, height of each face in its picture, in pixels; None to leave out these columns.
    """
    frame = pd.DataFrame({"id": ids, "label": probabilities.argmax(1)})
    if boxes is not None:
        frame[["x", "y", "width", "height"]] = np.array(boxes, np.int64).reshape(-1, 4)
    if with_probabilities:
        frame[list(LABELS)] = probabilities
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.6f")
