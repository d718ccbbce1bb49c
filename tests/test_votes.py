"""FER+'s votes: the paper's rule by a second way of computing, files that do not fit, a run that learns."""

import json
import re
import zipfile
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_jax.check_config import check_config
from fer_jax.checkpoints import choose
from fer_jax.data.class_names import EIGHT, relabel
from fer_jax.data.load import load_splits
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.data.votes import COLUMNS, distributions_of, label_by_votes, labels_of, read_votes
from fer_jax.errors import UserError
from fer_jax.train.teachers import probabilities_by_votes
from tiny_run import run, run_training, tiny_config

FER_PLUS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
ORDER = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "nf")


def by_hand(votes):
    """Majority and distribution of one face, from a dict of votes: None where there is none."""
    left = {name: count for name, count in votes.items() if count > 1}
    expressions = {name: count for name, count in left.items() if name in EIGHT}
    total, voted = sum(left.values()), sum(expressions.values())
    name, count = Counter(expressions).most_common(1)[0] if expressions else ("", 0)
    majority = name if count > total / 2 else None
    shares = {n: c / voted for n, c in expressions.items()} if voted > total / 2 else None
    return majority, shares


def random_votes(count, seed):
    draw = np.random.default_rng(seed)
    return np.array([draw.multinomial(10, draw.dirichlet(np.full(10, 0.3))) for _ in range(count)])


def test_labels_and_distributions_are_those_by_hand():
    counts = random_votes(500, 0)
    labels, has_label = labels_of(counts)
    shares, has_shares = distributions_of(counts)
    for row, votes in enumerate(counts):
        majority, expected = by_hand(dict(zip(COLUMNS, votes, strict=True)))
        assert (EIGHT[labels[row]] if has_label[row] else None) == majority
        assert has_shares[row] == (expected is not None)
        if expected:
            np.testing.assert_allclose(shares[row], [expected.get(name, 0) for name in EIGHT], rtol=1e-6)
    assert 0 < has_label.sum() < has_shares.sum() < 500


def test_a_distribution_is_kept_where_there_is_no_majority():
    faces, counts = draw_faces(60, seed=0), random_votes(60, 1)
    sure, all_voted = (label_by_votes(faces, counts, target=target) for target in ("majority", "probability"))
    assert sure.targets is None
    assert len(sure) < len(all_voted)
    np.testing.assert_allclose(all_voted.targets.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(all_voted.targets.argmax(1), all_voted.labels)


def write(folder, *, rows=80, usage=None, name="votes.csv", seed=2):
    """Write faces and their votes; a face's most votes are for what it shows."""
    faces = draw_faces(rows, seed=3)
    draw = np.random.default_rng(seed)
    votes = np.zeros((rows, 10), int)
    seven = [ORDER.index(label) for label in EIGHT[:7]]
    votes[np.arange(rows), np.array(seven)[faces.labels]] = 7
    votes[np.arange(rows), draw.integers(0, 10, rows)] += 3
    usage = usage or ["Training"] * (rows // 2) + ["PublicTest"] * (rows - rows // 2)
    table = pd.DataFrame(votes, columns=FER_PLUS)
    table.insert(0, "Image name", [f"fer{row}.png" for row in range(rows)])
    table.insert(0, "Usage", usage)
    table.to_csv(folder / name, index=False)
    pixels = [" ".join(map(str, image.ravel())) for image in faces.images]
    table = pd.DataFrame({"emotion": 0, "pixels": pixels, "Usage": usage})  # all labels are wrong
    table.to_csv(folder / "faces.csv", index=False)
    return folder / "faces.csv", folder / name


def load(faces, votes, **options):
    return load_splits(str(faces), validation_fraction=0.1, seed=0, cache=False, votes=str(votes), **options)


def test_labels_of_a_file_are_replaced(tmp_path):
    faces, votes = write(tmp_path)
    splits, drawn = load(faces, votes), draw_faces(80, seed=3)
    assert splits.labels == EIGHT
    of_image = {
        image.tobytes(): EIGHT[label] for image, label in zip(drawn.images, drawn.labels, strict=True)
    }
    for part in (splits.train, splits.validation):
        assert [EIGHT[label] for label in part.labels] == [of_image[image.tobytes()] for image in part.images]
    assert any("40 of 40 validation faces have a majority" in note for note in splits.notes)


@pytest.mark.parametrize("target", ["majority", "probability"])
def test_a_share_of_the_files_own_labels(tmp_path, target):
    faces, votes = write(tmp_path)
    only, mixed = (load(faces, votes, vote_target=target, vote_share=share) for share in (1.0, 0.25))
    of_votes = np.eye(8)[only.train.labels] if target == "majority" else only.train.targets
    angry = np.eye(8)[np.zeros(len(of_votes), int)]  # what the file says of all
    np.testing.assert_allclose(mixed.train.targets, 0.25 * of_votes + 0.75 * angry, atol=1e-6)
    np.testing.assert_array_equal(mixed.train.labels, only.train.labels)
    assert mixed.validation.targets is None

    table = pd.read_csv(faces)
    table.assign(emotion="bored").to_csv(faces, index=False)  # no class of the votes'
    other = load(faces, votes, vote_target=target, vote_share=0.25)
    np.testing.assert_allclose(other.train.targets, of_votes, atol=1e-6)
    table.drop(columns="emotion").to_csv(faces, index=False)
    with pytest.raises(UserError, match=r"config.vote_share=0.25: .*/faces.csv, which has none"):
        load(faces, votes, vote_target=target, vote_share=0.25)


def test_evaluation_is_on_majority_faces(tmp_path):
    faces, votes = write(tmp_path)
    table = pd.read_csv(votes)
    table.loc[[3, 50], list(FER_PLUS)] = 0
    table.loc[[3, 50], ["anger", "fear"]] = 5  # half the votes are no majority
    table.to_csv(votes, index=False)
    splits = load(faces, votes, vote_target="probability")
    assert (len(splits.train), len(splits.validation)) == (40, 39)
    assert (len(load(faces, votes).train), splits.validation.targets) == (39, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:-1], "has votes for 79 faces, and .* has 80 faces"),
        (lambda t: t.drop(columns=["fear", "NF"]), "line 1: no column of votes for fear, nf"),
        (lambda t: t.assign(fear=["1", "x", *t.fear[2:]]), "line 3: expected a number of votes"),
        (lambda t: t.assign(fear=-1), "line 2: expected a number of votes"),
        (
            lambda t: t.assign(Usage=t.Usage[::-1].to_numpy()),
            "line 2: Usage is PublicTest, and Training in",
        ),
        (lambda t: t.assign(NF=30), "no face of .* has a majority"),
    ],
)
def test_files_that_do_not_fit(tmp_path, change, message):
    faces, votes = write(tmp_path)
    change(pd.read_csv(votes, dtype={"fear": object})).to_csv(votes, index=False)
    with pytest.raises(UserError, match=message):
        load(faces, votes)


