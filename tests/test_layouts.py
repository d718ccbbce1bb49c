"""Data sets of pictures as people have them (shared/LAYOUTS.md), on drawn pictures that know their class."""

import hashlib
import itertools
import types
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_jax.data.class_names import EIGHT, NUMBERINGS
from fer_jax.data.faces import digest
from fer_jax.data.kaggle import find_data
from fer_jax.data.layouts import archive
from fer_jax.data.layouts.names import expression_in
from fer_jax.data.load import load_splits
from fer_jax.data.parts import USAGE_OF, part_of, usage_of
from fer_jax.data.picture_folders import read_picture_set
from fer_jax.errors import UserError
from fer_jax.labels import LABELS

RAFDB = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
COUNTER = itertools.count()
LEVEL = {name: 20 * (number + 1) for number, name in enumerate(EIGHT)}
"""The grey level at the left of a picture of an expression."""


def draw(path, name, *, size=(48, 48), mode="L"):
    """Write a picture whose left half says its class; no two are the same."""
    picture = halves(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).resize(size, Image.Resampling.NEAREST).convert(mode).save(path)


def halves(name):
    picture = np.full((48, 48), level_of(name), np.uint8)
    picture[:, 24:] = 255
    picture[next(COUNTER) % 48, 40:] = next(COUNTER) % 256
    return picture


def level_of(name):
    """Of an expression ``LEVEL``, otherwise by its first letter."""
    return LEVEL.get(name) or ord(name[0].lower()) + 100


def check(parts, labels):
    """Each face shows the class that its label names."""
    for faces in parts.values():
        levels = faces.images[:, 24, 0, 0].astype(int)
        expected = [level_of(labels[label]) for label in faces.labels]
        np.testing.assert_allclose(levels, expected, atol=6)  # JPEG


def sizes(parts):
    return {part: len(faces) for part, faces in parts.items()}


def class_folders(root, names, *, suffix="png", count=2, **options):
    """Folders of pictures by name: name of the folder -> class; a list of names is both."""
    names = names if isinstance(names, dict) else dict(zip(names, names, strict=True))
    for folder, name in names.items():
        for number in range(count):
            draw(root / folder / f"{number}.{suffix}", name, **options)


def fer_plus(root):
    """By the columns of FER+: six votes for the class, and some that do not count."""
    order = (*NUMBERINGS["ferplus"].values(), "unknown", "NF")
    for folder in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        rows = []
        for number, name in enumerate(EIGHT):
            draw(root / folder / f"fer{number:07}.png", name)
            votes = [6 if column == name else 0 for column in order]
            votes[0] += 3
            rows.append(f'fer{number:07}.png,"(0, 0, 48, 48)",{",".join(map(str, votes))}\n')
        (root / folder / "label.csv").write_text("".join(rows))


def rafdb(root):
    (root / "EmoLabel").mkdir(parents=True)
    lines = []
    for part in ("train", "test"):
        for number, name in enumerate(RAFDB * 2, start=1):
            lines.append(f"{part}_{number:05}.jpg {RAFDB.index(name) + 1}\n")
            draw(root / f"Image/aligned/{part}_{number:05}_aligned.jpg", name, size=(100, 100), mode="RGB")
    (root / "EmoLabel" / "list_patition_label.txt").write_text("".join(lines))


def rafdb_of_kaggle(root):
    for part in ("train", "test"):
        class_folders(root / "DATASET" / part, {str(n): name for n, name in enumerate(RAFDB, start=1)})
        (root / f"{part}_labels.csv").write_text("image,label\ntrain_00001.jpg,5\n")


