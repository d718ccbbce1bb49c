"""Rows are written as they are made, complete ones only; the same command goes on; what the command says."""

import csv
import dataclasses
import io
import os
import threading
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fer_jax
from fer_jax.data import read_csv as reading
from fer_jax.data.faces import Faces
from fer_jax.data.inputs import find_input
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.predict import rows
from fer_jax.predict import run as run_predict
from fer_jax.predict.faces import predict_csv
from fer_jax.predict.photos import predict_photos
from fer_jax.predict.table import table_header, table_rows, without_boxes
from tiny_run import run, tiny_config

FACES = draw_faces(21, seed=6)
OPTIONS = {"labels": LABELS, "with_probabilities": True, "key": "k"}


class Stop(BaseException):
    """Stands in for a signal."""


def network(calls=None, noted=None):
    """Stands in for a network that is stopped after some calls; notes the sizes of its batches."""

    def predict(images):
        if noted is not None:
            noted.append(len(images))
            if calls is not None and len(noted) > calls:
                raise Stop
        chances = np.full((len(images), 7), 0.05, np.float32)
        chances[np.arange(len(images)), images[:, 0, 0, 0] % 7] = 0.7
        return chances

    return predict


@pytest.fixture
def faces_csv(tmp_path, monkeypatch):
    """21 faces without ids, read about four at a time."""
    monkeypatch.setattr(reading, "_BYTES_AT_ONCE", 30_000)
    write_homework_csv(tmp_path / "faces.csv", FACES)
    return str(tmp_path / "faces.csv")


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "faces.csv")


def test_a_stopped_command_goes_on(faces_csv, tmp_path, capsys):
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    predict_csv(faces_csv, network(), whole, **OPTIONS)
    sizes = []
    with pytest.raises(Stop):
        predict_csv(faces_csv, network(2, sizes), out, **OPTIONS)
    assert len(set(sizes)) == 1
    left = (tmp_path / "out.csv.incomplete").read_text()
    assert whole.read_text().startswith(left)
    assert left.endswith("\n")
    count = left.count("\n") - 1
    assert 0 < count < 21
    # A kill in the middle of a row.
    with open(tmp_path / "out.csv.incomplete", "a") as file:
        file.write("17,3,0.0")
    capsys.readouterr()
    sizes = []
    predict_csv(faces_csv, network(None, sizes), out, **OPTIONS)
    printed = capsys.readouterr().out
    assert f"going on after {count} rows in {tmp_path / 'out.csv.incomplete'}" in printed
    assert f"accuracy {np.mean(FACES.images[:, 0, 0, 0] % 7 == FACES.labels):.2%}" in printed
    assert f"written: {out}, 21 rows" in printed
    assert out.read_bytes() == whole.read_bytes()
    assert sum(sizes) < 21 + max(sizes)
    assert names(tmp_path) == ["out.csv", "whole.csv"]


@pytest.mark.parametrize("key", ["other", None])
def test_rows_of_another_command_are_not_kept(faces_csv, tmp_path, capsys, key):
    out = tmp_path / "out.csv"
    with pytest.raises(Stop):
        predict_csv(faces_csv, network(2, []), out, **OPTIONS)
    predict_csv(faces_csv, network(), out, **OPTIONS | {"key": key})
    assert "out.csv.incomplete: of another input" in capsys.readouterr().out
    assert len(pd.read_csv(out)) == 21
    assert names(tmp_path) == ["out.csv"]


