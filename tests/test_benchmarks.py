"""The benchmarks' own arithmetic, and one of them from end to end; the peers are not installed here."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import ablations
import accuracy
import fer_jax
import int8
import latency
import layers
import photos as finding
import run as benchmarks
import scaling
import teachers
from configs import cnn
from fer_jax.data.class_names import EIGHT
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_dataset
from tiny_run import tiny_config

ROOT = Path(__file__).parents[1]


def test_ratios_are_of_the_same_round():
    """Our best is the stack with the best median; a rate and a time count in opposite directions."""
    figures = {"fer_jax": [90, 100, 110], "fer_jax-bfloat16": [1, 2, 300], "torch-float32": [45, 100, 22]}
    ours, _, theirs = benchmarks.summarize("train_step", "cnn", figures, "images/s")
    assert "ratio" not in ours
    assert (ours["min"], ours["median"], ours["max"], ours["pairs"]) == (90, 100, 110, 3)
    assert (theirs["ratio"], theirs["ratio_min"], theirs["ratio_max"]) == (2, 1, 5)
    _, slower = benchmarks.summarize("start_up", "cnn", {"fer_jax": [2], "keras-jax": [8]}, "s")
    assert slower["ratio"] == 4


def test_share_of_the_step():
    """A step that takes 1 ms alone and 1.25 ms with augmentation spends a fifth on it."""
    figures = {"fer_jax": [1000.0], "fer_jax-augmented": [800.0]}
    (row,) = benchmarks.summarize("augment_share", "cnn", figures, "images/s")
    assert row["median"] == pytest.approx(20)


@pytest.mark.nightly
def test_run(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "run.py", "--only=augment", "--stacks=fer_jax"]
    command += ["--pairs=2", "--seconds=0.01", f"--output={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert (row["benchmark"], row["stack"], row["unit"], row["pairs"]) == (
        "augment",
        "fer_jax",
        "images/s",
        2,
    )
    assert 0 < row["min"] <= row["median"] <= row["max"]
    assert (tmp_path / "results.png").stat().st_size > 0
    assert "ours / theirs" in done.stdout


def test_what_counts_as_found():
    """Against a square moved and scaled by hand; the picture has the face where it says."""
    face = np.random.default_rng(1).integers(0, 256, (48, 48), np.uint8)
    picture, place = finding.paste(face, np.random.default_rng(0))
    x, y, side, _ = map(int, place)
    cut = picture.crop((x, y, x + side, y + side))
    assert cut == Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
    for across, size, found in (
        (0, 1, True),
        (0.2, 1, True),
        (0.3, 1, False),
        (0, 0.6, True),
        (0, 0.4, False),
    ):
        width = size * side
        middle = x + side * (0.5 + across), y + side / 2
        square = finding.photos.Box(middle[0] - width / 2, middle[1] - width / 2, width, width)
        assert finding.is_found(square, place) == found
        assert finding.distance(square, place) == pytest.approx(across)
    assert finding.overlap(place, place._replace(x=x + side / 2)) == pytest.approx(1 / 3)


def test_flags_of_an_ablation():
    """What a row gives takes the place of the base's; nothing comes twice."""
    given = ablations.flags("no-augmentation", 3)
    assert "--config.augment=False" in given
    assert "--config.augment=True" not in given
    assert "--config.optimizer=adam" in ablations.flags("adam", 3)
    assert "--config.epochs=3" in given
    assert len({flag.split("=")[0] for flag in given}) == len(given)
    assert ablations.flags("plain", 3) != given


def test_runs_of_other_lengths_have_other_folders(monkeypatch):
    trained = []
    monkeypatch.setattr(ablations, "train", lambda name, epochs, csv, where: trained.append(where))
    monkeypatch.setattr(ablations, "compare", lambda runs, csv, picture: trained.append(picture.parent))
    for epochs in (3, 8):
        arguments = ["ablations.py", "--csv=a.csv", "--only=plain", f"--epochs={epochs}", "--output=o"]
        monkeypatch.setattr(sys, "argv", arguments)
        ablations.main()
    runs = [Path("o/3-epochs/plain"), Path("o/8-epochs/plain")]
    assert trained == [runs[0], runs[0].parent, runs[1], runs[1].parent]


