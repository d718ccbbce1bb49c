"""The command line as a user meets it: main.py in a folder of its own, and what it leaves on disk."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics

from commands import run_main
from configs import mlp
from fer_jax import modes
from fer_jax.data.faces import Faces
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces, synthetic_splits
from fer_jax.errors import UserError
from fer_jax.evaluate import report
from fer_jax.labels import LABELS
from fer_jax.runtime.command import make_command, plain
from tiny_run import TINY, read_rows, run, run_training, tiny_config

ROOT = Path(__file__).parents[1]
RUN = Path("runs/mlp-synthetic")
ROW = [
    "epoch",
    "step",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "images_per_second",
    "seconds",
]
FIGURES = [
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "loss",
    "per_class",
    "confusion_matrix",
    "expected_calibration_error",
]


def main(folder, *args, expect=0):
    """Runs main.py in ``folder`` -> what it printed, standard error if it was to fail."""
    command = [f"--config={ROOT}/configs/mlp.py", *args]
    done = run_main(command, folder, XDG_CACHE_HOME=str(folder / "cache"))
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if expect else done.stdout


def train(folder, *args, expect=0):
    tiny = [f"--config.{name}={value}" for name, value in TINY.items()]
    return main(folder, *tiny, *args, expect=expect)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder in which the tiny network was trained; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "printed.txt").write_text(train(folder))
    return folder


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_train_writes_the_run(trained):
    where = trained / RUN
    saved = json.loads((where / "config.json").read_text())
    environment = saved.pop("environment")
    assert saved == plain(tiny_config())
    assert {"versions", "git_commit", "devices", "xla_flags", "data"} <= set(environment)
    assert len(environment["data"]["digest"]) == 32

    rows = read_rows(where)
    assert [list(row) for row in rows] == [ROW, ROW]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 4), (2, 8)]
    assert all(0 <= row[f"{part}_accuracy"] <= 1 for row in rows for part in ("train", "val"))

    for name in ("curves.png", "eval/confusion_matrix.png"):
        with Image.open(where / name) as picture:
            picture.load()
    assert not [path for path in where.rglob("*") if path.name.endswith((".tmp", "~"))]
    printed = (trained / "printed.txt").read_text()
    assert "70 to train, 21 to validate" in printed
    assert "best " in printed
    assert "accuracy" in printed


def test_train_scores_the_best_epoch(trained):
    result = json.loads((trained / RUN / "eval" / "metrics.json").read_text())
    assert list(result) == ["split", "views", "num_examples", *FIGURES]
    assert (result["split"], result["views"], result["num_examples"]) == ("validation", "one", 21)
    best = max(read_rows(trained / RUN), key=lambda row: (row["val_accuracy"], -row["epoch"]))
    assert result["accuracy"] == best["val_accuracy"]
    assert result["loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    table = pd.read_csv(trained / RUN / "eval" / "confusion_matrix.csv", index_col=0)
    assert (list(table.index), list(table.columns)) == (list(LABELS), list(LABELS))
    assert table.to_numpy().tolist() == result["confusion_matrix"]
    assert (trained / RUN / "eval" / "report.txt").read_text() in (trained / "printed.txt").read_text()


def test_the_same_command_again(copy):
    before = contents(copy / RUN / "checkpoints"), read_rows(copy / RUN)
    printed = train(copy)
    assert "this run is finished" in printed
    assert "epoch 1/2" not in printed
    assert [line.split()[:2] for line in printed.splitlines() if line.startswith("last")] == [["last", "2"]]
    assert (contents(copy / RUN / "checkpoints"), read_rows(copy / RUN)) == before


def test_another_config_is_refused(copy):
    before = contents(copy)
    error = train(copy, "--config.learning_rate=0.5", expect=1)
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "learning_rate is 0.003 there, 0.5 here" in error
    assert "--workdir=runs/mlp-synthetic-2" in error
    assert contents(copy) == before


@pytest.mark.nightly
def test_more_epochs_resume(copy):
    before = read_rows(copy / RUN)
    printed = train(copy, "--config.epochs=3")
    assert "going on after epoch 2 (step 8)" in printed
    rows = read_rows(copy / RUN)
    assert rows[:2] == before
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 4), (2, 8), (3, 12)]
    assert rows[2]["seconds"] > rows[1]["seconds"]
    assert json.loads((copy / RUN / "config.json").read_text())["epochs"] == 3


def test_eval_agrees_with_predict(copy):
    faces = synthetic_splits(num_train=70, num_validation=21, num_test=14, seed=0).test
    write_homework_csv(copy / "faces.csv", Faces(faces.images, None, faces.ids))
    printed = main(copy, "--mode=eval", "--config.split=test")
    assert printed.startswith("weights: runs/mlp-synthetic, epoch ")
    assert "trained on synthetic" in printed.splitlines()[0]
    result = json.loads((copy / RUN / "eval" / "metrics.json").read_text())
    assert list(result) == ["split", "views", "num_examples", *FIGURES]
    assert (result["split"], result["num_examples"]) == ("test", 14)

    args = ["--mode=predict", f"--workdir={RUN}", "--input=faces.csv", "--output=out.csv", "--probabilities"]
    assert main(copy, *args).splitlines()[0] == printed.splitlines()[0]
    out = pd.read_csv(copy / "out.csv", dtype={"id": str})
    assert list(out.columns) == ["id", "label", *LABELS]
    assert out["id"].tolist() == faces.ids.tolist()
    chances = out[list(LABELS)].to_numpy()
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(out["label"], chances.argmax(1))

    true, predicted = faces.labels, out["label"]
    assert result["confusion_matrix"] == metrics.confusion_matrix(true, predicted, labels=range(7)).tolist()
    assert result["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    assert result["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(true, predicted))
    assert result["loss"] == pytest.approx(-np.log(chances[range(14), true]).mean(), abs=1e-4)
    each = metrics.precision_recall_fscore_support(true, predicted, labels=range(7), zero_division=0)
    for label, figures in zip(LABELS, zip(*each, strict=True), strict=True):
        assert list(result["per_class"][label]) == ["precision", "recall", "f1", "support"]
        assert list(result["per_class"][label].values()) == pytest.approx(list(figures))
    assert result["macro_f1"] == pytest.approx(each[2].mean())


# In this process from here on: starting JAX takes longer than what is tested.


def evaluate(where, **overrides):
    """eval with the config file's own values, and the ``overrides`` (dots as double underscores)."""
    changes = {name.replace("__", "."): value for name, value in overrides.items()}
    given = mlp.get_config()
    given.update_from_flattened_dict(changes)
    run("eval", plain(given), where, overrides=list(changes))
    return json.loads((where / "eval" / "metrics.json").read_text())


