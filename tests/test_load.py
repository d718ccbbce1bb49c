"""From a path to splits: given ones are kept, others drawn, and the notes say which."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_jax.data.load import load_splits, load_unlabelled
from fer_jax.errors import UserError

REAL = Path(__file__).parents[2] / "shared" / "data" / "fer2013.csv.gz"


@pytest.fixture(autouse=True)
def _cache_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(path, usages, header="emotion,pixels,Usage"):
    """A row for each usage; the picture of row i is all i, its label i % 7."""
    rows = [header]
    for i, usage in enumerate(usages):
        row = {"emotion": i % 7, "id": f"id{i}", "pixels": " ".join([str(i)] * 2304), "Usage": usage}
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
    pixels = " ".join(["5"] * 2304)
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
    Image.fromarray(np.full((48, 48), value, np.uint8)).save(path)


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
    start = time.perf_counter()
    again = load(str(REAL))
    assert time.perf_counter() - start < 3  # 0.5 s from the cache, on a machine that has nothing else to do
    np.testing.assert_array_equal(again.train.images, splits.train.images)
