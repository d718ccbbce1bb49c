"""Number the classes of a data set, by the names that its pictures have."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from fer_jax.data.class_names import (
    EIGHT,
    NUMBERINGS,
    expression_of,
    in_alphabetical_order,
    labels_of_expressions,
    spelt,
)
from fer_jax.data.layouts.names import class_in, expression_in, is_number
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.runtime.words import some


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes:
      labels: their names, in the order of their numbers.
      index_of: name of a class as a sample has it -> number of its class; names to leave out are missing.
      notes: lines to print.
      numbers: bare number among the names -> name of its class; None where they are words.
    """

    labels: tuple[str, ...]
    index_of: dict[str, int]
    notes: tuple[str, ...] = ()
    numbers: dict[int, str] | None = None


def number_classes(names: Collection[str], classes: str, *, source: str) -> Classes:
    """Number classes by the names that samples have.

    Expressions alone are FER2013's seven, or ``EIGHT`` where contempt occurs, whichever of them occur. With
    other names among them, all are the user's own classes, in alphabetical order.

    Args:
      names: of the classes of all samples.
      classes: ``config.classes``: empty; the numbering that bare numbers are read by; or the names of the
        classes to take, in their order.
      source: the data set, for messages.

    Raises:
      UserError: the names are bare numbers and ``classes`` does not say what they mean, or it does not fit.
    """
    ordered = sorted(set(names))
    if classes in NUMBERINGS:
        return _by_numbering(ordered, classes, source)
    if classes:
        return _by_list(ordered, classes, source)
    if ordered and all(is_number(name) for name in ordered):
        raise _refuse_numbers(ordered, source)
    expressions = {name: expression_in(name) for name in ordered}
    if all(expressions.values()):
        return _of_expressions(expressions)
    return _own(ordered, [name for name, expression in expressions.items() if expression])


def _of_expressions(expressions: dict[str, str], **options) -> Classes:
    """Number names that are expressions."""
    labels = labels_of_expressions(expressions.values())
    return Classes(labels, {name: labels.index(value) for name, value in expressions.items()}, **options)


def _own(names: Sequence[str], expressions: Sequence[str]) -> Classes:
    """Number the user's own names; those that differ in case, or name one expression, are one class."""
    label_of: dict[str, str] = {}
    for name in names:
        label_of.setdefault(class_in(name), expression_in(name) or name.strip())
    labels = in_alphabetical_order(label_of.values())
    index_of = {name: labels.index(label_of[class_in(name)]) for name in names}
    others = [name for name in names if name not in expressions]
    notes = ()
    if expressions:
        notes = (
            f"{some(others)}: no expression by name, so all names are classes of your own; "
            "--config.classes=NAME,NAME takes only those that you name",
        )
    return Classes(labels, index_of, notes)


def _by_numbering(names: Sequence[str], classes: str, source: str) -> Classes:
    """Read bare numbers by a numbering, and other names as expressions."""
    expressions = {}
    for name in names:
        if is_number(name):
            expression = NUMBERINGS[classes].get(int(name))
            expected = f"{spelt(NUMBERINGS[classes])} were expected by config.classes={classes}"
        else:
            expression = expression_in(name)
            expected = "leave out config.classes for classes of your own"
        if expression is None:
            raise UserError(f"{source}: {name!r} is no expression; {expected}")
        expressions[name] = expression
    numbers = {int(name): expression for name, expression in expressions.items() if is_number(name)}
    return _of_expressions(expressions, numbers=numbers or None)


def _by_list(names: Sequence[str], classes: str, source: str) -> Classes:
    """Take the classes of a list, in its order; a bare number counts the names of the list from 0."""
    wanted = [word.strip() for word in classes.split(",")]
    labels = tuple(expression_of(word) or word for word in wanted)
    position = {class_in(word): number for number, word in enumerate(wanted)}
    if len(position) < len(labels):
        raise UserError(f"config.classes: two names of {classes} mean one class; expected different ones")
    numbers = [int(name) for name in names if is_number(name)]
    if len(numbers) == len(names) and not all(is_number(word) for word in wanted):
        first = 1 if numbers and min(numbers) == 1 and max(numbers) == len(labels) else 0
        index_of = {name: int(name) - first for name in names if 0 <= int(name) - first < len(labels)}
        notes = ("the numbers of the folders are read from 1, as config.classes has no name for the last",)
        named = {int(name): labels[index] for name, index in index_of.items()}
        return Classes(labels, index_of, notes if first else (), named)
    index_of = {name: position[class_in(name)] for name in names if class_in(name) in position}
    missing = [word for number, word in enumerate(wanted) if number not in index_of.values()]
    if missing:
        there = some(names) or "none"
        raise UserError(
            f"{source}: no pictures of {some(missing)}, which config.classes names; its classes: {there}"
        )
    return Classes(labels, index_of)


def _refuse_numbers(names: Sequence[str], source: str) -> UserError:
    """Propose the numberings that have all these numbers, first those that have no others."""
    numbers = {int(name) for name in names}
    likely = [name for name, numbering in NUMBERINGS.items() if set(numbering) == numbers]
    possible = [name for name, numbering in NUMBERINGS.items() if set(numbering) > numbers]
    proposals = [f"--config.classes={name} ({spelt(NUMBERINGS[name])})" for name in likely or possible]
    if likely and possible:
        proposals.append(f"{', '.join(possible)} have further numbers")
    proposals.append("or --config.classes=NAME,NAME with your own names for 0, 1, and so on")
    shown = ", ".join(sorted(names, key=int)[:10])
    return UserError(f"{source}: classes {shown} are numbers; say what they mean: {'; '.join(proposals)}")


def describe_classes(labels: Sequence[str]) -> str:
    """``7 classes``; own classes with their names and numbers: ``2 classes: cats (0), dogs (1)``."""
    if tuple(labels) in (LABELS, EIGHT):
        return f"{len(labels)} classes"
    return f"{len(labels)} classes: " + ", ".join(f"{name} ({n})" for n, name in enumerate(labels))
