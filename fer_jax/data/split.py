"""Draw a validation split, and find faces that two sets share."""

import numpy as np

from fer_jax.errors import UserError


def stratified_split(
    images: np.ndarray, labels: np.ndarray, *, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw about ``fraction`` of each class for validation; all copies of a picture go to the same part.

    A class is in validation whenever it has two different pictures. Training keeps at least one picture
    of it that is not in validation already. The same arguments give the same split.

    Args:
      images: uint8 (N, ...).
      labels: int (N,), 0 or more.
      fraction: between 0 and 1.
      seed: any integer.

    Returns:
      (train_rows, validation_rows): sorted int arrays that together hold each row once.

    Raises:
      UserError: ``fraction`` is not between 0 and 1, or no class has two different pictures.
    """
    if not 0 < fraction < 1:
        raise UserError(f"validation_fraction is {fraction}; expected a number between 0 and 1")
    picture = _number_pictures(images)
    # rows_of[p, c]: rows with picture p and label c. Copies may disagree about the label.
    rows_of = np.zeros((picture.max(initial=-1) + 1, labels.max(initial=-1) + 1), np.int64)
    np.add.at(rows_of, (picture, labels), 1)
    shuffled = np.random.default_rng(seed % 2**64).permutation(len(rows_of))

    chosen = np.zeros(len(rows_of), bool)
    for label in np.argsort(rows_of.sum(0), kind="stable"):  # rare classes first: they have the least choice
        _choose(chosen, rows_of[:, label], shuffled, fraction)
    if not chosen.any():
        raise UserError(
            f"no validation split can be drawn from {len(images)} faces; no class has two different pictures"
        )
    in_validation = chosen[picture]
    return np.flatnonzero(~in_validation), np.flatnonzero(in_validation)


def _choose(chosen: np.ndarray, rows: np.ndarray, shuffled: np.ndarray, fraction: float) -> None:
    """Mark pictures of one class in ``chosen``, until validation has its share of the class's rows.

    ``rows`` (pictures,) counts the class's rows by picture; ``shuffled`` is the order to take them in.
    """
    have = rows[chosen].sum()
    candidates = shuffled[(rows[shuffled] > 0) & ~chosen[shuffled]]
    wanted = round(fraction * rows.sum()) - have
    count = np.searchsorted(np.cumsum(rows[candidates]), wanted, side="right")
    if have == 0:
        count = max(count, 1)
    chosen[candidates[: max(min(count, len(candidates) - 1), 0)]] = True


def rows_shared(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mask (N,) of the ``images`` uint8 (N, ...) that occur byte for byte in ``others`` uint8 (M, ...)."""
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], bool)


def _number_pictures(images: np.ndarray) -> np.ndarray:
    """Number the different pictures from 0 by first appearance: int (N,)."""
    # A dict of bytes is exact, and faster than sorting rows of 2304 bytes, which np.unique does.
    number_of: dict[bytes, int] = {}
    return np.array([number_of.setdefault(image.tobytes(), len(number_of)) for image in images], np.int64)