def predict(where, source, output, **options):
    given = plain(mlp.get_config())
    run("predict", given, where, input=str(source), output=str(output), **options)
    return pd.read_csv(output, dtype={"id": str})


def test_eval_with_flipped_views(copy):
    """Beside fields of training that change nothing here."""
    result = evaluate(copy / RUN, views="flip", batch_size=4, epochs=9, seeds=2, cache=False)
    assert (result["views"], result["split"], result["num_examples"]) == ("flip", "validation", 21)


def test_eval_takes_no_larger_batch_than_there_are_faces(copy, monkeypatch):
    sizes, real = [], report.evaluate

    def noted(*args, batch_size, **options):
        sizes.append(batch_size)
        return real(*args, batch_size=batch_size, **options)

    monkeypatch.setattr(report, "evaluate", noted)
    few, many = (evaluate(copy / RUN, batch_size=size) for size in (4, 100_000))
    assert many["confusion_matrix"] == few["confusion_matrix"]
    assert many["loss"] == pytest.approx(few["loss"], rel=1e-5)
    assert sizes == [4, 21]


def test_eval_on_another_data_set(copy, capsys):
    faces = draw_faces(70, seed=5)
    write_homework_csv(copy / "other.csv", faces)
    assert evaluate(copy / RUN, dataset=str(copy / "other.csv"))["num_examples"] == 70
    printed = capsys.readouterr().out
    assert "all 70 labelled faces of " in printed
    assert "other.csv are scored: it has no validation faces of its own, and " in printed
    with pytest.raises(UserError, match=r"other.csv: has no labelled test faces"):
        evaluate(copy / RUN, dataset=str(copy / "other.csv"), split="test")


def test_eval_refuses_what_the_checkpoint_says(trained):
    before = contents(trained)
    with pytest.raises(UserError, match=r"mlp.dropout is 0.5 there, 0.1 here"):
        evaluate(trained / RUN, mlp__dropout=0.1)
    with pytest.raises(UserError, match=r"split.*'training'"):
        evaluate(trained / RUN, split="training")
    assert contents(trained) == before


def test_predict_keeps_the_ids_of_the_file(trained, tmp_path):
    ids = np.array(["007", "b,c", "é"])
    write_homework_csv(tmp_path / "test.csv", Faces(draw_faces(3, seed=3).images, None, ids))
    out = predict(trained / RUN, tmp_path / "test.csv", tmp_path / "new" / "out.csv")
    assert list(out.columns) == ["id", "label"]
    assert out["id"].tolist() == ["007", "b,c", "é"]
    assert out["label"].between(0, 6).all()