def test_an_output_that_was_there_stays_until_the_end(faces_csv, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("old")
    with pytest.raises(Stop):
        predict_csv(faces_csv, network(1, []), out, **OPTIONS)
    assert out.read_text() == "old"
    with rows.appended_rows(out, "", "k") as made:
        assert made.told().endswith(f"rows are in {out}.incomplete")


def test_bad_input_leaves_nothing(faces_csv, tmp_path):
    with open(faces_csv, "a") as file:
        file.write("-9,1 2 3\n")
    with pytest.raises(UserError, match=r"faces.csv, line 23: the label is '-9'"):
        predict_csv(faces_csv, network(), tmp_path / "out.csv", **OPTIONS)
    assert names(tmp_path) == []


def test_a_full_disk_leaves_complete_rows(tmp_path, monkeypatch):
    class Full(io.FileIO):
        """Takes a part of a row, then no more."""

        left = 30

        def write(self, data):
            part = bytes(data)[: self.left]
            if not part:
                raise OSError(28, "No space left on device")
            self.left -= len(part)
            return super().write(part)

    with rows.appended_rows(tmp_path / "o.csv", "id,label\n", "k") as made:
        made.append("a,1\n", {"rows": 1})
        made._file.close()
        made._file = Full(made.path, "a")
        made.append("b,2\n", {"rows": 1})
        with pytest.raises(OSError, match="No space left") as caught:
            made.append("c,3\n" * 20, {"rows": 20})
    assert caught.value.filename == str(tmp_path / "o.csv.incomplete")
    assert (tmp_path / "o.csv.incomplete").read_text() == "id,label\na,1\nb,2\n"


def test_two_commands_at_once(faces_csv, tmp_path):
    pytest.importorskip("fcntl")
    out = tmp_path / "out.csv"
    with rows.appended_rows(out, "id,label\n", "k") as made:
        made.append("a,1\n", {"rows": 1})
        with pytest.raises(UserError, match="another command is writing it"):
            predict_csv(faces_csv, network(), out, **OPTIONS)
        made.finish()
    assert out.read_text() == "id,label\na,1\n"


def test_links_stay_and_long_names_are_taken(faces_csv, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "out.csv")
    predict_csv(faces_csv, network(), tmp_path / "link.csv", **OPTIONS)
    assert (tmp_path / "link.csv").is_symlink()
    assert names(tmp_path / "real") == ["out.csv"]
    long = tmp_path / ("é" * 125 + ".csv")
    predict_csv(faces_csv, network(), long, **OPTIONS)
    assert len(pd.read_csv(long)) == 21


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("source", ["csv", "faces", "photos"])
def test_a_pipe_is_written_through(faces_csv, tmp_path, capsys, source):
    """And stays a pipe; there are no copies of photos beside it."""
    folder = tmp_path / "album"
    folder.mkdir()
    for row, image in enumerate(FACES.images[:3]):
        Image.fromarray(image[..., 0]).save(folder / f"{row}.png")
    if source == "photos":
        pytest.importorskip("cv2")
        large = Image.fromarray(FACES.images[3, ..., 0]).resize((200, 200))
        picture = Image.new("L", (400, 300), 120)
        picture.paste(large, (90, 50))
        picture.save(folder / "z.png")
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    if source == "csv":
        predict_csv(faces_csv, network(), pipe, **OPTIONS)
    else:
        predict_photos(str(folder), network(), pipe, **OPTIONS)
    reader.join(10)
    table = pd.read_csv(io.StringIO(got[0]))
    assert len(table) == {"csv": 21, "faces": 3, "photos": 4}[source]
    assert ("x" in table) == (source == "photos")
    assert pipe.is_fifo()
    assert names(tmp_path) == ["album", "pipe"]
    assert ("left out: copies" in capsys.readouterr().out) == (source == "photos")


def test_pictures_go_on_too(tmp_path, capsys):
    cv2 = pytest.importorskip("cv2")
    del cv2
    folder = tmp_path / "album"
    folder.mkdir()
    for row, image in enumerate(FACES.images):
        large = Image.fromarray(image[..., 0]).resize((200, 200))
        photo = Image.new("L", (400, 300), 120)
        photo.paste(large, (90, 50))
        photo.save(folder / f"{row:02}.png")
    (folder / "03.png").write_bytes(b"broken")
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"

    def predict_until(calls, output):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fer_jax.predict.photos._AT_ONCE", 5)
            predict_photos(str(folder), network(calls, []), output, **OPTIONS)

    with pytest.raises(UserError, match="1 of 21 pictures cannot be read"):
        predict_until(None, whole)
    with pytest.raises(Stop):
        predict_until(2, out)
    assert whole.read_text().startswith((tmp_path / "out.csv.incomplete").read_text())
    capsys.readouterr()
    with pytest.raises(UserError, match=r"1 of 21 pictures cannot be read; the others are in .*out.csv"):
        predict_until(None, out)
    assert out.read_bytes() == whole.read_bytes()
    assert names(tmp_path / "out_pictures") == names(tmp_path / "whole_pictures")
    assert "in 20 pictures" in capsys.readouterr().out


def test_tables():
    chances = np.eye(7, dtype=np.float32)[[3, 1]]
    ids, boxes = ['a,"b', "c\nd"], [(1, 2, 3, 4), (5, 6, 7, 8)]
    with_boxes, without = (
        table_header(with_boxes=given is not None, labels=LABELS)
        + table_rows(ids, chances, with_probabilities=True, boxes=given)
        for given in (boxes, None)
    )
    assert without_boxes(with_boxes) == without
    read = list(csv.reader(io.StringIO(with_boxes)))
    assert [row[:6] for row in read[1:]] == [
        [ids[0], "3", "1", "2", "3", "4"],
        [ids[1], "1", "5", "6", "7", "8"],
    ]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """Runs ``--mode=predict`` with the weights of tiny."""
    where = tmp_path_factory.mktemp("none")

    def predict(source, output, **options):
        paths = {"input": str(source), "output": str(output)}
        run("predict", tiny_config(), where / "run", shipped_name="tiny", **paths, **options)

    return predict


def test_standard_output_has_the_rows_alone(faces_csv, tmp_path, shipped, capfd):
    shipped(faces_csv, "-")
    printed, told = capfd.readouterr()
    assert len(pd.read_csv(io.StringIO(printed))) == 21
    assert "weights: fer_jax/weights/tiny.npz" in told
    assert "accuracy" in told


@pytest.mark.parametrize("source", ["csv", "album"])
def test_an_input_without_faces(tmp_path, shipped, capsys, source):
    """A table without rows, for both kinds; an empty folder is more likely a wrong path."""
    if source == "csv":
        (tmp_path / "in").write_text("id,feature\n\n")
    else:
        pytest.importorskip("cv2")
        (tmp_path / "in").mkdir()
        Image.new("L", (200, 100)).save(tmp_path / "in" / "a.png")
    shipped(tmp_path / "in", tmp_path / "out.csv")
    assert len(pd.read_csv(tmp_path / "out.csv")) == 0
    assert "out.csv, 0 rows" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.csv"]


def test_accuracy_is_that_of_each_part(tmp_path, capsys):
    pixels = [" ".join(map(str, image.ravel())) for image in FACES.images[:4]]
    usages = ["Training", "PublicTest", "Training", "PublicTest"]
    labels = FACES.images[:4, 0, 0, 0] % 7
    labels[1] = (labels[1] + 1) % 7
    lines = [",".join(row) for row in zip(map(str, labels), pixels, usages, strict=True)]
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]))
    predict_csv(str(path), network(), tmp_path / "out.csv", **OPTIONS)
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"accuracy 50.00%: 1 of 2 of PublicTest as labelled in {path}",
        f"accuracy 100.00%: 2 of 2 of Training as labelled in {path}",
    ]


