"""The table that ``--mode=predict`` writes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_jax.labels import LABELS


def table(
    ids: Sequence[str] | np.ndarray,
    chances: np.ndarray,
    *,
    with_probabilities: bool,
    boxes: Sequence[tuple[int, int, int, int]] | None = None,
) -> str:
    """CSV text with one row a face.

    Args:
      ids: of the faces, (N,).
      chances: probabilities float (N, 7).
      with_probabilities: whether they get a column a label.
      boxes: x, y, width, height of each face in its picture, in pixels; None where there is none.

    Returns:
      ``id,label``, then ``x,y,width,height`` and the probabilities, where they apply.
    """
    frame = pd.DataFrame({"id": ids, "label": chances.argmax(1)})
    if boxes is not None:
        frame[["x", "y", "width", "height"]] = np.array(boxes, np.int64).reshape(-1, 4)
    if with_probabilities:
        frame[list(LABELS)] = chances
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.6f")