def test_no_table(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_votes(tmp_path / "none.csv")
    for content in (b"", b"\xff\xfe\x00", b'a,b\n1,"2\n'):
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.csv"):
            read_votes(tmp_path / "bad.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"config.votes: .* rows of a CSV file"):
        load(tmp_path / "folder", tmp_path / "bad.csv")


def test_relabelled_by_name():
    faces = draw_faces(14, seed=0)
    same, none = relabel(faces, EIGHT[:7], EIGHT)
    assert none == {}
    np.testing.assert_array_equal(same.labels, faces.labels)
    fewer, left_out = relabel(faces, EIGHT[:7], ("neutral", "happy"))
    assert left_out == dict.fromkeys(("angry", "disgust", "fear", "sad", "surprise"), 2)
    assert sorted(set(fewer.labels)) == [0, 1]
    with pytest.raises(UserError, match="the network knows cat, dog and none of these"):
        relabel(faces, EIGHT[:7], ("cat", "dog"))


@pytest.mark.nightly
def test_a_run_learns_votes_and_is_scored_on_them(tmp_path, no_plots, capsys):
    """Starting from a network of seven classes, whose outputs it keeps; one of eight cannot teach it."""
    faces, votes = write(tmp_path)
    seven = tiny_config(dataset=str(faces), epochs=1)
    run_training(seven, tmp_path / "seven")
    config = tiny_config(
        dataset=str(faces),
        votes=str(votes),
        vote_target="probability",
        epochs=1,
        learning_rate=0.0,
        initial_weights=str(tmp_path / "seven"),
    )
    run_training(config, tmp_path / "eight")
    assert "does not know contempt" in capsys.readouterr().out
    before, after = choose.load(tmp_path / "seven"), choose.load(tmp_path / "eight")
    assert after.labels == EIGHT
    kernels = [c.weights.variables["params"]["Dense_1"]["kernel"] for c in (before, after)]
    assert [kernel.shape for kernel in kernels] == [(8, 7), (8, 8)]
    np.testing.assert_allclose(kernels[0], kernels[1][:, :7], atol=1e-6)
    table = json.loads((tmp_path / "eight" / "eval" / "metrics.json").read_text())
    assert (list(table["per_class"]), table["num_examples"]) == (list(EIGHT), 40)

    config.update(teacher=str(tmp_path / "seven"))
    with pytest.raises(UserError, match="a teacher needs the same classes"):
        run_training(config, tmp_path / "taught")


def test_a_network_without_contempt_is_scored_on_faces_with_it(tmp_path, no_plots, capsys):
    faces, votes = write(tmp_path)
    run_training(tiny_config(dataset=str(faces), epochs=1), tmp_path / "seven")
    table = pd.read_csv(votes)
    table.loc[70:, list(FER_PLUS)] = 0
    table.loc[70:, "contempt"] = 10
    table.to_csv(votes, index=False)
    capsys.readouterr()
    config = tiny_config(dataset=str(faces), votes=str(votes))
    run("eval", config, tmp_path / "seven", overrides=["dataset", "votes"])
    out = capsys.readouterr().out
    assert "left out: 10 faces of contempt, which the network does not know" in out
    result = json.loads((tmp_path / "seven" / "eval" / "metrics.json").read_text())
    assert result["num_examples"] == 30
    assert (
        f"with the 10 faces that it cannot name counted as wrong: {result['accuracy'] * 30 / 40:.2%}" in out
    )


def known_to_a_teacher(faces, votes):
    options = {"validation_fraction": 0.25, "seed": 0, "cache": False}
    return load_splits(str(faces), teacher_votes=str(votes), **options)


@pytest.mark.parametrize("has_usage", [True, False])
def test_a_teachers_votes_stay_with_their_faces(tmp_path, has_usage):
    """Also where validation faces are drawn; labels stay those of the file."""
    faces, votes = write(tmp_path)
    if not has_usage:
        table = pd.read_csv(faces)
        table.drop(columns="Usage").to_csv(faces, index=False)
    splits = known_to_a_teacher(faces, votes)
    counts, images = read_votes(votes).counts, draw_faces(80, seed=3).images
    of_image = {image.tobytes(): row for image, row in zip(images, counts, strict=True)}
    assert (splits.train.labels == 0).all()
    assert splits.train.targets is None
    np.testing.assert_array_equal(splits.train.votes, [of_image[i.tobytes()] for i in splits.train.images])


def test_probabilities_by_votes():
    """Logistic regression is right on average: its probabilities of a class sum to the class's faces."""
    faces = draw_faces(420, seed=0).voted(random_votes(420, 1))
    faces.votes[np.arange(420), faces.labels] += 3
    found = probabilities_by_votes(faces, 9)
    assert (found.shape, found.dtype) == ((420, 9), np.float32)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found.sum(0), np.bincount(faces.labels, minlength=9), atol=0.5)
    assert np.mean(found.argmax(1) == faces.labels) > 0.5
    one_class = faces.labelled(np.full(420, 2, np.int32))
    np.testing.assert_array_equal(probabilities_by_votes(one_class, 3), np.eye(3)[one_class.labels])
    assert probabilities_by_votes(draw_faces(7, seed=0), 7) is None


def test_a_teachers_votes_that_do_not_fit(tmp_path):
    faces, votes = write(tmp_path)
    pd.read_csv(votes)[:-1].to_csv(tmp_path / "fewer.csv", index=False)
    with pytest.raises(UserError, match=r"has votes for 79 faces, and .* has 80 faces"):
        known_to_a_teacher(faces, tmp_path / "fewer.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"config.teacher_votes: .* rows of a CSV file; .* is a folder"):
        known_to_a_teacher(tmp_path / "folder", votes)
    with pytest.raises(UserError, match="no votes for the built-in faces"):
        run_training(tiny_config(teacher_votes=str(votes)), tmp_path / "run")
    both = tiny_config(dataset=str(faces), votes=str(votes), teacher_votes=str(votes)).to_dict()
    with pytest.raises(UserError, match=r"config.teacher_votes is .* expected no file where config.votes is"):
        check_config(both)


@pytest.mark.parametrize("field", ["votes", "teacher_votes"])
def test_votes_belong_to_no_pictures(tmp_path, field):
    """Neither in a folder nor in an archive."""
    _, votes = write(tmp_path)
    Image.new("L", (48, 48)).save(tmp_path / "face.png")
    (tmp_path / "folder" / "happy").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        archive.write(tmp_path / "face.png", "train/happy/1.png")
    for source, reason in (("folder", "is a folder"), ("faces.zip", "holds pictures")):
        expected = f"config.{field}: {votes} has votes for the rows of a CSV file; {tmp_path / source} "
        with pytest.raises(UserError) as error:
            load_splits(str(tmp_path / source), validation_fraction=0.25, seed=0, **{field: str(votes)})
        assert str(error.value) == expected + reason


def test_a_run_learns_from_a_teacher_who_knows_votes(tmp_path, no_plots, capsys):
    """It can be scored without the file of votes."""
    faces, votes = write(tmp_path)
    table = pd.read_csv(faces)
    table.assign(emotion=draw_faces(80, seed=3).labels).to_csv(faces, index=False)
    config = tiny_config(dataset=str(faces), teacher_votes=str(votes), epochs=1)
    run_training(config, tmp_path / "run")
    told = capsys.readouterr().out
    assert float(re.search(rf"knows the votes of {votes}, by which ([\d.]+)% of the labels", told)[1]) > 90
    changed = pd.read_csv(votes)
    changed.assign(neutral=changed["neutral"] + 1).to_csv(votes, index=False)
    with pytest.raises(UserError, match=f"holds a run on other data than {votes} gives now"):
        run_training(tiny_config(dataset=str(faces), teacher_votes=str(votes), epochs=2), tmp_path / "run")
    votes.unlink()
    run("eval", tiny_config(dataset=str(faces)), tmp_path / "run", overrides=["dataset"])
    assert choose.load(tmp_path / "run").labels == EIGHT[:7]