def test_one_row_and_faces_without_contrast(tmp_path, shipped, capsys):
    images = np.concatenate([FACES.images[:2], np.zeros((1, 48, 48, 1), np.uint8)])
    faces = Faces(images, None, np.array(["a", "b", "dark"]))
    write_homework_csv(tmp_path / "in.csv", faces)
    shipped(tmp_path / "in.csv", tmp_path / "out.csv")
    assert "1 of 3 faces has no contrast: dark" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "out.csv")) == 3
    write_homework_csv(tmp_path / "in.csv", faces.take(np.array([0])))
    shipped(tmp_path / "in.csv", tmp_path / "out.csv")
    assert "out.csv, 1 row\n" in capsys.readouterr().out
    write_homework_csv(tmp_path / "in.csv", faces.take(np.array([2])))
    with pytest.raises(UserError, match=r"in.csv: the only face has no contrast"):
        shipped(tmp_path / "in.csv", tmp_path / "new.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("new/", "is a folder; a CSV file to write was expected, as .*new/out.csv"),
        ("out.jpg", "give it another name, as .*out.csv"),
        ("out.csv.gz", "give it another name"),
        ("out.XLSX", "give it another name"),
        ("in.csv/out.csv", "in.csv is a file; a folder to write in was expected"),
    ],
)
def test_outputs_that_are_no_place_for_a_table(tmp_path, shipped, name, line):
    write_homework_csv(tmp_path / "in.csv", FACES)
    with pytest.raises(UserError, match=rf"^--output=[^\n]*: [^\n]*{line}"):
        shipped(tmp_path / "in.csv", f"{tmp_path}/{name}")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_csv_file_may_come_through_a_pipe(faces_csv, tmp_path, shipped):
    content, pipe = Path(faces_csv).read_text(), tmp_path / "in"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(content))
    writer.start()
    shipped(pipe, tmp_path / "out.csv")
    writer.join(10)
    assert len(pd.read_csv(tmp_path / "out.csv")) == 21


