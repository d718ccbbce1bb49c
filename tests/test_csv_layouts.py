"""CSV files as people have them: each layout gives the drawn faces that were written, or one clear line."""

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_jax.data.class_names import EIGHT, NUMBERINGS
from fer_jax.data.load import load_splits, load_to_score
from fer_jax.data.meaning import known_labels
from fer_jax.data.read_csv import read_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.data.votes import label_by_votes
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from test_votes import FER_PLUS as VOTED

FACES = draw_faces(28, seed=0)
WORDS = [LABELS[label] for label in FACES.labels]


def pixels(image, between=" ", around=("", "")):
    return around[0] + between.join(map(str, image.ravel())) + around[1]


def columns(**changes):
    """Columns of a file of the drawn faces, half of them for validation."""
    table = {
        "emotion": FACES.labels.tolist(),
        "pixels": [pixels(image) for image in FACES.images],
        "Usage": ["Training", "PublicTest"] * 14,
    }
    return {name: values for name, values in (table | changes).items() if values is not None}


def write(path, table, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return str(path)


def load(path, **options):
    return load_splits(str(path), **{"validation_fraction": 0.2, "seed": 0, "cache": False} | options)


def check(splits, *, labels=LABELS, names=None, tolerance=0):
    """The splits hold the drawn faces in their order, with the names of their classes."""
    assert splits.labels == tuple(labels)
    names = names or WORDS
    for part, start in ((splits.train, 0), (splits.validation, 1)):
        assert [splits.labels[label] for label in part.labels] == names[start::2]
        difference = np.abs(part.images.astype(int) - FACES.images[start::2])
        assert difference.max() <= tolerance


def test_fer2013_itself_prints_nothing_new(tmp_path):
    splits = load(write(tmp_path / "a.csv", columns()))
    check(splits)
    assert splits.notes[0].startswith("14 training and 14 validation faces, split as in ")
    assert not any("CSV" in note or "labels" in note for note in splits.notes)
    assert splits.numbers == dict(enumerate(LABELS))


SHAPES = {
    "semicolons": (columns(), {"delimiter": ";"}, "CSV, semicolons between columns, FER2013's numbers"),
    "tabs": (columns(), {"delimiter": "\t"}, "CSV, tabs between columns, FER2013's numbers as labels"),
    "index": ({"": range(28)} | columns(), {}, None),
    "spaces in the header": (
        {"emotion": columns()["emotion"], " Usage": columns()["Usage"], " pixels": columns()["pixels"]},
        {},
        None,
    ),
    "3.0": (columns(emotion=[f"{label}.0" for label in FACES.labels]), {}, None),
    "a list": (
        columns(pixels=[pixels(image, ", ", "[]") for image in FACES.images]),
        {},
        "CSV, pixels as a list, FER2013's numbers as labels",
    ),
    "numpy's list": (
        columns(pixels=[pixels(image, " ", "[]") for image in FACES.images]),
        {},
        "CSV, pixels as a list, FER2013's numbers as labels",
    ),
    "commas": (
        columns(pixels=[pixels(image, ",") for image in FACES.images]),
        {},
        "CSV, pixels as a list, FER2013's numbers as labels",
    ),
    "commas between semicolons": (
        columns(pixels=[pixels(image, ",") for image in FACES.images]),
        {"delimiter": ";"},
        "CSV, semicolons between columns, pixels as a list, FER2013's numbers as labels",
    ),
    "floats from 0 to 1": (
        columns(pixels=[pixels((image / 255).round(4)) for image in FACES.images]),
        {},
        "CSV, floats from 0 to 1, times 255, FER2013's numbers as labels",
    ),
    "floats from 0 to 255": (
        columns(pixels=[pixels(image.astype(float), ", ", "[]") for image in FACES.images]),
        {},
        "CSV, pixels as a list, floats from 0 to 255, FER2013's numbers as labels",
    ),
    "one column a pixel": (
        columns(pixels=None) | {f"pixel{n}": FACES.images.reshape(28, -1)[:, n] for n in range(2304)},
        {},
        "CSV, one column a pixel, FER2013's numbers as labels",
    ),
    "one column a pixel, without names": (
        {str(n): FACES.images.reshape(28, -1)[:, n] for n in range(2304)} | columns(pixels=None),
        {},
        "CSV, one column a pixel, FER2013's numbers as labels",
    ),
    "words": (
        columns(emotion=[word.capitalize() for word in WORDS]),
        {},
        "CSV, words as labels: 7 classes angry (0), disgust (1), fear (2), happy (3), sad (4), surprise (5), "
        "neutral (6)",
    ),
    "other names of columns": (
        {"class": FACES.labels, "features": columns()["pixels"], "split": ["train", "val"] * 14},
        {},
        None,
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(tmp_path, name):
    table, options, note = SHAPES[name]
    splits = load(write(tmp_path / "a.csv", table, **options))
    check(splits)
    if note is None:
        assert splits.notes[0].startswith("14 training")
    else:
        assert splits.notes[0].startswith(note)


def test_commas_without_quotes(tmp_path):
    """The header has two columns and a row 2305 fields."""
    path = tmp_path / "a.csv"
    rows = [f"{label},{pixels(image, ',')}" for label, image in zip(FACES.labels, FACES.images, strict=True)]
    path.write_text("\n".join(["label,pixels", *rows]))
    table = read_csv(path, require_labels=True)
    np.testing.assert_array_equal(table.faces.images, FACES.images)
    assert table.faces.labels.tolist() == FACES.labels.tolist()


@pytest.mark.parametrize("side", [32, 64])
def test_other_squares_are_scaled_as_pictures_are(tmp_path, side):
    big = [np.array(Image.fromarray(image[..., 0]).resize((side, side))) for image in FACES.images]
    splits = load(write(tmp_path / "a.csv", columns(pixels=[pixels(image) for image in big])))
    expected = [np.array(Image.fromarray(image).resize((48, 48), Image.Resampling.BILINEAR)) for image in big]
    np.testing.assert_array_equal(splits.train.images[..., 0], expected[::2])
    assert splits.notes[0].startswith(f"CSV, {side} x {side} pixels, scaled to 48 x 48, FER2013's numbers")


@pytest.mark.parametrize(
    ("train", "validation"),
    [("train", "val"), ("TRAIN", "Valid"), ("training", "validation"), ("Train ", "dev"), ("train", "eval")],
)
def test_usages(tmp_path, train, validation):
    check(load(write(tmp_path / "a.csv", columns(Usage=[train, validation] * 14))))


def test_testing_faces(tmp_path):
    splits = load(write(tmp_path / "a.csv", columns(Usage=["train", "test", "val", "testing"] * 7)))
    assert [len(part) for part in splits[:3]] == [7, 7, 14]


def test_a_split_of_numbers_is_ignored(tmp_path):
    """They are folds, not parts."""
    table = columns(Usage=None) | {"split": [0, 1, 2, 3] * 7}
    assert "were drawn by seed 0" in load(write(tmp_path / "a.csv", table)).notes[0]


ALIASES = {
    "angry": ("Anger", "ANGRY"),
    "disgust": ("disgusted", "Disgust"),
    "fear": ("fearful", "Afraid", "scared"),
    "happy": ("happiness", "Joy"),
    "sad": ("Sadness", "sad"),
    "surprise": ("surprised", "Suprise"),
    "neutral": ("calm", "neutrality"),
}


def test_aliases(tmp_path):
    words = [ALIASES[word][row % len(ALIASES[word])] for row, word in enumerate(WORDS)]
    check(load(write(tmp_path / "a.csv", columns(emotion=words))))


def test_own_words_are_classes_in_alphabetical_order(tmp_path):
    words = [["positive", "Negative", "neutral"][label % 3] for label in FACES.labels]
    splits = load(write(tmp_path / "a.csv", columns(emotion=words)))
    check(splits, labels=("Negative", "neutral", "positive"), names=words)
    assert splits.notes[0] == "CSV, words as labels: 3 classes Negative (0), neutral (1), positive (2)"
    assert splits.numbers is None
    words = [word.upper() if row % 4 == 0 else word for row, word in enumerate(words)]
    assert len(load(write(tmp_path / "a.csv", columns(emotion=words))).labels) == 3


def test_listed_words_alone_are_taken(tmp_path):
    path = write(tmp_path / "a.csv", columns(emotion=WORDS))
    splits = load(path, classes="Happiness,sad")
    assert splits.labels == ("happy", "sad")
    assert len(splits.train) + len(splits.validation) == 8
    assert any("left out: 4 faces of angry and 4 faces of disgust" in note for note in splits.notes)
    with pytest.raises(UserError, match=r"none of the labels .* is one of config.classes=cat,dog"):
        load(path, classes="cat,dog")


def test_ckextended(tmp_path):
    """FER2013's numbers, and 7 for contempt."""
    numbers = [7 if row % 5 == 0 else label for row, label in enumerate(FACES.labels)]
    splits = load(write(tmp_path / "a.csv", columns(emotion=numbers)))
    check(splits, labels=EIGHT, names=[EIGHT[number] for number in numbers])
    assert splits.notes[0] == "CSV, numbers as labels, FER2013's and 7 for contempt: 8 classes"


@pytest.mark.parametrize("numbering", NUMBERINGS)
def test_numberings(tmp_path, numbering):
    number_of = {name: number for number, name in NUMBERINGS[numbering].items()}
    path = write(tmp_path / "a.csv", columns(emotion=[number_of[word] for word in WORDS]))
    splits = load(path, classes=numbering)
    check(splits)
    assert splits.notes[0].startswith(f"CSV, numbers as labels by {numbering}: ")
    assert all(splits.numbers[number] == name for name, number in number_of.items() if name in LABELS)


def test_a_list_says_what_numbers_mean(tmp_path):
    numbers = [label % 2 for label in FACES.labels]
    splits = load(write(tmp_path / "a.csv", columns(emotion=numbers)), classes="calm, cat")
    check(splits, labels=("neutral", "cat"), names=[("neutral", "cat")[number] for number in numbers])
    assert splits.notes[0] == "CSV, numbers as labels: 2 classes neutral (0), cat (1)"


def test_rafdb_is_proposed_for_1_to_7(tmp_path):
    path = write(tmp_path / "a.csv", columns(emotion=FACES.labels + 1))
    assert any("--config.classes=rafdb" in note for note in load(path).notes)
    assert not any("--config.classes" in note for note in load(path, classes="rafdb").notes)


@pytest.mark.parametrize(
    ("changes", "options", "what"),
    [
        ({"emotion": [*[0] * 27, 8]}, {}, r"line 29: the label is '8'; expected 0 to 7.*--config.classes"),
        ({"emotion": [*[1] * 27, 0]}, {"classes": "rafdb"}, r"line 29: the label is '0'; expected 1 to 7"),
        ({"emotion": [*[0] * 27, 3]}, {"classes": "a,b,c"}, r"line 29: the label is '3'; expected 0 to 2"),
        ({"emotion": [*[0] * 27, "sad"]}, {}, r"line 29: the label is 'sad'; expected a number, as most"),
        ({"emotion": [*["sad"] * 27, 3]}, {}, r"line 29: the label is '3'; expected a word, as most"),
        ({"emotion": [*["sad"] * 27, ""]}, {}, r"line 29: the label is ''; expected a whole number"),
        ({"Usage": [*["train"] * 27, "other"]}, {}, r"line 29: the usage is 'other'; .* train, validation"),
        (
            {
                "pixels": [
                    *[pixels(image * 1.0) for image in FACES.images[:27]],
                    pixels(FACES.images[0] / 255),
                ]
            },
            {},
            r"line 29: pixels from 0 to 1 alone; expected pixels from 0 to 255, as in other rows",
        ),
        (
            {"pixels": [pixels(np.zeros(4096, int))] * 27 + [pixels(np.zeros(2304, int))]},
            {},
            r"line 29: 2304 pixels; expected 4096 \(64 x 64\), as in the first row",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changes, options, what):
    path = write(tmp_path / "a.csv", columns(**changes))
    with pytest.raises(UserError, match=what) as caught:
        load(path, **options)
    assert str(caught.value).startswith(f"{path}, line 29: ")
    assert "\n" not in str(caught.value)


def test_a_brighter_row_after_many_of_0_to_1(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_jax.data.read_csv._BYTES_AT_ONCE", 50_000)
    faces = [*[pixels(image / 255) for image in FACES.images[:27]], pixels(FACES.images[0] * 1.0)]
    path = write(tmp_path / "a.csv", columns(pixels=faces))
    with pytest.raises(
        UserError, match=r"line 29: pixel 1 is '\d+\.0'; expected a number from 0 to 1, as in"
    ):
        load(path)


def test_a_row_of_pixel_columns_that_is_short(tmp_path):
    path = tmp_path / "a.csv"
    write(path, columns(pixels=None) | {f"p{n}": FACES.images.reshape(28, -1)[:, n] for n in range(2304)})
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1].rsplit(",", 1)[0]]))
    with pytest.raises(UserError, match=r"line 30: 2305 fields; expected 2306 as in the header"):
        load(path)
    path.write_text("\n".join([*lines, lines[-1].rsplit(",", 1)[0] + ",x"]))
    with pytest.raises(UserError, match=r"line 30: pixel 2304 is 'x'; expected an integer"):
        load(path)


def votes_of(row):
    """Seven votes for what a face shows, three for something else; every fifth face has no majority."""
    spelt = {"happy": "happiness", "sad": "sadness", "angry": "anger"}
    counts = dict.fromkeys(VOTED, 0) | {spelt.get(WORDS[row], WORDS[row]): 5 if row % 5 == 4 else 7}
    other = VOTED[(row * 3) % 10]
    counts[other if counts[other] == 0 else "unknown"] += 5 if row % 5 == 4 else 3
    return counts


@pytest.mark.parametrize("target", ["majority", "probability"])
def test_votes_in_the_same_file(tmp_path, target):
    voted = pd.DataFrame([votes_of(row) for row in range(28)])
    path = write(tmp_path / "a.csv", columns(emotion=None) | voted.to_dict("list"))
    splits = load(path, vote_target=target)
    assert splits.labels == EIGHT
    order = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", *VOTED[7:]]
    expected = label_by_votes(FACES, voted[order].to_numpy(), target=target)
    in_train = [int(i) % 2 == 0 for i in range(28)]
    assert (splits.train.targets is None) == (target == "majority")
    assert len(splits.validation) == sum(row % 5 != 4 for row in range(28) if not in_train[row])
    kept = {image.tobytes(): label for image, label in zip(expected.images, expected.labels, strict=True)}
    assert [kept[image.tobytes()] for image in splits.train.images] == splits.train.labels.tolist()
    assert splits.notes[0] == "CSV, FER+'s votes"
    with pytest.raises(UserError, match=r"config.classes: .* has votes for eight classes"):
        load(path, classes="rafdb")
    table = columns(emotion=None) | voted.to_dict("list") | {"NF": [*[0] * 27, "x"]}
    with pytest.raises(UserError, match=r"line 29: votes for nf: 'x'; expected a number of votes"):
        load(write(tmp_path / "a.csv", table))


def test_votes_beside_labels(tmp_path):
    """The labels are taken, and a note says how to take the votes, which the file itself has."""
    path = write(tmp_path / "a.csv", columns() | {n: [votes_of(row)[n] for row in range(28)] for n in VOTED})
    splits = load(path)
    check(splits)
    assert splits.notes[0].startswith("CSV, without its votes (to use them: --config.votes=FILE), FER2013's")
    assert load(path, votes=path).labels == EIGHT


def test_votes_alone_are_no_faces(tmp_path):
    path = write(tmp_path / "a.csv", {name: [1, 2] for name in VOTED})
    with pytest.raises(UserError, match=r"has FER\+'s votes and no faces.*--config.votes="):
        load(path)


def write_pictures(folder, names=("image", "label"), mark="/"):
    """Pictures in folders, and a CSV file that names them."""
    places = []
    for row, image in enumerate(FACES.images[..., 0]):
        place = folder / "pictures" / f"{row % 2}" / f"{row}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
        places.append(mark.join(place.relative_to(folder).parts))
    return write(folder / "a.csv", {names[0]: places, names[1]: WORDS, "split": ["train", "val"] * 14})


@pytest.mark.parametrize(
    ("names", "mark"),
    [
        (("path", "label"), "/"),
        (("Filename", "class"), "/"),
        (("image", "emotion"), "\\"),
        (("file", "y"), "/"),
    ],
)
def test_paths_and_labels(tmp_path, monkeypatch, names, mark):
    path = write_pictures(tmp_path / "data", names, mark)
    monkeypatch.chdir(tmp_path)  # paths are relative to the file, not to where the command runs
    splits = load(path)
    check(splits)
    assert splits.notes[0].startswith("CSV, paths of pictures, words as labels: 7 classes angry (0)")
    assert splits.train.ids[0] == f"pictures{mark}0{mark}0.png"


def test_paths_are_read_anew_each_time(tmp_path):
    """The pictures may have changed since the CSV file was read."""
    path = write_pictures(tmp_path)
    load(path, cache=True)
    Image.fromarray(np.full((48, 48), 9, np.uint8)).save(tmp_path / "pictures" / "0" / "0.png")
    assert (load(path, cache=True).train.images[0] == 9).all()


def test_a_broken_picture_of_a_path(tmp_path):
    path = write_pictures(tmp_path)
    (tmp_path / "pictures" / "0" / "2.png").write_bytes(b"")
    (tmp_path / "pictures" / "0" / "4.png").unlink()
    with pytest.raises(
        UserError, match=r"a.csv, line 4: .*2.png: cannot be read .*--config.skip_broken=True"
    ):
        load(path)
    splits = load(path, skip_broken=True)
    assert len(splits.train) == 12
    assert any(note.startswith("left out: 2 pictures that cannot be read: ") for note in splits.notes)


def test_a_column_named_image_may_hold_pixels(tmp_path):
    check(load(write(tmp_path / "a.csv", columns(pixels=None) | {"image": columns()["pixels"]})))


def test_the_cache_serves_any_classes(tmp_path):
    path = write(tmp_path / "a.csv", columns(emotion=[label % 3 for label in FACES.labels]))
    assert load(path, cache=True).labels == LABELS
    assert load(path, cache=True, classes="a,b,c").labels == ("a", "b", "c")
    assert load(path, cache=True, classes="alphabetical").numbers[2] == "fear"
    again = load(path, cache=True, classes="a,b,c")
    assert again.notes[0] == "CSV, numbers as labels: 3 classes a (0), b (1), c (2)"


def test_faces_to_score_have_the_note_too(tmp_path):
    path = write(tmp_path / "a.csv", columns(emotion=WORDS, Usage=None))
    config = {"dataset": path, "validation_fraction": 0.1, "seed": 0, "cache": False}
    splits = load_to_score(config, trained_on="other")
    assert splits.notes[0].startswith("CSV, words as labels: 7 classes")


def known(path, labels, classes=""):
    return known_labels(str(path), read_csv(path, require_labels=True), known=labels, classes=classes)


def test_labels_by_the_names_of_a_network(tmp_path):
    words = write(tmp_path / "words.csv", columns(emotion=["Joy", "hungry"] * 14))
    assert known(words, LABELS).tolist() == [3, -1] * 14
    assert known(words, ("hungry", "happy")).tolist() == [1, 0] * 14
    numbers = write(tmp_path / "numbers.csv", columns(emotion=[0, 1] * 14))
    assert known(numbers, LABELS).tolist() == [0, 1] * 14
    assert known(numbers, ("cat", "dog", "cow")).tolist() == [0, 1] * 14
    assert known(numbers, LABELS, "affectnet").tolist() == [6, 3] * 14
    assert known(numbers, ("sad", "happy"), "affectnet").tolist() == [-1, 1] * 14
    eight = write(tmp_path / "eight.csv", columns(emotion=[7, 1] * 14))
    assert known(eight, LABELS).tolist() == [-1, 1] * 14
    with pytest.raises(UserError, match=r"line 2: the label is '7'; expected 0 to 1"):
        known(eight, ("cat", "dog"))
