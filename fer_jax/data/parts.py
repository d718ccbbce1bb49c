"""The names that files and folders give to the parts of a data set."""

import re

WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev", "eval", "evaluation", "publictest"),
    "test": ("test", "testing", "privatetest"),
}
"""Part -> how it is called, in small letters."""

USAGE_OF = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
"""Part -> its name in the column ``Usage`` of Kaggle's file."""

_PART_OF = {word: part for part, words in WORDS.items() for word in words}
_ENDS = re.compile(r"(images?|imgs?|set|data|split|folder)$")
_VALUE = re.compile(r"(?:fer2013)?([a-z]+?)(?:_?set|_images)?")


def part_of(name: str) -> str | None:
    """The part that a folder's name means: ``train`` for ``Training``, ``train_images``, ``FER2013Train``.

    None if it means no part.
    """
    word = re.sub(r"[^a-z]", "", name.lower()).removeprefix("fer")
    return _PART_OF.get(word) or _PART_OF.get(_ENDS.sub("", word))


def usage_of(value: str) -> str | None:
    """The part that a value of a column means, as Kaggle's file calls it: ``Training`` for ``train``.

    None if it means no part. Stricter than ``part_of``, since ``val1`` in a column may be a fold.
    """
    named = _VALUE.fullmatch(value.strip().lower())
    return USAGE_OF.get(_PART_OF.get(named[1])) if named else None
