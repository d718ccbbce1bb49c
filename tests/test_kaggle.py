"""Data sets of kaggle.com, with a stand-in for the download."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from fer_jax.data.kaggle import download, find_data
from fer_jax.data.load import load_splits
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """The folder that the stand-in has fetched; asking for any other name fails."""

    def dataset_download(name):
        if name != "someone/faces":
            raise OSError("403 Client Error\nsecond line")
        return str(tmp_path)

    module = types.SimpleNamespace(dataset_download=dataset_download)
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return tmp_path


def test_csv_file(fetched):
    faces = draw_faces(70, seed=0)
    (fetched / "archive").mkdir()
    write_homework_csv(fetched / "archive" / "train.csv", faces)
    (fetched / "sample_submission.csv").write_text("id,label\n")
    splits = load_splits("kaggle:someone/faces", validation_fraction=0.2, seed=0, cache=False)
    drawn = np.concatenate([splits.train.images, splits.validation.images])
    assert sorted(map(bytes, drawn)) == sorted(map(bytes, faces.images))


@pytest.mark.parametrize("above", ["", "images"])
def test_pictures(fetched, above):
    """Found below a folder of its own too."""
    root = fetched / above
    for part in ("train", "test"):
        for label in LABELS:
            (root / part / label).mkdir(parents=True)
            Image.fromarray(np.zeros((48, 48), np.uint8)).save(root / part / label / "1.png")
    assert download("someone/faces") == root


def test_classes_alone(fetched):
    for label in LABELS:
        (fetched / label).mkdir()
        Image.fromarray(np.zeros((48, 48), np.uint8)).save(fetched / label / "1.png")
    assert download("someone/faces") == fetched


def test_nothing_of_the_kind(fetched):
    (fetched / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"kaggle:someone/faces: no CSV file in .*; expected one CSV file"):
        download("someone/faces")
    for name in ("a.csv", "b.csv"):
        (fetched / name).write_text("x\n")
    with pytest.raises(UserError, match=r"a\.csv, b\.csv in"):
        find_data(fetched, name="kaggle:someone/faces")


def test_cannot_be_fetched(fetched):
    with pytest.raises(UserError, match=r"kaggle:no/one: cannot be fetched .*403 Client Error.* by hand"):
        download("no/one")


@pytest.mark.parametrize("name", ["faces", "/faces", "faces/", "a/b/c"])
def test_names(name):
    with pytest.raises(UserError, match=r"expected kaggle:OWNER/NAME"):
        download(name)


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-kaggle\.txt"):
        download("someone/faces")
