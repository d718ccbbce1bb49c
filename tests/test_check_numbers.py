"""Numbers in another order are noticed, and numbers in the right one are not."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fer_jax.data.class_names import EIGHT, NUMBERINGS
from fer_jax.data.faces import Faces, Splits
from fer_jax.data.read_csv import read_csv_chunks, write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.data.tables import concatenated
from fer_jax.labels import LABELS
from fer_jax.runtime.command import plain
from fer_jax.train import check_numbers as module
from fer_jax.train.check_numbers import balanced_rows, better_order, check_numbers
from fer_jax.train.folder import RunFolder
from fer_jax.train.run import _load_data
from tiny_run import tiny_config

REAL = Path(__file__).parents[2] / "shared" / "data" / "fer2013.csv.gz"


def predictions(names, share, seed=0):
    """A network that is right about a share of the faces, and elsewhere answers at random, often happy."""
    draw = np.random.default_rng(seed)
    guesses = draw.choice(LABELS, len(names), p=[0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1])
    return np.where(draw.random(len(names)) < share, names, guesses)


def numbered(numbering, each=70):
    """Names of expressions, and their numbers in the data set."""
    names = np.repeat(LABELS, each)
    number_of = {name: number for number, name in NUMBERINGS[numbering].items()}
    return names, np.array([number_of[name] for name in names])


PAIRS = [
    (true, read)
    for true, read in itertools.product(NUMBERINGS, NUMBERINGS)
    if set(numbered(true)[1].tolist()) <= NUMBERINGS[read].keys()  # other numbers are refused
]


@pytest.mark.parametrize("share", [1.0, 0.67, 0.5])
@pytest.mark.parametrize(("true", "read"), PAIRS)
def test_each_order_read_as_each_other(true, read, share):
    names, raw = numbered(true)
    other = better_order(raw, predictions(names, share), NUMBERINGS[read])
    same = all(NUMBERINGS[true][number] == NUMBERINGS[read][number] for number in set(raw.tolist()))
    if same:
        assert other is None
    else:
        # FER2013's numbers are those of CK+ too.
        assert other.name == ("fer2013" if true == "ckplus" else true)
        assert other.agreement > other.in_force


@pytest.mark.parametrize("seed", range(20))
def test_a_network_that_knows_nothing_of_the_faces_notices_nothing(seed):
    """Whatever it prefers."""
    for numbering in NUMBERINGS:
        names, raw = numbered(numbering)
        assert better_order(raw, predictions(names, 0.0, seed), NUMBERINGS[numbering]) is None


def test_few_faces_and_few_expressions_say_nothing():
    names, raw = numbered("alphabetical", each=2)
    assert better_order(raw, names, NUMBERINGS["fer2013"]) is None
    names, raw = numbered("alphabetical")
    few = raw >= 4
    assert better_order(raw[few], names[few], NUMBERINGS["fer2013"]) is None


def test_balanced_rows():
    labels = np.repeat([0, 2, 3], [1000, 30, 500])
    rows = balanced_rows(labels, most=300)
    assert np.bincount(labels[rows]).tolist() == [100, 0, 30, 100]
    assert len(set(rows.tolist())) == len(rows)
    assert rows[labels[rows] == 0].max() > 900


def splits_of(faces, numbering, labels=LABELS):
    return Splits(faces, faces, None, (), labels, dict(numbering))


def test_what_has_no_known_order_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(module.shipped, "read", lambda name: pytest.fail("not needed"))
    faces = draw_faces(70, seed=0)
    assert check_numbers(Splits(faces, faces, None)) is None  # words, votes, the built-in faces
    own = ("a", "b", "c", "d", "e", "f", "g")
    assert check_numbers(splits_of(faces, enumerate(own), own)) is None
    assert check_numbers(splits_of(faces, {0: "angry", 1: "fear"})) is None  # the others are words
    few = faces.labelled(faces.labels % 3)
    assert check_numbers(splits_of(few, enumerate(LABELS))) is None


def test_the_data_of_a_new_run_are_looked_at(tmp_path, capsys):
    """The shipped network recognizes enough of the drawn faces."""
    faces, order = draw_faces(420, seed=0), sorted(LABELS)
    alphabetical = np.array([order.index(LABELS[label]) for label in faces.labels], np.int32)
    write_homework_csv(tmp_path / "a.csv", faces.labelled(alphabetical))
    config, folder = plain(tiny_config(dataset=str(tmp_path / "a.csv"))), RunFolder(tmp_path / "run")
    _, data = _load_data(config, folder, None)
    assert "to read them so: --config.classes=alphabetical" in capsys.readouterr().out
    _load_data(config, folder, SimpleNamespace(data=data))  # a run that was begun with them
    assert "--config.classes" not in capsys.readouterr().out

    splits, _ = _load_data(config | {"classes": "alphabetical"}, folder, None)
    assert "--config.classes" not in capsys.readouterr().out
    kept = {image.tobytes(): label for image, label in zip(faces.images, faces.labels, strict=True)}
    assert [kept[image.tobytes()] for image in splits.train.images] == splits.train.labels.tolist()

    write_homework_csv(tmp_path / "b.csv", faces)
    _load_data(config | {"dataset": str(tmp_path / "b.csv")}, folder, None)
    assert "--config.classes" not in capsys.readouterr().out


@pytest.mark.skipif(not REAL.exists(), reason=f"the real data are not at {REAL}")
def test_real_faces():
    """FER2013's own and RAF-DB-like numbers draw no line; alphabetical ones draw it."""
    table = concatenated([*itertools.islice(read_csv_chunks(REAL, require_labels=True), 6)])
    faces = Faces(table.faces.images, table.faces.labels, table.faces.ids)
    assert check_numbers(splits_of(faces, enumerate(LABELS))) is None
    for true, read, noticed in (
        ("rafdb", "rafdb", None),
        ("alphabetical", "fer2013", "alphabetical"),
    ):
        number_of = {name: number for number, name in NUMBERINGS[true].items()}
        names = [NUMBERINGS[read][number_of[LABELS[label]]] for label in faces.labels]
        labels = EIGHT if "contempt" in names else LABELS
        read_so = faces.labelled(np.array([labels.index(name) for name in names], np.int32))
        kept = {number: name for number, name in NUMBERINGS[read].items() if name in labels}
        line = check_numbers(splits_of(read_so, kept, labels))
        assert (line is None) == (noticed is None)
        if line:
            assert line.endswith(f"--config.classes={noticed}")
