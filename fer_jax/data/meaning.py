"""Say what labels mean: numbers by a numbering, words as expressions or the user's own classes."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.data.class_names import (
    EIGHT,
    NUMBERINGS,
    expression_of,
    in_alphabetical_order,
    labels_of_expressions,
    spelt,
)
from fer_jax.data.tables import FER2013, NPZ, PARQUET, Table
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.runtime.words import number_of, some

_MOST_CLASSES = 1000


class Meaning(NamedTuple):
    """What the labels of a file mean.

    Attributes:
      labels: names of the classes.
      index: text of a label -> its class; faces with other texts are left out.
      numbers: number in the file -> name of its class; None where the labels are words.
      described: in words for a note; empty for FER2013's own numbers.
    """

    labels: tuple[str, ...]
    index: dict[str, int]
    numbers: dict[int, str] | None
    described: str


class UnknownLabel(Exception):
    """A label that means nothing: ``text``, and what was ``expected`` in its place."""

    def __init__(self, text: str, expected: str) -> None:
        super().__init__(text, expected)
        self.text, self.expected = text, expected


def meaning_of(found: Collection[str], classes: str | Sequence[str]) -> Meaning:
    """Say what labels mean.

    Args:
      found: texts of labels, all of them numbers or none.
      classes: see ``config.classes``; or the names themselves.

    Raises:
      UnknownLabel: a number without meaning.
      UserError: none of the words is one of ``classes``, or there are too many classes.
    """
    named = _names(classes)
    if all(text.isdigit() for text in found):
        return _meaning_of_numbers(sorted(map(int, found)), classes if not named else "", named)
    return _meaning_of_words(sorted(found), named)


def _names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """The names that are listed; empty where ``classes`` is a numbering, or nothing."""
    if classes in NUMBERINGS or not classes:
        return ()
    given = classes.split(",") if isinstance(classes, str) else classes
    names = tuple(expression_of(name) or name.strip() for name in given)
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"config.classes={','.join(given)}: {twice[0]} is there twice, by two of its names")
    return names


def _meaning_of_numbers(found: Sequence[int], numbering: str, named: Sequence[str]) -> Meaning:
    """What numbers mean by the list of names, otherwise by the numbering, otherwise by FER2013's."""
    numbers = dict(enumerate(named)) if named else NUMBERINGS[numbering or "ckplus"]
    for number in found:
        if number not in numbers:
            raise UnknownLabel(str(number), _expected(numbers, numbering, named))
    if named:
        labels = tuple(named)
        described = f"numbers as labels: {_classes(labels)}"
    else:
        labels = labels_of_expressions([numbers[number] for number in found])
        numbers = {number: name for number, name in numbers.items() if name in labels}
        described = f"numbers as labels by {numbering}: {spelt(numbers)}" if numbering else ""
        if not numbering and labels == EIGHT:
            described = "numbers as labels, FER2013's and 7 for contempt: 8 classes"
    index = {str(number): labels.index(numbers[number]) for number in found}
    return Meaning(labels, index, numbers, described)


def _expected(numbers: Mapping[int, str], numbering: str, named: Sequence[str]) -> str:
    least, most = min(numbers), max(numbers)
    if named:
        names = some(named)
        return f"{least} to {most}, for {names}; to say what the numbers mean: --config.classes=NAME,NAME,..."
    by = f"by --config.classes={numbering}" if numbering else "FER2013's 0 to 6 and 7 for contempt"
    return f"{least} to {most}, {by}; to say what the numbers mean: --config.classes=NAME,NAME,... from 0 on"


def _meaning_of_words(found: Sequence[str], named: Sequence[str]) -> Meaning:
    """What words mean: expressions, the user's own classes in alphabetical order, or the named ones."""
    own = {}  # the first spelling of each word, whatever its case
    name_of = {text: expression_of(text) or own.setdefault(text.casefold(), text) for text in found}
    names = set(name_of.values())
    if named:
        spelt = {name.casefold(): name for name in named}
        name_of = {text: spelt.get(name.casefold(), "") for text, name in name_of.items()}
        if not any(name_of.values()):
            raise UserError(
                f"none of the labels {some(found)} is one of config.classes={','.join(named)}; name classes "
                "that are there"
            )
        labels = tuple(named)
    elif names <= set(EIGHT):
        labels = labels_of_expressions(names)
    else:
        labels = in_alphabetical_order(names)
    if len(labels) > _MOST_CLASSES:
        raise UserError(
            f"the labels are {number_of(len(labels), 'different word')} ({some(labels)}); "
            f"at most {_MOST_CLASSES:,} classes were expected"
        )
    index = {text: labels.index(name) for text, name in name_of.items() if name in labels}
    return Meaning(labels, index, None, f"words as labels: {_classes(labels)}")


