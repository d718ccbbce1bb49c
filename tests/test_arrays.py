"""Data sets as .npz and as parquet: the drawn faces come back, what is no such file is told in one line."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from fer_jax.data.arrays import to_faces
from fer_jax.data.class_names import EIGHT
from fer_jax.data.inputs import load_unlabelled
from fer_jax.data.load import load_splits
from fer_jax.data.read_table import read_table, read_table_chunks
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS

FACES = draw_faces(28, seed=0)
IMAGES, NUMBERS = FACES.images, FACES.labels
WORDS = np.array([LABELS[label] for label in NUMBERS])


def load(path, **options):
    return load_splits(str(path), **{"validation_fraction": 0.2, "seed": 0} | options)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images", "labels"),
        ("x", "y"),
        ("X", "Y"),
        ("data", "target"),
        ("faces", "emotion"),
        ("x_train", "y_train"),
    ],
)
def test_names_of_arrays(tmp_path, images, labels):
    table = read_table(save(tmp_path / "a.npz", **{images: IMAGES, labels: NUMBERS}), require_labels=True)
    np.testing.assert_array_equal(table.faces.images, IMAGES)
    assert table.faces.labels.tolist() == NUMBERS.tolist()
    assert table.faces.ids.tolist() == [str(row) for row in range(28)]
    assert (table.usage is None) == ("train" not in images)


@pytest.mark.parametrize("style", ["x_{}", "{}_x"])
def test_parts_of_an_npz(tmp_path, style):
    arrays = {}
    for start, part in enumerate(("train", "val", "test")):
        arrays[style.format(part)] = IMAGES[start::3]
        arrays[style.format(part).replace("x", "labels")] = WORDS[start::3]
    splits = load(save(tmp_path / "a.npz", **arrays))
    for start, part in enumerate((splits.train, splits.validation, splits.test)):
        np.testing.assert_array_equal(part.images, IMAGES[start::3])
        assert [LABELS[label] for label in part.labels] == WORDS[start::3].tolist()
    assert splits.notes[0].startswith(".npz, words as labels: 7 classes angry (0), ")


@pytest.mark.parametrize(
    ("labels", "more"),
    [
        (NUMBERS.astype(float), {}),
        (NUMBERS[:, None], {}),
        (np.eye(7)[NUMBERS], {}),
        (WORDS.astype("S"), {}),
        ((NUMBERS + 1) % 7, {"class_names": np.roll(LABELS, 1)}),
    ],
)
def test_labels_of_an_npz(tmp_path, labels, more):
    splits = load(save(tmp_path / "a.npz", x=IMAGES, y=labels, x_val=IMAGES, y_val=labels, **more))
    assert splits.labels == LABELS
    for part in (splits.train, splits.validation):
        np.testing.assert_array_equal(part.images, IMAGES)
        assert part.labels.tolist() == NUMBERS.tolist()


def test_all_faces_beside_the_parts_of_an_npz(tmp_path):
    parts = {"x_train": IMAGES[:20], "y_train": NUMBERS[:20], "x_val": IMAGES[20:], "y_val": NUMBERS[20:]}
    splits = load(save(tmp_path / "a.npz", images=IMAGES, labels=NUMBERS, **parts))
    assert (len(splits.train), len(splits.validation)) == (20, 8)


def test_pixels_of_arrays():
    face, form = to_faces(IMAGES / np.float32(255), "a")
    np.testing.assert_array_equal(face, IMAGES)
    assert form == ("floats from 0 to 1, times 255",)
    for images in (IMAGES[..., 0], IMAGES.reshape(28, -1), np.moveaxis(IMAGES, 3, 1), IMAGES.astype(float)):
        np.testing.assert_array_equal(to_faces(images, "a")[0], IMAGES)
    colours = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), np.uint8)
    grey = colours @ [0.299, 0.587, 0.114]
    for images in (colours, np.moveaxis(colours, 3, 1)):
        assert np.abs(to_faces(images, "a")[0][..., 0] - grey).max() <= 1
    big = np.repeat(np.repeat(IMAGES, 2, 1), 2, 2)
    faces, form = to_faces(big, "a")
    assert form == ("96 x 96 pixels, scaled to 48 x 48",)
    assert np.abs(faces.astype(int) - IMAGES).mean() < 3


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"a": IMAGES}, r"holds a; arrays 'images' and 'labels'"),
        ({}, "holds nothing"),
        ({"x": IMAGES}, "x has no labels"),
        ({"x": IMAGES, "y": NUMBERS[:5]}, r"28 faces and labels of shape \(5,\)"),
        ({"x": IMAGES, "y": np.eye(7)}, "28 faces and labels of shape"),
        ({"x": IMAGES, "y": NUMBERS - 1}, r"label \d+ is .*-1.*; expected a whole number"),
        ({"x": IMAGES, "y": NUMBERS + 2}, r"row \d+: the label is '8'; expected 0 to 7"),
        ({"x": IMAGES, "y": NUMBERS, "class_names": np.array(["a", "b"])}, "a label is 6, and there are 2"),
        ({"x": IMAGES * 2.0, "y": NUMBERS}, "numbers from .* expected 0 to 255, or 0 to 1"),
        ({"x": IMAGES * np.nan, "y": NUMBERS}, "numbers from nan"),
        ({"x": IMAGES // 255, "y": NUMBERS}, "whole numbers from 0 to 1 alone"),
        ({"x": IMAGES[0, ..., 0], "y": NUMBERS}, r"uint8 \(48, 48\); expected pictures"),
        ({"x": WORDS, "y": NUMBERS}, "expected pictures"),
        ({"x": IMAGES, "y": np.array([{}] * 28, object)}, "cannot be read"),
    ],
)
def test_no_data_set_in_an_npz(tmp_path, arrays, what):
    path = save(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=what) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [4, 100, 30_000])
def test_a_damaged_npz(tmp_path, cut):
    path = save(tmp_path / "a.npz", x=IMAGES, y=NUMBERS)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"a\.npz"):
        load(path)


def test_chunks_of_an_npz(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_jax.data.read_table._AT_ONCE", 10)
    path = save(tmp_path / "a.npz", x=IMAGES, y=NUMBERS)
    assert [len(table.faces) for table in read_table_chunks(path)] == [10, 10, 8]
    assert next(read_table_chunks(path, skip=1, rows_skipped=10)).faces.ids[0] == "10"
    assert load_unlabelled(path).labels.tolist() == NUMBERS.tolist()


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0]).save(buffer, "png")
    return buffer.getvalue()


def write_parquet(path, *, names=None, labels=None, rows=slice(None), as_struct=True, column="image"):
    """A file as ``datasets`` writes it; ``names`` are those in its metadata."""
    pa = pytest.importorskip("pyarrow", reason="parquet needs pyarrow, which is not installed")
    from pyarrow import parquet

    pictures = [png(image) for image in IMAGES[rows]]
    values = [{"bytes": p, "path": None} for p in pictures] if as_struct else pictures
    table = pa.table(
        {column: values, "label": (NUMBERS if labels is None else np.asarray(labels))[rows].tolist()}
    )
    if names:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("as_struct", [True, False])
def test_parquet(tmp_path, as_struct):
    table = read_table(write_parquet(tmp_path / "a.parquet", as_struct=as_struct), require_labels=True)
    np.testing.assert_array_equal(table.faces.images, IMAGES)
    assert table.faces.labels.tolist() == NUMBERS.tolist()


@pytest.mark.parametrize("place", ["", "data"])
def test_parts_of_parquet(tmp_path, place):
    """Names of classes come from the file: here its numbers are in alphabetical order."""
    names = sorted(LABELS)
    labels = np.array([names.index(word) for word in WORDS])
    for part, rows in (
        ("train-00000-of-00002", slice(0, 10)),
        ("train-00001-of-00002", slice(10, 20)),
        ("validation-00000-of-00001", slice(20, 24)),
        ("test-00000-of-00001", slice(24, 28)),
    ):
        write_parquet(tmp_path / "set" / place / f"{part}.parquet", names=names, labels=labels, rows=rows)
    splits = load(tmp_path / "set")
    for part, rows in zip(splits[:3], (slice(0, 20), slice(20, 24), slice(24, 28)), strict=True):
        np.testing.assert_array_equal(part.images, IMAGES[rows])
        assert [LABELS[label] for label in part.labels] == WORDS[rows].tolist()
    assert splits.notes[0].startswith("parquet, words as labels: 7 classes angry (0), disgust (1), ")
    assert splits.numbers is None
    write_parquet(tmp_path / "set" / place / "more.parquet")
    with pytest.raises(UserError, match=r"more\.parquet: its name does not begin with train"):
        load(tmp_path / "set")


def test_other_classes_in_parquet(tmp_path):
    words = np.array(EIGHT)[NUMBERS + 1]
    splits = load(write_parquet(tmp_path / "train.parquet", labels=words))
    assert splits.labels == EIGHT
    splits = load(write_parquet(tmp_path / "train.parquet", labels=np.array(["cat", "dog"])[NUMBERS % 2]))
    assert splits.labels == ("cat", "dog")


def test_a_broken_picture_in_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="parquet needs pyarrow, which is not installed")
    from pyarrow import parquet

    pictures = [png(image) for image in IMAGES]
    pictures[3] = b"no picture"
    parquet.write_table(pa.table({"image": pictures, "label": NUMBERS.tolist()}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet, row 4: cannot be read .*--config.skip_broken=True"):
        load(tmp_path / "a.parquet")
    splits = load(tmp_path / "a.parquet", skip_broken=True)
    assert len(splits.train) + len(splits.validation) == 27
    assert any(note.startswith("left out: 1 picture that cannot be read: row 4 of ") for note in splits.notes)
    parquet.write_table(pa.table({"image": [1, 2], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="row 1: the picture is int; the bytes of a picture file"):
        load(tmp_path / "a.parquet")
    parquet.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"no column of pictures \('image'\) among text, label"):
        load(tmp_path / "a.parquet")


def test_damaged_parquet(tmp_path):
    path = write_parquet(tmp_path / "a.parquet")
    content = path.read_bytes()
    for damaged in (content[:100], content[:-10], content[:4]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.parquet: cannot be read .*complete parquet file"):
            load(path)


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"needs pyarrow: pip install -r requirements-parquet\.txt"):
        load(path)
