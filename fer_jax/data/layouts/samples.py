"""What the readers of layouts find: pictures, with the names of their classes."""

from pathlib import Path
from typing import NamedTuple

from fer_jax.data.find_pictures import Other


class Sample(NamedTuple):
    """A labelled picture.

    Attributes:
      name: of its class, as the data set spells it: an expression, another word or a number.
      path: of the picture.
      box: left, top, right and bottom of the face in pixels; None if the whole picture is the face.
      target: float32 (8,), a distribution over ``class_names.EIGHT``; None where the label is all.
    """

    name: str
    path: Path
    box: tuple[float, float, float, float] | None = None
    target: object | None = None


class Options(NamedTuple):
    """How a layout is read.

    Attributes:
      skip_broken: whether what cannot be read is left out instead of refused.
      vote_target: what training learns from votes; see ``votes.decide``.
    """

    skip_broken: bool = False
    vote_target: str = "majority"


class Found(NamedTuple):
    """The pictures of a data set.

    Attributes:
      kind: what the data set was taken for, as ``RAF-DB folders``.
      samples: by part: ``train``, ``validation``, ``test``, or ``all``.
      notes: lines to print.
      others: what lies there and is not taken.
      labels: names of the classes where the layout fixes them; otherwise they depend on the samples.
    """

    kind: str
    samples: dict[str, list[Sample]]
    notes: tuple[str, ...] = ()
    others: tuple[Other, ...] = ()
    labels: tuple[str, ...] | None = None
