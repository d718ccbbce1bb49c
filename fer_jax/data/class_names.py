"""Names of expressions as data sets spell them, and what their numbers mean."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from fer_jax.data.faces import Faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS

EIGHT = (*LABELS, "contempt")
"""The classes of FER+ and AffectNet: FER2013's seven keep their numbers."""

_ALIASES = {
    "angry": ("anger",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("happiness", "joy"),
    "sad": ("sadness",),
    "surprise": ("surprised", "suprise"),
    "neutral": ("neutrality", "calm"),
    "contempt": ("contemptuous",),
}
_NAME_OF = {name: name for name in _ALIASES}
_NAME_OF |= {alias: name for name, names in _ALIASES.items() for alias in names}

NUMBERINGS: dict[str, dict[int, str]] = {
    "fer2013": dict(enumerate(LABELS)),
    "ferplus": dict(
        enumerate(("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"))
    ),
    "affectnet": dict(
        enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"))
    ),
    "rafdb": dict(enumerate(("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), start=1)),
    "ckplus": dict(enumerate(EIGHT)),
    "alphabetical": dict(enumerate(sorted(LABELS))),
}
"""By the names of ``config.classes``: number in the data set -> expression."""


def expression_of(name: str) -> str | None:
    """The expression that a word names, as ``happy`` for ``Happiness``; None if it names none."""
    return _NAME_OF.get(name.strip().lower())


def labels_of_expressions(names: Collection[str]) -> tuple[str, ...]:
    """The classes of a data set that has these expressions alone, in their order: the seven, or ``EIGHT``."""
    return EIGHT if "contempt" in names else LABELS


def in_alphabetical_order(names: Iterable[str]) -> tuple[str, ...]:
    """The user's own classes in their order: whatever their case."""
    return tuple(sorted(names, key=lambda name: (name.casefold(), name)))


def spelt(numbers: Mapping[int, str]) -> str:
    """Spell out a numbering: ``0 angry, 1 disgust``."""
    return ", ".join(f"{number} {name}" for number, name in numbers.items())


def relabel(faces: Faces, names: Sequence[str], classes: Sequence[str]) -> tuple[Faces, dict[str, int]]:
    """Number labels anew: from indices into ``names`` to indices into ``classes``.

    Returns:
      The faces whose class is one of ``classes``, and how many of each other class are left out.

    Raises UserError if faces are left out that are all there are.
    """
    if tuple(names) == tuple(classes) or faces.labels is None:
        return faces, {}
    number = np.array([classes.index(name) if name in classes else -1 for name in names], np.int32)
    new = number[faces.labels]
    counts = np.bincount(faces.labels[new < 0], minlength=len(names))
    left_out = {name: int(count) for name, count in zip(names, counts, strict=True) if count}
    if left_out and not (new >= 0).any():
        raise UserError(
            f"the faces are {', '.join(left_out)}; the network knows {', '.join(classes)} and none of these"
        )
    return faces.take(new >= 0).labelled(new[new >= 0]), left_out
