"""Notice numbers of labels that look like another data set's order of the expressions.

Copies of FER2013 go around whose classes are numbered in alphabetical order, as Keras numbers folders. Read
in FER2013's order, they train without an error, and three of seven classes get wrong names.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.checkpoints import shipped
from fer_jax.data.class_names import EIGHT, NUMBERINGS
from fer_jax.data.faces import Splits
from fer_jax.errors import UserError

_NETWORK = "tiny"
_MOST_FACES = 512
_LEAST_EXPRESSIONS = 5
"""Fewer of them say little: the user's own three classes may be numbered in any way."""

_LEAST_GAIN = 0.15
"""In shares of the faces. ``tiny`` agrees with 72 % of a balanced sample of FER2013's training faces, and
with 41 % if they are read in alphabetical order. Other faces are harder, and the gain is smaller: 17 points
if 40 % are right and the rest by chance."""

_LEAST_DEVIATIONS = 4.0
"""Standard deviations; by chance, one in 30,000 is further off."""


class OtherOrder(NamedTuple):
    """A numbering that fits better than the one in force.

    Attributes:
      name: of ``NUMBERINGS``.
      agreement, in_force: share of the faces on which a network agrees with it, and with the one in force.
      num_faces: how many faces were compared.
    """

    name: str
    agreement: float
    in_force: float
    num_faces: int


def check_numbers(splits: Splits) -> str | None:
    """Make a line if the shipped network sees another order in the numbers of a data set; None if not.

    It looks at a few hundred training faces, about as many of each class.
    """
    numbers, labels = splits.numbers, splits.train.labels
    # Of the user's own classes, and of few expressions, there is no known order.
    if not numbers or not set(splits.labels) <= set(EIGHT):
        return None
    number_of = {name: number for number, name in numbers.items()}
    # Folders may have numbers beside words.
    numbered = np.flatnonzero(
        np.isin(labels, [n for n, name in enumerate(splits.labels) if name in number_of])
    )
    if len(np.unique(labels[numbered])) < _LEAST_EXPRESSIONS:
        return None
    rows = numbered[balanced_rows(labels[numbered], most=_MOST_FACES)]
    with contextlib.suppress(UserError):  # a damaged installation: whoever needs the network says so
        network = shipped.read(_NETWORK)
        probabilities = network.predict(splits.train.images[rows], views="one")
        predicted = [network.labels[index] for index in probabilities.argmax(1)]
        raw = np.array([number_of[splits.labels[label]] for label in labels[rows]])
        if other := better_order(raw, predicted, numbers):
            return _line(other)
    return None


def _line(other: OtherOrder) -> str:
    return (
        f"the numbers of the labels may be in another order: the shipped network {_NETWORK} agrees with "
        f"{other.agreement:.0%} of {other.num_faces} training faces if they are read as {other.name}, and "
        f"with {other.in_force:.0%} as they are; to read them so: --config.classes={other.name}"
    )


def balanced_rows(labels: np.ndarray, *, most: int) -> np.ndarray:
    """Rows of about ``most`` labels int (N,), of each class as many, evenly spread; all of a rare class."""
    classes = np.unique(labels)
    each = max(most // len(classes), 1)
    rows = []
    for label in classes:
        of_class = np.flatnonzero(labels == label)
        rows.append(of_class[np.linspace(0, len(of_class) - 1, min(each, len(of_class))).astype(int)])
    return np.sort(np.concatenate(rows))


def better_order(raw: np.ndarray, predicted: Sequence[str], numbers: Mapping[int, str]) -> OtherOrder | None:
    """Find the known numbering that agrees with predictions far better than the one in force.

    The difference must be 15 points, and 4 standard deviations of McNemar's test for paired answers (1947).
    The agreement must be as far above that of predictions which know nothing of the labels.

    Args:
      raw: int (N,), the numbers in the data set.
      predicted: N names of expressions.
      numbers: number -> name, as in force.

    Returns:
      The best such numbering; None if there is none.
    """
    found, names = set(raw.tolist()), np.array(predicted)
    in_force = names == np.array([numbers[number] for number in raw])
    best = None
    for name, numbering in NUMBERINGS.items():
        if not found <= numbering.keys() or len({numbering[n] for n in found}) < _LEAST_EXPRESSIONS:
            continue
        meant = np.array([numbering[number] for number in raw])
        agrees = names == meant
        share = float(agrees.mean())
        is_far = _is_far_better(agrees, in_force) and _is_above_chance(share, names, meant)
        if is_far and (best is None or share > best.agreement):
            best = OtherOrder(name, share, float(in_force.mean()), len(raw))
    return best


def _is_far_better(agrees: np.ndarray, in_force: np.ndarray) -> bool:
    gained, lost = int((agrees & ~in_force).sum()), int((in_force & ~agrees).sum())
    deviations = (gained - lost) / math.sqrt(max(gained + lost, 1))
    return gained - lost >= _LEAST_GAIN * len(agrees) and deviations >= _LEAST_DEVIATIONS


def _is_above_chance(share: float, names: np.ndarray, meant: np.ndarray) -> bool:
    """Whether names agree more often than if they were dealt out at random to the faces."""
    chance = sum(float((names == name).mean() * (meant == name).mean()) for name in set(meant.tolist()))
    deviation = math.sqrt(chance * (1 - chance) / len(names))
    return share >= chance + _LEAST_DEVIATIONS * deviation