def test_predict_pictures(trained, tmp_path):
    """A picture and a folder of them get the labels of the same faces in a CSV file."""
    faces = draw_faces(4, seed=4)
    write_homework_csv(tmp_path / "faces.csv", faces)
    folder = tmp_path / "faces"
    (folder / "b").mkdir(parents=True)
    paths = [folder / name for name in ("a.png", "b/0.png", "b/1.png", "c.png")]
    for path, image in zip(paths, faces.images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    expected = predict(trained / RUN, tmp_path / "faces.csv", tmp_path / "out.csv", probabilities=True)
    out = predict(trained / RUN, folder, tmp_path / "out.csv", probabilities=True)
    assert out["id"].tolist() == list(map(str, paths))
    pd.testing.assert_frame_equal(out.drop(columns="id"), expected.drop(columns="id"), check_exact=False)
    out = predict(trained / RUN, paths[2], tmp_path / "out.csv")
    assert out.to_dict("records") == [{"id": str(paths[2]), "label": expected["label"][2]}]


def test_paths_below_the_home_folder(copy, monkeypatch):
    monkeypatch.setenv("HOME", str(copy))
    write_homework_csv(copy / "faces.csv", draw_faces(4, seed=4))
    options = {"overrides": (), "workdir": f"~/{RUN}", "probabilities": False}
    command = make_command(
        "predict", mlp.get_config(), name="mlp", input="~/faces.csv", output="~/out.csv", **options
    )
    modes.runner(command)(command)
    assert len(pd.read_csv(copy / "out.csv")) == 4


def test_predict_on_bad_input_writes_nothing(trained, tmp_path):
    with pytest.raises(UserError, match=r"^--output=.*: is a folder; "):
        predict(trained / RUN, tmp_path / "missing.csv", tmp_path)
    with pytest.raises(UserError, match=r"missing.csv: "):
        predict(trained / RUN, tmp_path / "missing.csv", tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.nightly
def test_a_run_that_was_moved_goes_on(tmp_path, monkeypatch):
    """Folder and data set; the digest says that the data is the same."""
    write_homework_csv(tmp_path / "train.csv", draw_faces(70, seed=1))
    config = tiny_config(dataset=str(tmp_path / "train.csv"), epochs=1)
    run_training(config, tmp_path / "run")
    home = tmp_path / "elsewhere"
    home.mkdir()
    for name in ("train.csv", "run"):
        (tmp_path / name).rename(home / name)
    monkeypatch.chdir(home)
    config.update({"dataset": "train.csv", "epochs": 2})
    run_training(config, Path("run"))
    assert [row["epoch"] for row in read_rows(home / "run")] == [1, 2]
    write_homework_csv(home / "train.csv", draw_faces(70, seed=2))
    with pytest.raises(UserError, match=r"^run: holds a run on other data than train.csv gives now; "):
        run_training(config, Path("run"))


def test_shipped_weights_are_named_by_workdir(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_homework_csv(tmp_path / "faces.csv", draw_faces(7, seed=4))
    options = {"overrides": (), "probabilities": False, "input": "faces.csv", "output": "out.csv"}
    for workdir in ("tiny", "tny"):
        command = make_command("predict", mlp.get_config(), name="mlp", workdir=workdir, **options)
        if workdir == "tiny":
            modes.runner(command)(command)
            assert "weights: fer_jax/weights/tiny.npz" in capsys.readouterr().out
        else:
            with pytest.raises(UserError, match=r"^tny: no checkpoint there"):
                modes.runner(command)(command)
    options |= {"input": None, "output": None}
    # Without a data set, eval means the run on the built-in faces.
    command = make_command("eval", mlp.get_config(), name="tiny", workdir=None, **options)
    with pytest.raises(
        UserError, match=r"the weights 'tiny' that come with fer_jax: add --config.dataset=FILE"
    ):
        modes.runner(command)(command)


def test_the_place_of_an_output_is_tested_before_the_work(trained, tmp_path):
    (tmp_path / "file").touch()
    for mode in ("explain", "export"):
        with pytest.raises(
            UserError, match=r"file: is a file; a folder to write to was expected by --output"
        ):
            run(mode, plain(mlp.get_config()), tmp_path / "no run", output=str(tmp_path / "file" / "out"))


@pytest.mark.nightly
def test_homework_layout_trains(tmp_path, capsys):
    write_homework_csv(tmp_path / "train.csv", draw_faces(70, seed=1))
    where = tmp_path / "run"
    run_training(tiny_config(dataset=str(tmp_path / "train.csv"), epochs=1, validation_fraction=0.2), where)
    assert "14 of its 70 training faces (20.0%) were drawn by seed 0, stratified" in capsys.readouterr().out
    result = json.loads((where / "eval" / "metrics.json").read_text())
    assert [figures["support"] for figures in result["per_class"].values()] == [2] * 7
    assert read_rows(where)[0]["step"] == 56 // 16
