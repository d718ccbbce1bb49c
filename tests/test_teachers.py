"""Training that builds on trained networks: as teachers, and to start from."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from fer_jax.checkpoints import choose
from fer_jax.checkpoints.restore import load_best
from fer_jax.data.load import load_dataset
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.runtime.command import plain
from fer_jax.train.teachers import mean_probabilities, named_networks
from tiny_run import assert_trees_equal, command, read_rows, run_training, tiny_config

pytestmark = pytest.mark.usefixtures("no_plots")

IMAGES = load_dataset(plain(tiny_config())).train.images


@pytest.fixture(scope="module")
def runs(tmp_path_factory, trained_run):
    """Two runs, of different batches."""
    folders = [tmp_path_factory.mktemp("runs") / name for name in ("a", "b")]
    for where, batch_size in zip(folders, (16, 32), strict=True):
        trained_run(where, batch_size=batch_size)
    return folders


def probabilities(where):
    return choose.choose(command("eval", tiny_config(), where)).predict(IMAGES)


def test_learns_from_a_teacher(runs, tmp_path, capsys):
    """Of its probabilities alone: the loss is never below their entropy."""
    options = {"epochs": 1, "teacher_share": 1.0, "label_smoothing": 0.0}
    run_training(tiny_config(teacher=str(runs[0]), **options), tmp_path / "taught")
    assert f"teacher: {runs[0]}, " in capsys.readouterr().out
    chances = probabilities(runs[0])
    entropy = -(chances * np.log(chances)).sum(1).mean()
    loss = read_rows(tmp_path / "taught")[0]["train_loss"]
    assert loss > entropy - 0.1
    # What is done to the labels makes no difference.
    smoothed = options | {"label_smoothing": 0.5}
    run_training(tiny_config(teacher=str(runs[0]), **smoothed), tmp_path / "smoothed")
    assert read_rows(tmp_path / "smoothed")[0]["train_loss"] == pytest.approx(loss, rel=1e-5)
    with pytest.raises(UserError, match="nowhere: no such run"):
        run_training(tiny_config(teacher="nowhere", **options), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.nightly
def test_tells_where_a_network_may_have_seen_the_validation_faces(runs, tmp_path, capsys):
    options = {"teacher": str(runs[0]), "initial_weights": str(runs[1]), "synthetic.num_train": 63}
    run_training(tiny_config(epochs=1, **options), tmp_path)
    assert capsys.readouterr().out.count("was trained on other faces than this run's") == 2
    # What a run began from is no news once it goes on from its own checkpoint.
    run_training(tiny_config(epochs=2, **options), tmp_path)
    told = capsys.readouterr().out
    assert "starts from" not in told
    assert told.count("was trained on other faces than this run's") == 1


@pytest.mark.nightly
def test_goes_on_with_a_teacher_that_has_changed(runs, tmp_path, capsys):
    """And says so, but not where only its name has blanks around it."""
    teacher = tmp_path / "teacher"
    shutil.copytree(runs[0], teacher)
    options = {"teacher": f" {teacher}", "initial_weights": str(runs[1])}
    run_training(tiny_config(epochs=1, **options), tmp_path / "run")
    run_training(tiny_config(epochs=2, **options), tmp_path / "run")
    assert "not as before" not in capsys.readouterr().out
    shutil.rmtree(teacher)
    shutil.copytree(runs[1], teacher)
    run_training(tiny_config(epochs=3, **options), tmp_path / "run")
    assert f"run: not as before: teacher {teacher} with other weights; " in capsys.readouterr().out


def test_several_teachers_teach_their_mean(runs):
    a, b = (probabilities(run) for run in runs)
    assert np.abs(a - b).max() > 0.01
    networks = named_networks(plain(tiny_config(teacher=f"{runs[0]},{runs[1]}")), LABELS)
    taught = mean_probabilities(list(networks.teachers.values()))(IMAGES.astype(np.float32))
    np.testing.assert_allclose(taught, (a + b) / 2, atol=1e-6)


def test_starts_from_a_network(runs, tmp_path, capsys):
    """At a rate of 0 it stays what it was; without averages, whose rounding would show."""
    config = tiny_config(initial_weights=str(runs[0]), epochs=1, learning_rate=0.0, ema_decay=0.0, seed=0)
    run_training(config, tmp_path)
    told = capsys.readouterr().out
    assert f"starts from: {runs[0]}, " in told
    assert "trained on other faces" not in told
    weights, before = load_best(tmp_path).weights, load_best(runs[0]).weights
    assert_trees_equal(weights.variables["params"], before.variables["params"])


def test_starts_from_the_mean_of_weights(runs, tmp_path, capsys):
    """And says whose they are."""
    names = f"{runs[0]}, {runs[1]}"
    run_training(tiny_config(initial_weights=names, epochs=1, learning_rate=0.0, ema_decay=0.0), tmp_path)
    told = capsys.readouterr().out
    assert all(f"starts from: {run}, " in told for run in runs)
    assert "  the mean of the weights of these 2 networks\n" in told
    a, b, mean = (load_best(run).weights.variables["params"] for run in (*runs, tmp_path))
    assert_trees_equal(mean, jax.tree.map(lambda one, other: (one + other) / 2, a, b))


def test_a_comma_may_be_part_of_a_name(runs, tmp_path):
    """Where a folder of that name exists."""
    shutil.copytree(runs[0], tmp_path / "a, b")
    name = str(tmp_path / "a, b")
    networks = named_networks(plain(tiny_config(teacher=name, initial_weights=name)), LABELS)
    assert (list(networks.teachers), list(networks.members)) == ([name], [name])


def test_makes_no_mean_of_networks_that_differ(runs, monkeypatch):
    a = choose.load(runs[0])
    reordered = dataclasses.replace(a, record=a.record._replace(labels=LABELS[::-1]))
    wider = dataclasses.replace(
        a, record=a.record._replace(config=a.record.config | {"mlp": {"hidden": [9]}})
    )
    monkeypatch.setattr(choose, "load", {"a": a, "b": reordered, "c": wider}.get)
    with pytest.raises(UserError, match=r"b knows neutral, .*; a knows angry, .*; a mean of weights"):
        named_networks(plain(tiny_config(initial_weights="a,b")), LABELS)
    with pytest.raises(UserError, match="c has other sizes or normalization than a; a mean of weights needs"):
        named_networks(plain(tiny_config(initial_weights="a,c")), LABELS)


def test_named_below_the_home_folder(runs, monkeypatch):
    monkeypatch.setenv("HOME", str(runs[0].parent))
    networks = named_networks(plain(tiny_config(teacher=f"~/{runs[0].name}")), LABELS)
    assert list(networks.teachers) == [f"~/{runs[0].name}"]


def test_starts_from_no_network_of_other_sizes(runs, tmp_path):
    expected = r'a network of other sizes or normalization; add "--config.mlp.hidden=\(8,\)"$'
    with pytest.raises(UserError, match=expected):
        run_training(tiny_config(**{"initial_weights": str(runs[0]), "mlp.hidden": (9, 8)}), tmp_path)
    with pytest.raises(UserError, match=r"add --config.normalize=pixelwise$"):
        run_training(tiny_config(initial_weights=str(runs[0]), normalize="global"), tmp_path)
    # A CNN of the package: the network's kind, and the sizes of that kind.
    expected = (
        r'add --config.model=cnn --config.normalize=global "--config.cnn.widths=\(8,16,32,64\)" '
        r'"--config.cnn.blocks=\(1,1,2,1\)" --config.cnn.stem_stride=1$'
    )
    with pytest.raises(UserError, match=expected):
        run_training(tiny_config(initial_weights="tiny"), tmp_path)