def affectnet_of_kaggle(root):
    names = ("Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
    for part in ("train", "val"):
        class_folders(root / part, {name: expression_in(name) for name in names}, size=(96, 96), mode="RGB")
    (root / "labels.csv").write_text("pth,label\nanger/image0000006.jpg,surprise\n")


def affectnet(root):
    for part in ("train_set", "val_set"):
        (root / part / "annotations").mkdir(parents=True)
        for number, name in enumerate(AFFECTNET):
            draw(root / part / "images" / f"{number}.jpg", name, size=(224, 224), mode="RGB")
            kind = str if number % 2 else int  # both are about
            np.save(root / part / "annotations" / f"{number}_exp.npy", np.array(kind(number)))
            np.save(root / part / "annotations" / f"{number}_val.npy", np.array(0.5))


def jaffe(root):
    codes = ("AN", "DI", "FE", "HA", "SA", "SU", "NE")
    for number, (code, name) in enumerate(zip(codes, LABELS, strict=True)):
        for person in ("KA", "YM"):
            draw(root / f"{person}.{code}1.{number + 39}.tiff", name, size=(256, 256))
    (root / "README_FIRST.txt").write_text("Terms")


def kdef(root):
    codes = ("AN", "DI", "AF", "HA", "SA", "SU", "NE")
    for person in ("AF01", "BM07"):
        for code, name in zip(codes, LABELS, strict=True):
            for angle in ("S", "FL"):
                draw(root / person / f"{person}{code}{angle}.JPG", name, size=(56, 76), mode="RGB")


def expw(root):
    """Two faces in each picture, cut out by their boxes."""
    (root / "image").mkdir(parents=True)
    lines = []
    for number, (left, right) in enumerate(zip(LABELS, LABELS[::-1], strict=True)):
        picture = np.full((100, 200), 77, np.uint8)
        for face, (name, x) in enumerate(((left, 20), (right, 120))):
            picture[30:78, x : x + 48] = halves(name)
            lines.append(f"{number}.png {face} 30 {x} {x + 48} 78 59.1 {LABELS.index(name)}\n")
        Image.fromarray(picture).save(root / "image" / f"{number}.png")
    (root / "label.lst").write_text("".join(lines))


def split_folders(*names):
    def build(root):
        for name in names:
            class_folders(root / name, LABELS)

    return build


def classes_in(*folders, **options):
    names = dict(zip(folders, options.pop("names", folders), strict=True))
    return lambda root: class_folders(root, names, **options)


NUMBERED = [f"{number}_{name}" for number, name in enumerate(LABELS)]
ROWS = {
    "FER+ folders": (
        fer_plus,
        {},
        (8, 8, 8),
        EIGHT,
        "FER+ folders: 8 training, 8 validation, 8 test, 8 classes",
    ),
    "folders of eight": (
        classes_in(*EIGHT),
        {},
        16,
        EIGHT,
        "pictures in folders by class: 16 faces, 8 classes",
    ),
    "RAF-DB": (rafdb, {}, (14, 0, 14), LABELS, "RAF-DB folders: 14 training, 14 test, 7 classes"),
    "RAF-DB on Kaggle": (rafdb_of_kaggle, {"classes": "rafdb"}, (14, 0, 14), LABELS, ""),
    "AffectNet on Kaggle": (affectnet_of_kaggle, {}, (16, 16, 0), EIGHT, ""),
    "AffectNet": (affectnet, {}, (8, 8, 0), EIGHT, "AffectNet folders: 8 training, 8 validation, 8 classes"),
    "0 to 6": (classes_in(*"0123456", names=LABELS), {"classes": "fer2013"}, 14, LABELS, ""),
    "0 to 6 by the alphabet": (
        classes_in(*"0123456", names=sorted(LABELS)),
        {"classes": "alphabetical"},
        14,
        LABELS,
        "",
    ),
    "0 to 7": (classes_in(*"01234567", names=AFFECTNET), {"classes": "affectnet"}, 16, EIGHT, ""),
    "0_angry": (classes_in(*NUMBERED, names=LABELS), {}, 14, LABELS, ""),
    "JAFFE": (jaffe, {}, 14, LABELS, "JAFFE pictures: 14 faces, 7 classes"),
    "KDEF": (kdef, {}, 28, LABELS, "KDEF pictures: 28 faces, 7 classes"),
    "ExpW": (expw, {}, 14, LABELS, "ExpW folders: 14 faces, 7 classes"),
    "Training, Val, test_images": (
        split_folders("Training", "Val", "test_images"),
        {},
        (14, 14, 14),
        LABELS,
        "",
    ),
    "PublicTest": (split_folders("train_set", "PublicTest", "PrivateTest"), {}, (14, 14, 14), LABELS, ""),
    "images/train": (split_folders("images/train", "images/validation"), {}, (14, 14, 0), LABELS, ""),
    "train/images": (split_folders("train/images", "valid/images"), {}, (14, 14, 0), LABELS, ""),
    "one too high": (split_folders("fer2013/train", "fer2013/dev"), {}, (14, 14, 0), LABELS, ""),
    "two too high": (split_folders("a/b/train", "a/b/eval"), {}, (14, 14, 0), LABELS, ""),
    "own classes": (
        classes_in("positive", "negative", "neutral", names=("positive", "negative", "neutral")),
        {},
        6,
        ("negative", "neutral", "positive"),
        "pictures in folders by class: 6 faces, 3 classes: negative (0), neutral (1), positive (2)",
    ),
    "cats": (classes_in("dogs", "Cats"), {}, 4, ("Cats", "dogs"), ""),
    "a mixture": (
        classes_in("Happiness", "bored", "sad", names=("happy", "bored", "sad")),
        {},
        6,
        ("bored", "happy", "sad"),
        "",
    ),
    "three of the seven": (classes_in("sad", "happy", "neutral"), {}, 6, LABELS, ""),
    "three by a list": (
        classes_in("sad", "Happiness", "neutral", names=("sad", "happy", "neutral")),
        {"classes": "neutral,happy,sad"},
        6,
        ("neutral", "happy", "sad"),
        "",
    ),
    "some by a list": (classes_in(*EIGHT), {"classes": "neutral,joy"}, 4, ("neutral", "happy"), ""),
    "numbers by a list": (
        classes_in(*"012", names=("neutral", "happy", "bored")),
        {"classes": "neutral,happy,bored"},
        6,
        ("neutral", "happy", "bored"),
        "",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_rows(tmp_path, row):
    build, options, expected, labels, summary = ROWS[row]
    build(tmp_path)
    found = read_picture_set(tmp_path, **options)
    assert found.labels == labels
    check(found.parts, found.labels)
    if isinstance(expected, int):
        expected = {"all": expected}
    else:
        pairs = zip(("train", "validation", "test"), expected, strict=True)
        expected = {part: count for part, count in pairs if count}
    assert sizes(found.parts) == expected
    assert found.summary.startswith(summary)
    assert bool(found.numbers) == (row.startswith(("0 ", "numbers", "RAF-DB on")))
    assert find_data(tmp_path, name="kaggle:a/b") in (tmp_path, *tmp_path.glob("*"), *tmp_path.glob("*/*"))


@pytest.mark.parametrize("above", ["", "archive/", "a/b/"])
@pytest.mark.parametrize("row", ["RAF-DB", "own classes", "FER+ folders", "JAFFE"])
def test_a_zip(tmp_path, row, above, monkeypatch):
    """With what macOS adds; ids, notes and errors have the path of the archive."""
    build, options, *_ = ROWS[row]
    build(tmp_path / "folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted((tmp_path / "folder").rglob("*")):
            file.write(member, above + str(member.relative_to(tmp_path / "folder")))
        file.writestr("__MACOSX/._1.jpg", b"x")
    named, packed = (
        load_splits(str(p), validation_fraction=0.3, seed=0, **options) for p in (tmp_path / "folder", path)
    )
    assert digest(named) == digest(packed)
    assert all(name.startswith(f"{path}/{above}") for name in packed.train.ids)
    assert packed.notes[0] == named.notes[0]
    assert not any("temporary" in note for note in packed.notes)
    assert list((tmp_path / "temporary").iterdir()) == []


def write_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return str(path)


def load(path, **options):
    return load_splits(str(path), validation_fraction=0.3, seed=0, cache=False, **options)


@pytest.mark.parametrize(
    "name", ["../happy/1.png", "/happy/1.png", "happy/../../1.png", r"..\1.png", "C:/1.png"]
)
def test_a_zip_that_would_write_elsewhere(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", {name: b"", "happy/2.png": b""})
    with pytest.raises(UserError, match=r"a.zip: holds .* which would be unpacked elsewhere"):
        load(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_a_zip_bomb(tmp_path, monkeypatch):
    """Not even begun to be unpacked."""
    monkeypatch.setattr(archive, "_FREE_OF_IT", 10**6)
    zeros = {f"happy/{n}.bmp": bytes(10**6) for n in range(3)}
    path = write_zip(tmp_path / "a.zip", zeros, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"a.zip: would become [\d,]+ times as large"):
        load(path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(free=9))
    path = write_zip(tmp_path / "b.zip", {"happy/1.png": b"12345678910"})
    with pytest.raises(UserError, match=r"b.zip: needs .* MiB in .*; unpack it yourself"):
        load(path)


def test_damaged_zips(tmp_path):
    class_folders(tmp_path / "f", ("cats", "dogs"))
    content = {
        f"{c}/{n}.png": (tmp_path / "f" / c / f"{n}.png").read_bytes() for c in ("cats", "dogs") for n in "01"
    }
    whole = (tmp_path / "a.zip", content)
    write_zip(*whole)
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    damaged[60] ^= 255
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(UserError, match=r"a.zip: cannot be unpacked .*complete .zip"):
        load(tmp_path / "a.zip")
    content["cats/0.png"] = b"no picture"
    with pytest.raises(UserError, match=r"^.*b.zip/cats/0.png: cannot be read as a picture"):
        load(write_zip(tmp_path / "b.zip", content))
    both = write_zip(tmp_path / "c.zip", {"cats": b"", "cats/1.png": b"1", "cats/1.png/2.png": b"2"})
    with pytest.raises(UserError, match=r"c.zip: cannot be unpacked"):
        load(both)


@pytest.mark.parametrize("name", ["a.tar", "a.TAR.GZ", "shard-000"])
def test_tar_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"\0" * 257 + b"ustar\0" + b"\0" * 300)
    with pytest.raises(UserError, match=r"is a tar file; unpack it .* CSV file"):
        load(tmp_path / name)


SPLITS = {
    "train": "train training Training TRAIN train_images train_set Train-Set trainset FER2013Train",
    "validation": "val valid validation Validation dev eval PublicTest val_set FER2013Valid val_images",
    "test": "test testing Test PrivateTest test_images test_set FER2013Test",
}


def test_names_of_splits():
    for part, names in SPLITS.items():
        assert {part_of(name) for name in names.split()} == {part}
    for name in (
        "images",
        "happy",
        "fer2013",
        "trainer",
        "contest",
        "set",
        "data",
        "0",
        "events",
        "testimony",
    ):
        assert part_of(name) is None


@pytest.mark.parametrize("part", SPLITS)
def test_values_of_a_column_that_name_parts(part):
    """Only these: a number beside the word may be that of a fold."""
    words = {"train": "Training TRAIN", "validation": "PublicTest val dev", "test": "PrivateTest testing"}
    for word in words[part].split():
        for value in (word, f" {word} ", f"{word}_set", f"{word}set", f"{word}_images", f"FER2013{word}"):
            assert usage_of(value) == USAGE_OF[part]
        for value in (f"{word}1", f"1{word}", f"{word} 2", f"{word}!", f"not {word}", f"{word}_setset"):
            assert usage_of(value) is None


ALIASES = {
    "angry": "angry anger Anger 0_angry 0-Angry",
    "disgust": "disgust disgusted",
    "fear": "fear fearful afraid scared Scared",
    "happy": "happy happiness joy JOY 3.happy",
    "sad": "sad sadness",
    "surprise": "surprise surprised suprise",
    "neutral": "neutral neutrality calm",
    "contempt": "contempt Contempt",
}


def test_names_of_expressions():
    for name, aliases in ALIASES.items():
        assert {expression_in(alias) for alias in aliases.split()} == {name}
    for other in ("cats", "0", "angry cat", "ne", "happys"):
        assert expression_in(other) is None


def test_what_lies_beside_is_passed_over_with_a_line(tmp_path):
    class_folders(tmp_path / "train", LABELS)
    class_folders(tmp_path / "train" / "__MACOSX", ["happy"])
    for name in (".ipynb_checkpoints/happy/1.png", "happy/._1.jpg", "__MACOSX/x/1.png"):
        draw(tmp_path / "train" / "a.png", "happy")
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / "a.png").rename(tmp_path / "train" / name)
    for name in (".DS_Store", "train/Thumbs.db", "train/sad/desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "train" / "contempt").mkdir()
    (tmp_path / "test").mkdir()
    draw(tmp_path / "docs" / "a.png", "happy")
    (tmp_path / "docs" / "a.png").unlink()
    class_folders(tmp_path / "images" / "train", LABELS)
    draw(tmp_path / "val" / "1.png", "happy")
    found = read_picture_set(tmp_path)
    assert (sizes(found.parts), found.labels) == ({"train": 14}, LABELS)
    assert set(found.notes) == {
        f"passed over: {tmp_path}/docs/ has no pictures",
        f"passed over: {tmp_path}/images/, which has splits of its own",
        f"passed over: {tmp_path}/test/ has no pictures in folders by class",
        f"passed over: {tmp_path}/train/contempt/ has no pictures",
        f"passed over: {tmp_path}/val/ has no pictures in folders by class",
        f"left out: 1 picture beside the folders ({tmp_path}/val/1.png)",
        "left out: 6 hidden files or folders",
    }


def test_the_folder_of_the_data_set_is_named_where_it_lies_deeper(tmp_path):
    class_folders(tmp_path / "archive" / "fer2013", LABELS)
    assert read_picture_set(tmp_path).notes == (f"{tmp_path}: the data set is in {tmp_path}/archive/fer2013",)


def test_fer2013_in_folders_is_as_ever(tmp_path):
    """The digest is that of the faces in the order of label and path."""
    rng = np.random.default_rng(0)
    faces = {part: [] for part in ("Training", "PublicTest", "PrivateTest")}
    for part, folder in (("Training", "train"), ("PublicTest", "test"), ("PrivateTest", "test")):
        for label, name in enumerate(LABELS):
            for number in (10, 9):
                image = rng.integers(0, 256, (48, 48), np.uint8)
                path = tmp_path / folder / name / f"{part}_{number}{label}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
                faces[part].append((label, path, image))
    splits = load(tmp_path)
    expected = hashlib.blake2b(digest_size=16)
    for part in ("Training", "PublicTest"):
        rows = sorted(faces[part], key=lambda row: row[:2])
        expected.update(np.stack([image for *_, image in rows]))
        expected.update(np.array([label for label, *_ in rows], np.int32))
    assert digest(splits) == expected.hexdigest()
    assert len(splits.test) == 14
    assert splits.notes[0] == "FER2013 in folders by class: 14 training, 14 validation, 14 test, 7 classes"


def test_soft_labels_of_fer_plus(tmp_path):
    fer_plus(tmp_path)
    table = tmp_path / "FER2013Train" / "label.csv"
    rows = table.read_text().splitlines()
    rows[0] = 'fer0000000.png,"(0, 0, 48, 48)",0,0,0,0,5,5,0,0,0,0'  # half the votes are no majority
    names = "Image name,box,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    table.write_text("\n".join([names, *rows]))
    (tmp_path / "FER2013Valid" / "label.csv").write_text("\n".join(rows))
    soft = read_picture_set(tmp_path, vote_target="probability")
    assert sizes(soft.parts) == {"train": 8, "validation": 7, "test": 8}
    np.testing.assert_allclose(soft.parts["train"].targets[0], [0.5, 0.5, 0, 0, 0, 0, 0, 0])
    assert soft.parts["validation"].targets is None
    assert sizes(read_picture_set(tmp_path).parts)["train"] == 7
    assert (
        f"votes of {tmp_path}/FER2013Valid/label.csv: 7 of 8 validation faces have a majority" in soft.notes
    )
    assert read_picture_set(tmp_path, classes="happy,sad").labels == ("happy", "sad")
    with pytest.raises(UserError, match=r"config.classes: .* has votes for eight classes"):
        read_picture_set(tmp_path, classes="happy,sad", vote_target="probability")


def test_boxes_are_cut_at_the_edge_of_the_picture(tmp_path):
    expw(tmp_path)
    lines = (tmp_path / "label.lst").read_text().splitlines()
    lines[0] = "0.png 0 -9 -5 20 20 59.1 0"
    (tmp_path / "label.lst").write_text("\n".join(lines))
    found = read_picture_set(tmp_path)
    first = found.parts["all"].images[list(found.parts["all"].ids).index(str(tmp_path / "image" / "0.png"))]
    assert np.all(first == 77)
    lines[0] = "0.png 0 10 300 400 20 59.1 0"
    (tmp_path / "label.lst").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"0.png: the box .* outside of its 200 x 100 pixels; .*skip_broken"):
        read_picture_set(tmp_path)
    assert len(read_picture_set(tmp_path, skip_broken=True).parts["all"]) == 13


@pytest.mark.parametrize(
    ("folders", "classes", "message"),
    [
        (
            "0123456",
            "",
            r"--config.classes=fer2013 \(0 angry, .*--config.classes=alphabetical \(0 angry, 1 disg",
        ),
        ("01234567", "", r"classes 0, 1, .* are numbers; .*=ferplus .*=affectnet .*=ckplus "),
        ("1234567", "", r"--config.classes=rafdb \(1 surprise, 2 fear, "),
        ("89", "", r"or --config.classes=NAME,NAME"),
        ("0123456", "rafdb", r"'0' is no expression; 1 surprise, .* expected by config.classes=rafdb"),
        (("cats", "dogs"), "fer2013", r"'cats' is no expression; leave out config.classes"),
        (
            ("happy", "sad"),
            "happy,neutrl",
            r"no pictures of neutrl, which config.classes names; .*: happy, sad",
        ),
        (("happy", "sad"), "happy,joy", r"two names of happy,joy mean one class"),
    ],
)
def test_classes_that_do_not_fit(tmp_path, folders, classes, message):
    class_folders(tmp_path, tuple(folders))
    with pytest.raises(UserError, match=message) as caught:
        read_picture_set(tmp_path, classes=classes)
    assert "\n" not in str(caught.value)


def test_classes_that_are_left_out_are_counted(tmp_path):
    class_folders(tmp_path, EIGHT)
    notes = read_picture_set(tmp_path, classes="neutral,happy,sad,angry,fear,disgust").notes
    assert notes == (
        "left out: pictures of classes that config.classes does not name: 2 of contempt, 2 of surprise",
    )


def test_numbers_of_a_list_from_one(tmp_path):
    class_folders(tmp_path, dict(zip("123", ("sad", "happy", "bored"), strict=True)))
    found = read_picture_set(tmp_path, classes="sad,happy,bored")
    check(found.parts, found.labels)
    assert "read from 1" in found.notes[0]


def spoil(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*path.read_text().splitlines(), *lines]))


@pytest.mark.parametrize(
    ("build", "name", "line", "message"),
    [
        (
            fer_plus,
            "FER2013Train/label.csv",
            "a.png,,1",
            r"label.csv, line 9: 'a.png,,1'; expected the picture's",
        ),
        (fer_plus, "FER2013Train/label.csv", 'a.png,"(0,0)"' + ",1" * 10, r"line 9: '\(0,0\)' is no box"),
        (fer_plus, "FER2013Train/label.csv", "../a.png," + ",1" * 10, r"line 9: '../a.png' is no name"),
        (
            rafdb,
            "EmoLabel/list_patition_label.txt",
            "train_9.jpg 8",
            r"line 29: 'train_9.jpg 8'; expected a line",
        ),
        (rafdb, "EmoLabel/list_patition_label.txt", "train_9.jpg 7", r"train_9_aligned.jpg: no such file"),
        (rafdb, "EmoLabel/list_patition_label.txt", "x_9.jpg 7", r"line 29: 'x_9.jpg 7'; expected"),
        (expw, "label.lst", "0.png 0 1 2 3 4 5 9", r"label.lst, line 15: .*; expected 'name.jpg face_id top"),
        (expw, "label.lst", "0.png 0 1 2 3", r"label.lst, line 15: .*; expected 'name.jpg face_id top"),
        (expw, "label.lst", "0.png 0 9 9 9 9 5 1", r"line 15: the box has no area"),
        (expw, "label.lst", "0.png 0 nan 0 9 9 5 1", r"line 15: .*; expected 'name.jpg"),
    ],
)
def test_bad_lines_are_named(tmp_path, build, name, line, message):
    build(tmp_path)
    spoil(tmp_path / name, line)
    with pytest.raises(UserError, match=message) as caught:
        read_picture_set(tmp_path)
    assert "\n" not in str(caught.value)


def answer(function, *args):
    """What it says: the summary, or the line of its UserError."""
    try:
        return function(*args).summary
    except UserError as error:
        return str(error)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.binary(max_size=40) | st.text(' 0123456789.,"()-_/a\0', max_size=60).map(str.encode))
)
def test_any_content_of_label_files_is_read_or_refused_in_a_line(tmp_path, lines):
    for number, (build, name, known) in enumerate(
        (
            (fer_plus, "FER2013Train/label.csv", b'a.png,"(0, 0, 9, 9)",9,0,0,0,0,0,0,0,0,0'),
            (rafdb, "EmoLabel/list_patition_label.txt", b"train_00001.jpg 1"),
            (expw, "label.lst", b"0.png 0 30 20 68 78 59.1 0"),
        )
    ):
        root = tmp_path / str(number)
        if not root.exists():
            build(root)
        (root / name).write_bytes(b"\n".join([known, *lines]))
        assert len(answer(read_picture_set, root).splitlines()) == 1


