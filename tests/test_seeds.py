"""Several seeds in one command: each run as if alone, their mean and spread, the ensemble."""

import json
import shutil
import statistics

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from fer_jax.checkpoints.choose import seed_folders
from fer_jax.data.faces import Faces
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import synthetic_splits
from fer_jax.errors import UserError
from fer_jax.evaluate import compare, report
from fer_jax.labels import LABELS
from tiny_run import read_rows, run, run_training, tiny_config

FACES = synthetic_splits(num_train=70, num_validation=21, num_test=14, seed=0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """One split for all seeds, as FER2013 has it: a Kaggle file."""
    path = tmp_path_factory.mktemp("data") / "kaggle.csv"
    parts = [("Training", FACES.train), ("PublicTest", FACES.validation)]
    rows = [
        {"emotion": label, "pixels": " ".join(map(str, image.ravel())), "Usage": usage}
        for usage, faces in parts
        for image, label in zip(faces.images, faces.labels, strict=True)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, dataset):
    where = tmp_path_factory.mktemp("runs") / "mlp"
    run_training(tiny_config(dataset=dataset, seeds=2, seed=3, epochs=1), where)
    return where


def test_each_is_the_run_of_its_seed(trained, dataset, tmp_path):
    run_training(tiny_config(dataset=dataset, seed=4, epochs=1), tmp_path)
    alone, among = read_rows(tmp_path)[0], read_rows(trained / "seed-4")[0]
    for name in set(alone) - {"seconds", "images_per_second"}:
        assert among[name] == alone[name]
    assert [path.name for path in seed_folders(trained)] == ["seed-3", "seed-4"]
    assert read_rows(trained / "seed-3")[0]["train_loss"] != alone["train_loss"]


def test_summary(trained, tmp_path):
    """Against scikit-learn and the standard library, from the probabilities of each."""
    write_homework_csv(tmp_path / "faces.csv", Faces(FACES.validation.images, None, FACES.validation.ids))
    chances = []
    for where in (*seed_folders(trained), trained):
        out = tmp_path / "out.csv"
        options = {"input": str(tmp_path / "faces.csv"), "output": str(out), "probabilities": True}
        run("predict", tiny_config(), where, **options)
        chances.append(pd.read_csv(out)[list(LABELS)].to_numpy())
    np.testing.assert_allclose(chances[2], (chances[0] + chances[1]) / 2, atol=2e-6)

    summary = json.loads((trained / "eval" / "metrics.json").read_text())
    labels = FACES.validation.labels
    accuracies = [metrics.accuracy_score(labels, c.argmax(1)) for c in chances]
    assert [r["accuracy"] for r in summary["seeds"].values()] == pytest.approx(accuracies[:2])
    assert summary["mean"]["accuracy"] == pytest.approx(np.mean(accuracies[:2]))
    losses = [metrics.log_loss(labels, c / c.sum(1, keepdims=True), labels=range(7)) for c in chances]
    assert summary["standard_deviation"]["loss"] == pytest.approx(statistics.stdev(losses[:2]), abs=1e-4)
    assert summary["ensemble"]["accuracy"] == pytest.approx(accuracies[2])
    assert summary["ensemble"]["loss"] == pytest.approx(losses[2], abs=1e-4)


def test_again(trained, dataset, capsys):
    """Finished runs stay, one more seed is added to them."""
    before = read_rows(trained / "seed-3")
    run("eval", tiny_config(), trained)
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[-7:-1]] == [
        "accuracy",
        "seed-3",
        "seed-4",
        "mean",
        "standard",
        "ensemble",
    ]
    assert read_rows(trained / "seed-3") == before


@pytest.mark.nightly
def test_built_in_faces_are_drawn_once(tmp_path, no_plots, capsys):
    """For all seeds, so that their networks can answer together; a run of one seed draws its own."""
    run_training(tiny_config(seeds=2, seed=1, epochs=1), tmp_path / "both")
    assert "\nensemble " in capsys.readouterr().out
    summary = json.loads((tmp_path / "both" / "eval" / "metrics.json").read_text())
    assert summary["ensemble"].keys() == summary["mean"].keys()
    run_training(tiny_config(seed=2, epochs=1, **{"synthetic.seed": 1}), tmp_path / "alone")
    run_training(tiny_config(seed=2, epochs=1), tmp_path / "own")
    losses = {name: read_rows(tmp_path / name)[0]["val_loss"] for name in ("both/seed-2", "alone", "own")}
    assert losses["both/seed-2"] == losses["alone"] != losses["own"]


def test_flags_of_the_training_beside_eval(trained):
    config = tiny_config(seeds=2, seed=3, epochs=1)
    run("eval", config, trained, overrides=["seeds", "seed", "epochs"])


def test_nothing_stands_in_for_a_seed(trained, tmp_path):
    """Not the weights that come with the package, while one is not trained yet."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    (tmp_path / "seed-5").mkdir()
    write_homework_csv(tmp_path / "faces.csv", FACES.validation)
    paths = {"input": str(tmp_path / "faces.csv"), "output": str(tmp_path / "out.csv")}
    with pytest.raises(UserError, match="seed-5: no checkpoint there"):
        run("predict", tiny_config(), tmp_path, shipped_name="tiny", **paths)


def test_no_ensemble_of_seeds_that_validate_on_other_faces(trained, monkeypatch, capsys):
    """Where the split is drawn by seed, one network's validation faces are another's training faces."""
    drawn = iter([FACES, FACES._replace(validation=FACES.validation.take(np.arange(7)))])
    monkeypatch.setattr(report, "load_to_score", lambda config, trained_on: next(drawn))
    monkeypatch.setattr(compare, "report", lambda *args, **options: None)
    monkeypatch.setattr(compare, "write_json", lambda *args: None)
    run("eval", tiny_config(), trained)
    printed = capsys.readouterr().out
    assert "no ensemble: the seeds drew different validation faces" in printed
    assert "\nensemble " not in printed


def test_one_and_several_do_not_mix(trained, tmp_path, trained_run):
    with pytest.raises(UserError, match="holds runs of several seeds"):
        run_training(tiny_config(), trained)
    trained_run(tmp_path, epochs=1)
    with pytest.raises(UserError, match="holds a run of one seed"):
        run_training(tiny_config(seeds=2), tmp_path)
    assert not seed_folders(tmp_path)