def test_gain_is_of_pairs(tmp_path):
    """Of 8 examples, 3 are told by the second alone and 1 by the first alone: a quarter more."""
    first, other = np.array([1, 1, 0, 0, 0, 1, 0, 0], bool), np.array([1, 0, 1, 1, 1, 1, 0, 0], bool)
    mean, half = ablations.gain(first, other)
    low, high = stats.norm(loc=25, scale=100 * np.std([0, -1, 1, 1, 1, 0, 0, 0]) / 8**0.5).interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=0.01)
    scores = [accuracy.Score(name, "flip", right, "") for name, right in (("a", first), ("b/c", other))]
    ablations.save_picture(tmp_path / "gains.png", scores)
    with Image.open(tmp_path / "gains.png") as picture:
        picture.load()


@pytest.mark.parametrize(("gained", "lost"), [(1, 8), (5, 5), (12, 3), (0, 0), (0, 4)])
def test_mcnemar(gained, lost):
    """Twice the tail of a fair coin, summed term by term."""
    second = np.array([True] * gained + [False] * lost + [True] * 7 + [False] * 2)
    first = np.array([False] * gained + [True] * lost + [True] * 7 + [False] * 2)
    n, k = gained + lost, min(gained, lost)
    expected = min(1, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    assert accuracy.mcnemar(first, second) == pytest.approx(expected)
    assert accuracy.mcnemar(second, first) == pytest.approx(expected)


def test_compare(tmp_path, trained_run):
    """One network against itself: nothing gained, and the accuracy that eval finds."""
    trained_run(tmp_path / "run", epochs=1)
    faces = load_dataset(tiny_config()).validation
    name = str(tmp_path / "run")
    table = accuracy.table(accuracy.score_all([name, name], faces, np.ones(len(faces), bool), views=("one",)))
    found = json.loads((tmp_path / "run" / "eval" / "metrics.json").read_text())
    cells = [cell.strip() for cell in table.splitlines()[-1].split("|")]
    assert cells[3].startswith(f"{found['accuracy']:.2%} ")
    assert cells[4] == f"{found['accuracy']:.2%}"
    assert cells[5] == f"{found['macro_f1']:.3f}"


def test_compare_on_classes_that_a_network_does_not_know(tmp_path, trained_run):
    """Its accuracy on all faces counts theirs as wrong; on the others it is that of NumPy."""
    trained_run(tmp_path / "run", epochs=1)
    faces = load_dataset(tiny_config()).validation
    labels = np.where(np.arange(len(faces)) < 5, 7, faces.labels).astype(np.int32)
    apart, name = np.ones(len(faces), bool), str(tmp_path / "run")
    scores = accuracy.score_all([name], faces.labelled(labels), apart, views=("one",), labels=EIGHT)
    table = accuracy.table(scores).splitlines()
    cells = [cell.strip() for cell in table[-1].split("|")]
    right = fer_jax.load(name).predict(faces.images, views="one").argmax(1) == labels
    assert table[0].count("|") == table[-1].count("|")
    assert cells[3] == f"{right[5:].mean():.2%}"
    assert cells[4].startswith(f"{right[5:].sum() / len(faces):.2%} ")


def test_teachers(tmp_path, trained_run):
    """Share 0 is the mean of the networks, share 1 the votes alone, and a half the root of their product."""
    for seed, name in enumerate(("one", "two")):
        trained_run(tmp_path / name, epochs=1, seed=seed)
    splits, draw = load_dataset(tiny_config()), np.random.default_rng(0)
    train, faces = (f.voted(draw.integers(0, 9, (len(f), 10))) for f in (splits.train, splits.validation))
    both = f"{tmp_path / 'one'},{tmp_path / 'two'}"
    cells = teachers.table([both], [0, 0.5, 1], train, faces).splitlines()[-1].split(" | ")[1:]
    seen = [fer_jax.load(name).predict(faces.images, views="one") for name in both.split(",")]
    fitted = LogisticRegression(max_iter=1000).fit(np.log1p(train.votes), train.labels)
    mean, voted = np.mean(seen, 0), fitted.predict_proba(np.log1p(faces.votes))
    product = np.sqrt(mean * voted)
    for cell, chances in zip(cells, (mean, product / product.sum(1, keepdims=True), voted), strict=True):
        figures = [float(figure.rstrip("%| ")) for figure in cell.split(", ")]
        expected = [100 * np.mean(chances.argmax(1) == faces.labels), log_loss(faces.labels, chances)]
        np.testing.assert_allclose(figures, expected, atol=0.006)


def test_latency(monkeypatch):
    """Each way has its turns, the first call of each uncounted; milliseconds and rate of the median."""
    monkeypatch.setattr(latency, "TURN", 0.02)
    calls = {"slow": 0, "quick": 0}

    def make(name, seconds):
        def predict(images):
            calls[name] += 1
            time.sleep(seconds)

        return predict

    ways = {"slow": make("slow", 0.008), "quick": make("quick", 0.001)}
    times = latency.take_turns(ways, np.zeros(1), seconds=0.06)
    assert {name: len(taken) + 3 for name, taken in times.items()} == calls
    assert np.median(times["slow"]) > 2 * np.median(times["quick"]) > 0.002
    assert latency.cells(np.arange(101) / 1e3, 64) == "50.00 (5.00 to 95.00) | 1,280"


def test_int8_row(monkeypatch):
    """Half of the faces right with either calibration; the largest difference is the training faces'."""
    faces = Faces(np.zeros((4, 48, 48, 1), np.uint8), np.array([0, 0, 1, 1]), np.arange(4))
    chances = {b"float": [0.9, 0.1], b"train": [0.6, 0.4], b"drawn": [0.1, 0.9]}
    monkeypatch.setattr(int8, "chances_of", lambda model, _: np.array([chances[model]] * 4))
    monkeypatch.setattr(int8, "milliseconds", lambda *_: 0.25)
    whole = int8.chances_of(b"float", None)
    line = int8.row("mine", lambda model: model, [b"train", b"drawn"], faces, whole)
    assert line == "| mine | 50.00% to 50.00% | 50.00% | 0.30 | 0 | 0.25 |"


def test_efficiency_of_many_devices():
    """No loss on one; on two 2 s of computing and 1 s of the rest; on a million hardly anything is left."""
    link = scaling.Link("slow", bytes_per_second=100.0, seconds=0.5)
    amounts = {"flops": scaling.FLOPS, "gradient_bytes": 50, "reductions": 1, "link": link}
    assert scaling.efficiency(1, 4, **amounts) == 1
    # Two devices: 2 s of computing each, 0.5 s of sending 2 x 50 / 2 bytes, 0.5 s of waiting.
    assert scaling.efficiency(2, 4, **amounts) == pytest.approx(2 / 3)
    assert scaling.efficiency(10**6, 4, **amounts) < 1e-5


@pytest.fixture
def tiny_layers(monkeypatch):
    """Of benchmarks/layers.py, shapes that compile and run at once."""
    for name, shapes in {"CONVOLUTIONS": [(3, 2, 3)], "NORMS": [(3, 2)], "POOLS": [(4, 2)]}.items():
        monkeypatch.setattr(layers, name, shapes)
    config = cnn.get_config()
    changes = {"cnn.widths": (2, 3), "cnn.blocks": (1, 1), "optimizer": "sgd"}
    config.update_from_flattened_dict(changes)
    monkeypatch.setattr(cnn, "get_config", lambda: config)


@pytest.mark.parametrize(
    "group", ["convolution", "norm", "pool", pytest.param("step", marks=pytest.mark.nightly)]
)
def test_layers_that_are_compared_give_the_same(group, tiny_layers):
    pairs = list(layers.GROUPS[group](2))
    kept = pairs[0].kept()
    for pair in pairs:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), kept, pair.other())


def test_layers(tiny_layers, monkeypatch, capsys):
    arguments = ["--only=convolution,norm,pool", "--turns=1", "--seconds=0.001", "--batch-size=2"]
    monkeypatch.setattr(sys, "argv", ["layers.py", *arguments])
    layers.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" / ")[0] for line in lines[1:-1]] == ["Winograd", "BatchNorm", "max pooling"]
    wall, processor = [(1, 2), (2, 2), (4, 12)], [(1, 1), (1, 1), (1, 2)]
    taken = np.stack([wall, processor], -1) / 1e3
    assert layers.row("mine", taken).split(maxsplit=3) == [
        "mine",
        "2.00",
        "2.00",
        "2.00 (1.00 to 3.00)   1.00 (1.00 to 2.00)",
    ]