def _classes(labels: Sequence[str]) -> str:
    """``2 classes cat (0), dog (1)``."""
    shown = [f"{label} ({number})" for number, label in enumerate(labels)]
    cut = [*shown[:10], "..."] if len(shown) > 12 else shown
    return f"{len(labels)} classes {', '.join(cut)}"


def check_one_kind(path: str, table: Table) -> None:
    """Raise UserError, with the line, if some labels of a table are numbers and others are words."""
    if table.faces.labels is None or table.found == FER2013:
        return
    is_number = np.array([text.isdigit() for text in table.found], bool)[table.faces.labels]
    if is_number.any() and not is_number.all():
        numbers_are_fewer = 2 * is_number.sum() < len(is_number)
        row = int(np.flatnonzero(is_number == numbers_are_fewer)[0])
        expected = "a word, as most labels are" if numbers_are_fewer else "a number, as most labels are"
        raise UserError(
            f"{place_of(path, table, row)}: the label is {table.found[table.faces.labels[row]]!r}; "
            f"expected {expected}"
        )


def place_of(path: str, table: Table, row: int) -> str:
    """``FILE, line N``; the row where a file has no lines."""
    return f"{path}, {'row' if table.form[:1] in (NPZ, PARQUET) else 'line'} {table.lines[row]}"


def with_meaning(path: str, table: Table, classes: str | Sequence[str]) -> tuple[Table, Meaning]:
    """Number the labels of a table by classes; rows of other classes are left out, with a note.

    Raises UserError as ``meaning_of``, with the line of a label that has no meaning.
    """
    meaning = _meaning_in(path, table, classes)
    new, notes = _renumbered(table, meaning.index), table.notes
    counts = np.bincount(table.faces.labels[new < 0], minlength=len(table.found))
    out = [f"{number_of(int(n), 'face')} of {t}" for t, n in zip(table.found, counts, strict=True) if n]
    if out:
        notes += (f"left out: {' and '.join(out)}, which config.classes does not name",)
    if not classes and meaning.numbers and not counts_from_zero(table):
        notes += (
            "the labels are 1 to 7: RAF-DB counts so, from surprise on; if these do: --config.classes=rafdb",
        )
    kept = table._replace(faces=table.faces.labelled(new), found=meaning.labels, notes=notes)
    return (kept.take(new >= 0) if out else kept), meaning


def counts_from_zero(table: Table) -> bool:
    """Whether the labels of a table are anything but the numbers 1 to 7."""
    used = {table.found[index] for index in np.unique(table.faces.labels)}
    return used != {str(number) for number in range(1, 8)}


def known_labels(
    path: str, table: Table, *, known: Sequence[str], classes: str | Sequence[str]
) -> np.ndarray | None:
    """Number the labels of a table by the classes that a network knows.

    Args:
      path: for messages.
      table: N faces.
      known: names of the network's classes.
      classes: what numbers mean, see ``config.classes``. If empty, they are those of the network, which for
        FER2013's seven are FER2013's.

    Returns:
      Indices int32 (N,) into ``known``, -1 for a class that is not among them; None without labels.

    Raises:
      UserError: a number without meaning; the message has its line.
    """
    if table.faces.labels is None:
        return None
    used = [table.found[index] for index in np.unique(table.faces.labels)]
    if all(text.isdigit() for text in used):
        by = classes or ("" if tuple(known) in (LABELS, EIGHT) else known)
        numbers = _meaning_in(path, table, by).numbers
        names = {text: numbers[int(text)] for text in used}
    else:
        names = {text: expression_of(text) or text for text in used}
    index = {name.casefold(): number for number, name in enumerate(known)}
    return _renumbered(table, {t: index.get(name.casefold(), -1) for t, name in names.items()})


def _meaning_in(path: str, table: Table, classes: str | Sequence[str]) -> Meaning:
    """``meaning_of`` the labels of a table. Raises UserError, with the line where it can be told."""
    labels = table.faces.labels
    try:
        return meaning_of([table.found[index] for index in np.unique(labels)], classes)
    except UnknownLabel as error:
        row = int(np.flatnonzero(labels == table.found.index(error.text))[0])
        where = place_of(path, table, row)
        raise UserError(f"{where}: the label is {error.text!r}; expected {error.expected}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _renumbered(table: Table, index: Mapping[str, int]) -> np.ndarray:
    """The labels of a table int32 (N,) by the index of each text, -1 for others."""
    new = np.array([index.get(text, -1) for text in table.found], np.int32)
    return new[table.faces.labels]


def summary(table: Table, described: str = "") -> str:
    """Say in a line what a file was taken for; nothing for one that is written as FER2013's."""
    if not table.form and not described:
        return ""
    kind = () if table.form[:1] in (NPZ, PARQUET) else ("CSV",)
    has_numbers = table.faces.labels is not None and not described
    return ", ".join([*kind, *table.form, described or "FER2013's numbers as labels" * has_numbers]).strip(
        ", "
    )