def test_the_same_command_is_one_of_equal_input_weights_and_flags(tmp_path):
    path, folder = tmp_path / "in.csv", tmp_path / "album"
    path.write_text("x")
    folder.mkdir()
    Image.fromarray(FACES.images[0, ..., 0]).save(folder / "a.png")
    tiny = fer_jax.load("tiny")
    other = dataclasses.replace(tiny, weights=tiny.weights._replace(temperatures={"one": 1.5}))
    changed = jax.tree.map(lambda leaf: leaf * 1.5, tiny.weights.variables)
    wider = dataclasses.replace(tiny, weights=tiny.weights._replace(variables=changed))

    def key(source=path, networks=((tiny, "one"),), probabilities=False):
        found = find_input(source)
        return run_predict._key(str(source), found and found.paths, networks, probabilities)

    first = key()
    assert key() == first
    keys = [first, key(folder), key(networks=((tiny, "flip"),)), key(networks=((other, "one"),))]
    keys += [key(networks=((wider, "one"),)), key(networks=((tiny, "one"),) * 2), key(probabilities=True)]
    path.write_text("y")
    os.utime(path, ns=(0, 0))
    keys.append(key())
    Image.fromarray(FACES.images[1, ..., 0]).save(folder / "b.png")
    keys.append(key(folder))
    assert len(set(keys)) == len(keys)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert key(tmp_path / "pipe") is None


def write_words(path, words, column="label"):
    pixels = [" ".join(map(str, image.ravel())) for image in FACES.images]
    pd.DataFrame({column: words, "pixels": pixels}).to_csv(path, index=False)
    return str(path)


def printed_accuracy(path, labels, capsys, classes=""):
    """The network sees the class ``pixel % 7``."""
    predict_csv(
        path, network(), Path(path).with_suffix(".out"), **OPTIONS | {"labels": labels}, classes=classes
    )
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith(("accuracy", "not among"))]


def test_accuracy_goes_by_the_names_of_classes(tmp_path, capsys):
    seen = FACES.images[:, 0, 0, 0] % 7
    words = write_words(tmp_path / "a.csv", [LABELS[label].upper() for label in seen])
    assert printed_accuracy(words, LABELS, capsys) == [f"accuracy 100.00%: 21 of 21 as labelled in {words}"]
    order = tuple(reversed(LABELS))  # of another network, which numbers its answers so
    right = int(sum(order[label] == LABELS[label] for label in seen))
    assert printed_accuracy(words, order, capsys)[0].startswith(f"accuracy {right / 21:.2%}: {right} of 21")
    own = (*LABELS[:5], "cat", "dog")
    unknown = int((seen > 4).sum())
    assert printed_accuracy(words, own, capsys) == [
        f"accuracy 100.00%: {21 - unknown} of {21 - unknown} as labelled in {words}",
        f"not among them: {unknown} faces with labels that the network does not know",
    ]
    others = write_words(tmp_path / "b.csv", ["cow"] * 21)
    assert printed_accuracy(others, LABELS, capsys) == [
        "not among them: 21 faces with labels that the network does not know"
    ]


def test_accuracy_where_numbers_are_those_of_another_set(tmp_path, capsys):
    seen = FACES.images[:, 0, 0, 0] % 7
    alphabetical = write_words(tmp_path / "a.csv", [sorted(LABELS).index(LABELS[label]) for label in seen])
    assert "accuracy 100.00%" not in printed_accuracy(alphabetical, LABELS, capsys)[0]
    assert "accuracy 100.00%" in printed_accuracy(alphabetical, LABELS, capsys, "alphabetical")[0]
    own = tuple("abcdefg")
    numbers = write_words(tmp_path / "b.csv", seen)
    assert "accuracy 100.00%" in printed_accuracy(numbers, own, capsys)[0]


def test_classes_of_a_command(trained_run, tmp_path, capsys):
    """A flag says what the numbers of the input mean."""
    trained_run(tmp_path / "run")
    classifier = fer_jax.load(tmp_path / "run")
    seen = classifier.predict(FACES.images).argmax(1)
    words = [classifier.labels[label] for label in seen]
    path = write_words(tmp_path / "a.csv", [sorted(LABELS).index(word) for word in words], "emotion")
    options = {"input": path, "output": str(tmp_path / "out.csv")}
    run("predict", tiny_config(classes="alphabetical"), tmp_path / "run", overrides=["classes"], **options)
    assert "accuracy 100.00%: 21 of 21" in capsys.readouterr().out


def test_what_a_file_is_read_as_is_printed(tmp_path, capsys):
    path = write_words(tmp_path / "a.csv", FACES.labels)
    text = Path(path).read_text().replace(",", ";")
    Path(path).write_text(text)
    predict_csv(path, network(), tmp_path / "out.csv", **OPTIONS)
    assert f"{path}: read as semicolons between columns" in capsys.readouterr().out
