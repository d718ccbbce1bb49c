"""From a path to splits: given ones are kept, others drawn, and the notes say which."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_jax.data.contrast import has_contrast
from fer_jax.data.faces import digest
from fer_jax.data.inputs import find_input, load_unlabelled
from fer_jax.data.load import (
    labelled_faces,
    load_dataset,
    load_splits,
    load_to_score,
)
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError

REAL = Path(__file__).parents[2] / "shared" / "data" / "fer2013.csv.gz"


REST = " ".join(["0", "200"] * 1151 + ["0"])
"""The rest of a face with contrast, after its first pixel."""


@pytest.fixture(autouse=True)
def _cache_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(path, usages, header="emotion,pixels,Usage"):
    """A row for each usage; the picture of row i begins with i, its label is i % 7."""
    rows = [header]
    for i, usage in enumerate(usages):
        row = {"emotion": i % 7, "id": f"id{i}", "pixels": f"{i} {REST}", "Usage": usage}
        rows.append(",".join(str(row[name]) for name in header.split(",")))
    path.write_text("\n".join(rows))
    return str(path)


def load(path, **options):
    return load_splits(path, **{"validation_fraction": 0.2, "seed": 0, **options})


def values(faces):
    return faces.images[:, 0, 0, 0].tolist()


def test_given_split_is_kept(tmp_path):
    splits = load(write(tmp_path / "a.csv", ["PrivateTest", "Training", "PublicTest", "Training"]))
    assert (values(splits.train), values(splits.validation), values(splits.test)) == ([1, 3], [2], [0])
    assert splits.train.ids.tolist() == ["1", "3"]
    assert "2 training and 1 validation faces" in splits.notes[0]
    assert "0 of the 1 validation faces (0.0%)" in splits.notes[1]


def test_shared_faces_are_counted(tmp_path):
    path = tmp_path / "a.csv"
    pixels = f"5 {REST}"
    path.write_text(f"emotion,pixels,Usage\n0,{pixels},Training\n1,{pixels},PublicTest\n")
    assert "1 of the 1 validation faces (100.0%) also occur byte for byte" in load(str(path)).notes[1]


@pytest.mark.parametrize("header", ["emotion,pixels", "emotion,pixels,Usage"])
def test_split_is_drawn(tmp_path, header):
    usages = ["Training"] * 70 + (["PrivateTest"] * 3 if "Usage" in header else [])
    path = write(tmp_path / "a.csv", usages, header)
    splits = load(path)
    assert sorted(values(splits.train) + values(splits.validation)) == list(range(70))
    assert np.bincount(splits.validation.labels).tolist() == [2] * 7
    assert (splits.test and values(splits.test)) == ([70, 71, 72] if "Usage" in header else None)
    assert "14 of its 70 training faces (20.0%) were drawn by seed 0" in splits.notes[0]
    assert values(load(path).validation) == values(splits.validation)
    assert values(load(path, seed=1).validation) != values(splits.validation)
    assert values(load(path, cache=False).validation) == values(splits.validation)


@pytest.mark.parametrize(
    ("header", "usages", "what"),
    [
        ("id,pixels", ["Training"], "no column of labels"),
        ("emotion,pixels,Usage", ["PublicTest"], "no faces to train on, only for validation"),
        ("emotion,pixels", ["Training"], "no validation split can be drawn"),
    ],
)
def test_cannot_train(tmp_path, header, usages, what):
    path = write(tmp_path / "a.csv", usages, header)
    with pytest.raises(UserError, match=what) as caught:
        load(path)
    assert str(caught.value).startswith(path)


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    face = np.tile(np.array([value, 200], np.uint8), (48, 24))
    Image.fromarray(face).save(path)


def test_folders(tmp_path, monkeypatch):
    for value in range(5):
        save(tmp_path / "faces" / "happy" / f"{value}.png", value)
    splits = load(str(tmp_path / "faces"))
    assert (len(splits.train), len(splits.validation), splits.test) == (4, 1, None)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert values(load("~/faces").train) == values(splits.train)
    save(tmp_path / "parts" / "train" / "happy" / "0.png", 0)
    save(tmp_path / "parts" / "test" / "happy" / "PublicTest_1.png", 1)
    save(tmp_path / "parts" / "test" / "happy" / "PrivateTest_1.png", 2)
    splits = load(str(tmp_path / "parts"))
    assert [values(part) for part in splits[:3]] == [[0], [1], [2]]


def test_what_is_never_taught_is_noted(tmp_path):
    splits = load(write(tmp_path / "a.csv", ["Training"] * 4 + ["PublicTest"]))
    assert splits.notes[2:] == (
        "no training faces of sad, surprise, neutral: what is trained here never learns to name them",
    )
    path = tmp_path / "one.csv"
    path.write_text("emotion,pixels\n" + "".join(f"3,{i} {REST}\n" for i in range(10)))
    assert load(str(path)).notes[2:] == (
        "all training faces are happy: a network that learns from them answers nothing else",
    )
    assert len(load(write(tmp_path / "all.csv", ["Training"] * 7 + ["PublicTest"])).notes) == 2


def test_faces_without_contrast_are_counted_and_named(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{i % 7},{i} {REST}" for i in range(14)] + [f"0,{'0 ' * 2303}0", f"1,{'0 1 ' * 1151}0 1"]
    usages = ["Training"] * 13 + ["PublicTest", "Training", "PublicTest"]
    lines = [f"{row},{usage}" for row, usage in zip(rows, usages, strict=True)]
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]))
    assert load(str(path)).notes[2:] == (
        "1 of 14 training faces has no contrast: 14",
        "1 of 2 validation faces has no contrast: 15",
    )


def test_contrast_is_that_of_nearly_all_pixels():
    face = np.zeros((4, 48, 48, 1), np.uint8)
    face[1, :4, :5] = 255  # a bright spot of less than a hundredth
    face[2, :6, :5] = 255
    face[3, ::2] = 15
    assert has_contrast(face).tolist() == [False, False, True, False]
    face[3, ::2] = 16
    assert has_contrast(face)[3]
    assert has_contrast(face[:0]).tolist() == []


def test_what_an_input_is(tmp_path):
    """A CSV file under a picture's content is a picture; a pipe is read as CSV; a video is named."""
    save(tmp_path / "a.png", 9)
    (tmp_path / "a.png").rename(tmp_path / "a.csv")
    assert find_input(tmp_path / "a.csv").paths == [tmp_path / "a.csv"]
    assert find_input(write(tmp_path / "b.csv", ["Training"])) is None
    (tmp_path / "c.csv").write_text("img_wide,BM,P1 1")
    assert find_input(tmp_path / "c.csv") is None
    for name, content, what in (
        ("a.mp4", b"\0\0\0\x18ftypisom", "is a video"),
        ("b.mov", b"\0\0\0\x08wide\0\0", "is a video"),
        ("a.jxl", b"\xff\x0a", "a kind of picture that cannot be read here"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: {what}"):
            find_input(tmp_path / name)
    if hasattr(os, "mkfifo"):
        for name in ("pipe", "pipe.jpg"):
            os.mkfifo(tmp_path / name)
        assert find_input(tmp_path / "pipe") is None
        with pytest.raises(UserError, match=r"pipe.jpg: is a named pipe; a plain file was expected"):
            load_unlabelled(tmp_path / "pipe.jpg")


def test_broken_pictures_by_the_config(tmp_path):
    """A run of an earlier version has no such field."""
    for value in range(3):
        save(tmp_path / "happy" / f"{value}.png", value)
    (tmp_path / "happy" / "3.png").write_bytes(b"")
    config = {"dataset": str(tmp_path), "validation_fraction": 0.3, "seed": 0, "cache": True}
    for more in ({}, {"skip_broken": False}):
        with pytest.raises(UserError, match=r"3.png: cannot be read .*--config.skip_broken=True"):
            load_dataset(config | more)
    splits = load_dataset(config | {"skip_broken": True})
    assert len(splits.train) + len(splits.validation) == 3
    assert any(note.startswith("left out: 1 picture that cannot be read: ") for note in splits.notes)


def test_load_unlabelled(tmp_path):
    save(tmp_path / "faces" / "a.png", 9)
    for path in (tmp_path / "faces", str(tmp_path / "faces" / "a.png")):
        faces = load_unlabelled(path)
        assert (values(faces), faces.labels) == ([9], None)
        assert faces.ids.tolist() == [str(tmp_path / "faces" / "a.png")]
    faces = load_unlabelled(write(tmp_path / "a.csv", ["", ""], "id,pixels"))
    assert (values(faces), faces.labels, faces.ids.tolist()) == ([0, 1], None, ["id0", "id1"])
    faces = load_unlabelled(write(tmp_path / "b.csv", ["Training", "PrivateTest"]))
    assert (values(faces), faces.labels.tolist()) == ([0, 1], [0, 1])
    for name in ("none.csv", "none.png"):
        with pytest.raises(UserError, match="no such file"):
            load_unlabelled(tmp_path / name)


@pytest.mark.nightly
@pytest.mark.skipif(not REAL.exists(), reason=f"the real data are not at {REAL}")
def test_real_data():
    splits = load(str(REAL))
    assert (len(splits.train), len(splits.validation), splits.test) == (28_558, 3_589, None)
    assert splits.notes[1].startswith("279 of the 3,589 validation faces (7.8%)")
    # One is black, one dark with a bright spot; the others show faces.
    assert sum(int(note.split()[0]) for note in splits.notes[2:] if "no contrast" in note) == 2
    start = time.perf_counter()
    again = load(str(REAL))
    assert time.perf_counter() - start < 3  # 0.5 s from the cache, on a machine that has nothing else to do
    np.testing.assert_array_equal(again.train.images, splits.train.images)


def own_csv(path, faces, usages):
    """Labelled faces in a file of Kaggle's layout; None for a file without a split."""
    lines = [["emotion", "pixels"] + (["Usage"] if usages else [])]
    for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        row = [str(label), " ".join(map(str, image.ravel()))]
        lines.append([*row, usages[number % len(usages)]] if usages else row)
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    return str(path)


@pytest.mark.parametrize(
    ("usages", "split", "scored"),
    [
        (None, "validation", 70),  # not a tenth of them
        (["Training"], "validation", 70),
        (["PublicTest"], "validation", 70),  # and none to train on
        (["PublicTest", "PrivateTest"], "validation", 35),
        (["PrivateTest"], "test", 70),
        (["Training", "PublicTest"], "validation", 35),
    ],
)
def test_faces_to_score(tmp_path, usages, split, scored):
    """Labelled faces of the user's own, for a network that was not trained on them."""
    faces = draw_faces(70, seed=6)
    path = own_csv(tmp_path / "own.csv", faces, usages)
    config = {"dataset": path, "validation_fraction": 0.1, "seed": 0, "cache": False}
    splits = load_to_score(config, trained_on="other")
    found = labelled_faces(splits, split=split, dataset=path)
    assert len(found) == scored
    if scored == 70:
        np.testing.assert_array_equal(found.images, faces.images)
        assert len(splits.train) == 0
    assert path in splits.notes[0]


def test_faces_to_score_of_a_network_that_was_trained_on_them(tmp_path):
    path = own_csv(tmp_path / "own.csv", draw_faces(70, seed=6), None)
    config = {"dataset": path, "validation_fraction": 0.1, "seed": 0, "cache": False}
    trained = load_dataset(config)
    splits = load_to_score(config, trained_on=digest(trained))
    np.testing.assert_array_equal(splits.validation.images, trained.validation.images)
    assert len(splits.validation) == 7


def test_faces_to_score_that_show_nothing_are_named(tmp_path):
    faces = draw_faces(70, seed=6)
    faces.images[4] = 9
    path = own_csv(tmp_path / "own.csv", faces, None)
    config = {"dataset": path, "validation_fraction": 0.1, "seed": 0, "cache": False}
    notes = load_to_score(config, trained_on="other").notes
    assert notes[1:] == ("1 of 70 validation faces has no contrast: 4",)


def test_few_faces_to_score(tmp_path):
    """Too few to draw validation faces from them."""
    path = own_csv(tmp_path / "own.csv", draw_faces(3, seed=6), None)
    config = {"dataset": path, "validation_fraction": 0.1, "seed": 0, "cache": False}
    assert len(load_to_score(config, trained_on="other").validation) == 3


def test_labels_to_look_at_are_those_that_a_network_knows(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{word},{value} {REST}" for value, word in enumerate(["joy", "cat", "sad"])]
    path.write_text("\n".join(["label,pixels", *rows]))
    said = []
    faces = load_unlabelled(path, say=said.append, known=("sad", "happy"))
    assert (values(faces), faces.labels.tolist()) == ([0, 2], [1, 0])
    assert said == [f"left out: 1 face of {path} with labels that the network does not know"]
    faces = load_unlabelled(path, say=said.append, known=("dog",))
    assert (values(faces), faces.labels) == ([0, 1, 2], None)
