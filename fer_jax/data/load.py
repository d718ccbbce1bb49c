"""Load the data set that a config names, and split it: built-in faces, a CSV file, a folder, an archive."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fer_jax.data import kaggle
from fer_jax.data.class_names import EIGHT
from fer_jax.data.contrast import describe_flat, has_contrast
from fer_jax.data.faces import Faces, Source, Splits, digest
from fer_jax.data.layouts.archive import is_picture_archive, refuse_tar, unpacked
from fer_jax.data.meaning import known_labels, summary, with_meaning
from fer_jax.data.parquet import is_parquet
from fer_jax.data.parts import USAGE_OF
from fer_jax.data.picture_folders import read_picture_set
from fer_jax.data.read_table import read_table
from fer_jax.data.split import rows_shared, stratified_split
from fer_jax.data.synthetic import synthetic_splits
from fer_jax.data.tables import Table
from fer_jax.data.votes import Votes, describe_votes, label_by_votes, read_votes, target_in
from fer_jax.errors import UserError
from fer_jax.runtime.files import expand_user
from fer_jax.runtime.words import number_of


def load_dataset(config: Mapping[str, Any], *, teacher_votes: str = "") -> Splits:
    """Load the data set of a config; for ``teacher_votes`` see ``load_splits``.

    Raises UserError if it cannot be read.
    """
    if config["dataset"] != "synthetic":
        reading = _reading(config) | {"teacher_votes": teacher_votes}
        return load_splits(config["dataset"], **reading, **_drawing(config))
    if teacher_votes:
        raise UserError(f"config.teacher_votes: {teacher_votes} has no votes for the built-in faces")
    return synthetic_splits(**(dict(config["synthetic"]) | {"seed": seed_of_faces(config)}))


def load_to_score(config: Mapping[str, Any], *, trained_on: str) -> Splits:
    """Load the data set of a config for a network whose data set has the digest ``trained_on``.

    Where the network was not trained on it, and it has no validation faces, all faces that are not for
    testing are the validation faces, and none are left to train on. The note says so.

    Raises UserError as ``load_splits``, except that no faces to train on are needed.
    """
    dataset = config["dataset"]
    if dataset == "synthetic":
        return load_dataset(config)
    source = _read_source(dataset, **_reading(config))
    parts = source.parts
    try:
        splits = _split(dataset, source, **_drawing(config))
    except UserError:  # too few faces to draw some of them, or none to train on
        splits = None
    if splits and ("validation" in parts or digest(splits) == trained_on):
        return splits
    none = next(iter(parts.values())).take(np.zeros(0, int))
    if "validation" in parts:
        validation, note = parts["validation"], f"{dataset} has no training faces"
    else:
        validation = parts.get("train") or parts.get("all") or none
        note = (
            f"all {len(validation):,} labelled faces of {dataset} are scored: it has no validation faces of "
            "its own, and the network was not trained on it"
        )
    if not len(validation):
        note = f"{dataset} has test faces alone"
    splits = Splits(none, validation, parts.get("test"), labels=source.labels)
    return splits._replace(notes=(*_summary(source), note, *source.notes, *_without_contrast(splits)))


def _reading(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``_read_source``; runs of earlier versions lack some fields."""
    fields = ("cache", "skip_broken", "classes", "votes", "vote_target", "vote_share")
    return {name: config[name] for name in fields if name in config}