def test_numbers_too_long_for_python(tmp_path):
    for build, name, line in (
        (fer_plus, "FER2013Train/label.csv", "a.png,," + ",".join(["9" * 5000] * 10)),
        (fer_plus, "FER2013Train/label.csv", "x" * 200_000),
        (rafdb, "EmoLabel/list_patition_label.txt", "train_1.jpg " + "9" * 5000),
        (expw, "label.lst", "x" * 5000 + ".png 0 1 2 3 4 5 " + "9" * 5000),
    ):
        root = tmp_path / str(len(line))
        build(root)
        spoil(root / name, line)
        with pytest.raises(UserError, match=r"line \d+"):
            read_picture_set(root)


def test_labels_of_affectnet(tmp_path):
    affectnet(tmp_path)
    folder = tmp_path / "train_set" / "annotations"
    (folder / "0_exp.npy").unlink()
    np.save(folder / "1_exp.npy", np.array("10"))
    found = read_picture_set(tmp_path)
    assert sizes(found.parts) == {"train": 6, "validation": 8}
    assert found.notes == (
        f"left out: 1 picture without a label in {folder}",
        f"left out: 1 picture of {tmp_path}/train_set that are labelled as no expression",
    )
    for content in (np.array(11), np.array([1, 2]), np.array("x"), np.array(None, dtype=object)):
        np.save(folder / "2_exp.npy", content)
        with pytest.raises(UserError, match=r"2_exp.npy: .*--config.skip_broken=True"):
            read_picture_set(tmp_path)
    assert len(read_picture_set(tmp_path, skip_broken=True).parts["train"]) == 5


def test_faces_of_rafdb_that_are_not_unpacked(tmp_path):
    rafdb(tmp_path)
    (tmp_path / "Image").rename(tmp_path / "Elsewhere")
    with pytest.raises(
        UserError, match=r"expected Image/aligned/train_00001_aligned.jpg; unpack aligned.zip"
    ):
        read_picture_set(tmp_path)


def test_a_known_table_of_kaggle_goes_before_pictures(tmp_path):
    class_folders(tmp_path, LABELS)
    (tmp_path / "other.csv").write_text("x\n")
    assert find_data(tmp_path, name="a") == tmp_path
    (tmp_path / "fer2013.csv").write_text("emotion,pixels\n")
    assert find_data(tmp_path, name="a") == tmp_path / "fer2013.csv"
