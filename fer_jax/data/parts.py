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


def part_of(name: str) -> str | None:
    """The part that a name means: ``train`` for ``Training``, ``train_images``, ``FER2013Train``.

    None if it means no part.
    """
    word = re.sub(r"[^a-z]", "", name.lower()).removeprefix("fer")
    return _PART_OF.get(word) or _PART_OF.get(_ENDS.sub("", word))


def usage_of(name: str) -> str | None:
    """The same as Kaggle's file calls it: ``Training`` for ``train``."""
    return USAGE_OF.get(part_of(name))