def _drawing(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``_split``."""
    return {name: config[name] for name in ("validation_fraction", "seed")}


def seed_of_faces(config: Mapping[str, Any]) -> int:
    """The seed of the built-in faces: ``synthetic.seed``, or that of the run if it is below 0 or missing."""
    seed = config["synthetic"].get("seed", -1)  # older runs lack it
    return seed if seed >= 0 else config["seed"]


def labelled_faces(splits: Splits, *, split: str, dataset: str) -> Faces:
    """The faces of one split, ``validation`` or ``test``.

    Raises UserError, with the name of the ``dataset``, if it has none with labels.
    """
    faces = getattr(splits, split)
    if faces is None or faces.labels is None or not len(faces):
        raise UserError(f"{dataset}: has no labelled {split} faces; choose another split")
    return faces


def load_splits(dataset: str, *, validation_fraction: float, seed: int, **reading: Any) -> Splits:
    """Load a labelled data set, and split it.

    A split of the source is kept: train on Training, choose on PublicTest, test on PrivateTest.

    Args:
      dataset: path of a CSV file (see ``read_csv``) or a folder of pictures (see ``read_picture_set``), or
        ``kaggle:OWNER/NAME`` (see ``kaggle.download``).
      validation_fraction: share of the training faces to draw for validation where the source has none:
        stratified by class, with all copies of a face in the same part.
      seed: of the draw.
      reading: how to read it; all of these may be left out.
        cache: whether a parsed CSV file is kept for the next time (see ``cached_read_csv``).
        skip_broken: whether pictures that cannot be read are left out instead of refused.
        classes: what the numbers of the labels mean, or which classes to take; see ``config.classes``.
        votes: path of FER+'s votes, row by row for a CSV file; they replace its labels.
        vote_target: what training learns of votes; see ``votes.decide``.
        vote_share: share of the votes in what training learns; the rest is that of a CSV file's own labels.
        teacher_votes: path of FER+'s votes, row by row for a CSV file. The labels stay, and the faces have
          the votes beside them.

    Returns:
      The parts, with labels. The notes say how validation was made, how many of its faces also occur byte
      for byte in training, and what is odd.

    Raises:
      UserError: the source cannot be read, has no labels or no faces to train on, or cannot be split.
    """
    source = _read_source(dataset, **reading)
    return _split(dataset, source, validation_fraction=validation_fraction, seed=seed)


def _read_source(
    dataset: str,
    *,
    cache: bool = True,
    skip_broken: bool = False,
    classes: str = "",
    votes: str = "",
    vote_target: str = "majority",
    vote_share: float = 1.0,
    teacher_votes: str = "",
) -> Source:
    """Read the labelled faces of a data set."""
    if dataset.startswith(kaggle.PREFIX):
        path = str(kaggle.download(dataset.removeprefix(kaggle.PREFIX)))
    else:
        path = expand_user(dataset)  # a shell leaves the ~ in --config.dataset=~/faces alone
    of_pictures = {"skip_broken": skip_broken, "classes": classes, "vote_target": vote_target}
    if os.path.isdir(path) and not is_parquet(path):
        _refuse_votes(f"{path} is a folder", votes, teacher_votes)
        return read_picture_set(path, **of_pictures)
    refuse_tar(path)
    if is_picture_archive(path):
        _refuse_votes(f"{path} holds pictures", votes, teacher_votes)
        with unpacked(path) as folder:
            source = read_picture_set(folder, **of_pictures)
        return _renamed(source, folder, path)
    table = read_table(path, require_labels=not votes, cache=cache, skip_broken=skip_broken)
    if teacher_votes:
        table = table._replace(faces=table.faces.voted(_votes_for(dataset, table, teacher_votes)))
    if votes:
        table = table._replace(votes=_votes_for(dataset, table, votes))
    elif table.faces.labels is not None:
        table, meaning = with_meaning(path, table, classes)
        described = summary(table, meaning.described)
        return Source(_parts(table), meaning.labels, table.notes, described, meaning.numbers)
    elif classes:
        raise UserError(f"config.classes: {path} has votes for eight classes; leave config.classes out")
    return _by_votes(dataset, table, votes or dataset, vote_target, share=vote_share)


def _refuse_votes(reason: str, votes: str, teacher_votes: str) -> None:
    """Raise UserError, with the ``reason``, if a config names votes, which belong to the rows of a table."""
    for field, path in (("votes", votes), ("teacher_votes", teacher_votes)):
        if path:
            raise UserError(f"config.{field}: {path} has votes for the rows of a CSV file; {reason}")


def _renamed(source: Source, folder: str, archive: str) -> Source:
    """Write the path of the archive for that of the folder in which it was unpacked."""
    parts = {}
    for part, faces in source.parts.items():
        ids = np.array([name.replace(folder, archive) for name in faces.ids])
        parts[part] = dataclasses.replace(faces, ids=ids)
    notes = tuple(note.replace(folder, archive) for note in source.notes)
    return source._replace(parts=parts, notes=notes)


def _by_votes(dataset: str, table: Table, source: str, target: str, *, share: float) -> Source:
    """Label the faces of a table by the votes of ``source``. Only training faces need no majority.

    Where the votes' ``share`` is below 1, training also learns the table's own labels.
    """
    own = _own_labels(dataset, table, share) if share < 1 else None
    parts, notes = {}, []
    for part, mask in _masks(table).items():
        part_target = target_in(part, target)
        learnt = own[mask] if own is not None and part in ("train", "all") else None
        voted = table.faces.take(mask), table.votes[mask]
        faces = label_by_votes(*voted, target=part_target, own=learnt, share=share)
        notes.append(describe_votes(source, part, part_target, len(faces), mask.sum()))
        if len(faces):
            parts[part] = faces
    if not parts:
        raise UserError(f"{source}: no face of {dataset} has a majority of votes")
    unlabelled = table._replace(faces=table.faces.labelled(None))
    return Source(parts, EIGHT, (*table.notes, *notes), summary(unlabelled))


def _own_labels(dataset: str, table: Table, share: float) -> np.ndarray:
    """The labels of a table int32 (N,), indices into ``EIGHT``, -1 for others. Raises UserError for none."""
    own = known_labels(dataset, table, known=EIGHT, classes="")
    if own is None:
        raise UserError(
            f"config.vote_share={share}: the rest is that of the labels of {dataset}, which has none; leave "
            "config.vote_share out"
        )
    return own


def _votes_for(dataset: str, table: Table, path: str) -> np.ndarray:
    """Read votes int64 (N, 10) for the rows of the table. Raises UserError unless they belong to these."""
    voted = read_votes(expand_user(path))
    _check_same_rows(dataset, table, path, voted)
    return voted.counts


def _check_same_rows(dataset: str, table: Table, path: str, voted: Votes) -> None:
    """Raise UserError unless the votes belong to the rows of the table."""
    rows, count = len(table.faces), len(voted.counts)
    if rows != count:
        raise UserError(
            f"{path}: has votes for {number_of(count, 'face')}, and {dataset} has {number_of(rows, 'face')}; "
            "one row of votes for each row of faces was expected, in the same order"
        )
    if table.usage is not None and voted.usage is not None and (voted.usage != table.usage).any():
        row = int(np.flatnonzero(voted.usage != table.usage)[0])
        raise UserError(
            f"{path}, line {row + 2}: Usage is {voted.usage[row]}, and {table.usage[row]} in {dataset}; "
            "the rows of both files must be in the same order"
        )


def _split(dataset: str, source: Source, *, validation_fraction: float, seed: int) -> Splits:
    """Make the splits of a data set; draw validation faces where it has none."""
    parts = source.parts
    train = parts.get("train") or parts.get("all")
    if not train:
        raise UserError(f"{dataset}: no faces to train on, only for {' and '.join(parts)}")
    if validation := parts.get("validation"):
        note = f"{len(train):,} training and {len(validation):,} validation faces, split as in {dataset}"
    else:
        train, validation, note = _draw(dataset, train, validation_fraction, seed)
    splits = Splits(train, validation, parts.get("test"), labels=source.labels, numbers=source.numbers)
    odd = (*source.notes, *_untaught(splits), *_without_contrast(splits))
    return splits._replace(notes=(*_summary(source), note, _overlap(splits), *odd))


def _summary(source: Source) -> tuple[str, ...]:
    return (source.summary,) if source.summary else ()


def _overlap(splits: Splits) -> str:
    shared = rows_shared(splits.validation.images, splits.train.images)
    return (
        f"{shared.sum():,} of the {len(shared):,} validation faces ({shared.mean():.1%}) "
        "also occur byte for byte in training"
    )


def _untaught(splits: Splits) -> Iterator[str]:
    """Make a line if there are classes that are never taught."""
    counts = np.bincount(splits.train.labels, minlength=len(splits.labels))
    taught = [label for label, count in zip(splits.labels, counts, strict=True) if count]
    missing = [label for label in splits.labels if label not in taught]
    if len(taught) == 1:
        yield f"all training faces are {taught[0]}: a network that learns from them answers nothing else"
    elif missing:
        yield f"no training faces of {', '.join(missing)}: what is trained here never learns to name them"


def _without_contrast(splits: Splits) -> Iterator[str]:
    """Make a line for each split that has faces without contrast."""
    for name, faces in zip(("training", "validation", "test"), splits[:3], strict=True):
        if faces is not None:
            ids = faces.ids[~has_contrast(faces.images)]
            if len(ids):
                yield describe_flat(list(ids), len(faces), f"{name} faces")


def _parts(table: Table) -> dict[str, Faces]:
    """The rows of a CSV file by part; those without rows are left out."""
    return {part: table.faces.take(mask) for part, mask in _masks(table).items()}


def _masks(table: Table) -> dict[str, np.ndarray]:
    """By part, a mask bool (N,) of its rows; parts without rows are left out."""
    if table.usage is None:
        return {"all": np.ones(len(table.faces), bool)}
    masks = {part: table.usage == usage for part, usage in USAGE_OF.items()}
    return {part: mask for part, mask in masks.items() if mask.any()}


def _draw(dataset: str, faces: Faces, fraction: float, seed: int) -> tuple[Faces, Faces, str]:
    """Split training faces into (train, validation, a note on how)."""
    try:
        train, validation = stratified_split(faces.images, faces.labels, fraction=fraction, seed=seed)
    except UserError as error:
        raise UserError(f"{dataset}: {error}") from error
    note = (
        f"{dataset} has no validation faces: {len(validation):,} of its {len(faces):,} training faces "
        f"({len(validation) / len(faces):.1%}) were drawn by seed {seed}, stratified by class"
    )
    return faces.take(train), faces.take(validation), note
