"""What is saved comes back, the right ones stay, and a resumed run is the same run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.checkpoints import restore
from fer_jax.checkpoints.save import open_checkpoints, save
from fer_jax.checkpoints.weights import Record, Weights
from fer_jax.errors import UserError
from fer_jax.evaluate import step as evaluate
from fer_jax.evaluate.calibration import empty_bins
from fer_jax.labels import LABELS
from fer_jax.models import create_model
from fer_jax.runtime import files
from fer_jax.train import outputs, recipe
from fer_jax.train import run as run_train
from fer_jax.train.epochs import Epochs, best_row, is_finished
from fer_jax.train.optimizer import create_optimizer
from fer_jax.train.state import create_state
from fer_jax.transforms.normalize import Normalization
from tiny_run import assert_same_run, assert_trees_equal, read_rows, run_training, tiny_config

SIZES = {"hidden": [4], "dropout": 0.0}
CONFIG = {"model": "mlp", "mlp": SIZES, "normalize": "pixelwise"}


def make_state(*, ema=True, seed=0):
    """A state whose every leaf holds random values."""
    model = create_model("mlp", SIZES)
    state = create_state(
        jax.random.key(seed), model=model, optimizer=create_optimizer(lambda _: 0.1), ema=ema
    )
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(draw.normal(5, 9, x.shape), x.dtype), state)


def make_normalization(seed=0):
    mean, std = np.random.default_rng(seed).uniform(1, 9, (2, 48, 48, 1)).astype(np.float32)
    return Normalization(mean, std)


def row(epoch, accuracy):
    return {"epoch": epoch, "step": 10 * epoch, "val_accuracy": accuracy}


def save_state(checkpoints, state, normalization, record):
    """As a run does: named by the state's own step within an epoch."""
    step = int(state.step) if record.position else record.rows[-1]["step"]
    save(checkpoints, step, state, Weights(state.variables(), normalization), record)


def save_epochs(where, accuracies, *, ema=True):
    """One checkpoint for each accuracy; the epoch is the seed of its state and normalization."""
    with open_checkpoints(where) as checkpoints:
        for epoch in range(1, len(accuracies) + 1):
            rows = [row(e, a) for e, a in enumerate(accuracies[:epoch], start=1)]
            record = Record(CONFIG, rows, list(LABELS), {"digest": "d"})
            save_state(checkpoints, make_state(ema=ema, seed=epoch), make_normalization(epoch), record)


@pytest.mark.parametrize("ema", [True, False])
def test_round_trip(tmp_path, ema):
    save_epochs(tmp_path, [0.5], ema=ema)
    state, record = restore.restore_latest(tmp_path, make_state(ema=ema, seed=9))
    assert_trees_equal(state, make_state(ema=ema, seed=1))
    assert (
        record
        == restore.latest_record(tmp_path)
        == Record(CONFIG, [row(1, 0.5)], list(LABELS), {"digest": "d"})
    )
    weights = restore.load_best(tmp_path).weights
    saved = make_state(ema=ema, seed=1)
    assert_trees_equal(
        weights.variables, saved.ema if ema else {"params": saved.params, "batch_stats": saved.batch_stats}
    )


@pytest.mark.parametrize(
    ("accuracies", "kept", "best"),
    [([0.5, 0.7, 0.7, 0.2, 0.1], [20, 40, 50], 2), ([0.1, 0.2, 0.3], [20, 30], 3)],
)
def test_last_two_and_best_are_kept(tmp_path, accuracies, kept, best):
    save_epochs(tmp_path, accuracies)
    assert sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == kept
    found = restore.load_best(tmp_path)
    weights = found.weights
    assert found.row == row(best, accuracies[best - 1])
    assert_trees_equal(weights.variables, make_state(seed=best).variables())
    assert_trees_equal(weights.normalization, make_normalization(best))


def test_no_checkpoint(tmp_path):
    for where in (tmp_path / "missing", tmp_path):
        assert not restore.has_checkpoint(where)
        with pytest.raises(UserError, match=f"^{where}: no checkpoint"):
            restore.load_best(where)
    assert not list(tmp_path.iterdir())


def test_labels_that_the_weights_have_no_outputs_for(tmp_path):
    with open_checkpoints(tmp_path) as checkpoints:
        record = Record(CONFIG, [row(1, 0.5)], ["a", "b"], {})
        save_state(checkpoints, make_state(), make_normalization(), record)
    with pytest.raises(UserError, match="another structure"):
        restore.load_best(tmp_path)


# Training in this process, without pictures.


def tiny(**changes):
    return tiny_config(**({"epochs": 3} | changes))


def test_resumed_run_is_the_same_run(tmp_path, monkeypatch, no_plots, capsys, trained_run):
    config = tiny(balance="sampling")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trained_run(whole, balance="sampling", epochs=3)

    real = outputs.write_metrics

    def interrupt(workdir, rows):
        real(workdir, rows)
        if len(rows) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_metrics", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_training(config, parts)
    assert len(read_rows(parts)) == 2
    capsys.readouterr()
    run_training(config, parts)
    assert "going on after epoch 2 (step 8)" in capsys.readouterr().out

    assert_same_run(parts, whole, config)
    assert [r["step"] for r in read_rows(parts)] == [4, 8, 12]


def test_interrupted_at_the_very_end(tmp_path, monkeypatch, no_plots):
    """All epochs are saved, but not yet written down: the same command again writes them down."""
    config = tiny(epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_training(config, tmp_path)
    run_training(config, tmp_path)
    assert [r["epoch"] for r in read_rows(tmp_path)] == [1]


def test_other_data_are_refused(tmp_path, monkeypatch, trained_run):
    config = tiny(epochs=1)
    trained_run(tmp_path, epochs=1)
    monkeypatch.setattr(run_train, "digest", lambda _: "other")
    with pytest.raises(UserError, match="other data than synthetic"):
        run_training(config, tmp_path)


@pytest.mark.nightly
def test_early_stopping(tmp_path, monkeypatch, no_plots, capsys):
    accuracies = iter([2, 5, 4, 5, 9])

    def scripted(*_, **__):
        confusion = np.zeros((7, 7), np.int32)
        confusion[0, 0] = next(accuracies, 5)
        confusion[0, 1] = 10 - confusion[0, 0]
        return evaluate.Evaluation(confusion, 1.0, empty_bins())

    monkeypatch.setattr(recipe, "evaluate_batches", scripted)
    config = tiny(epochs=6, patience=2)
    run_training(config, tmp_path)
    assert [r["val_accuracy"] for r in read_rows(tmp_path)] == [0.2, 0.5, 0.4, 0.5]
    assert restore.load_best(tmp_path).row["epoch"] == 2
    capsys.readouterr()
    run_training(config, tmp_path)
    printed = capsys.readouterr().out
    assert "this run is finished" in printed
    assert "2 epochs went by without a better one; to go on: --config.patience=N" in printed
    assert len(read_rows(tmp_path)) == 4
    config.patience = 0
    run_training(config, tmp_path)
    assert len(read_rows(tmp_path)) == 6


def test_when_a_run_is_finished():
    rows = [row(epoch, accuracy) for epoch, accuracy in enumerate([0.2, 0.5, 0.5], start=1)]
    assert best_row(rows)["epoch"] == 2
    assert not is_finished([], Epochs(3, 1))
    assert is_finished(rows, Epochs(3, 0))
    assert not is_finished(rows, Epochs(4, 0))
    assert not is_finished(rows, Epochs(4, 2))
    assert is_finished(rows, Epochs(4, 1))
    # Patience begins at the last size of the faces: here in the third of four epochs, or the fifth of eight.
    assert is_finished(rows, Epochs(4, 1, (32, 48)))
    assert not is_finished(rows, Epochs(8, 1, (32, 48)))


def test_loss_that_is_not_finite(tmp_path, monkeypatch, no_plots):
    def explode(**_):
        return lambda step: jnp.where(step < 4, jnp.float32(1e-3), jnp.float32(1e38))

    monkeypatch.setattr(recipe, "learning_rate_schedule", explode)
    with pytest.raises(UserError, match=r"^[^\n]*not finite[^\n]*$") as caught:
        run_training(tiny(), tmp_path)
    for part in ("at step ", "learning rate 1e+38", "last good checkpoint: epoch 1 (step 4)"):
        assert part in str(caught.value)
    assert len(read_rows(tmp_path)) == 1
    weights = restore.load_best(tmp_path).weights
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights.variables))


@pytest.mark.parametrize("nonfinite", [pytest.param("skip", marks=pytest.mark.nightly), "stop"])
def test_steps_that_are_skipped_are_told(tmp_path, monkeypatch, no_plots, nonfinite):
    """The weight of one class makes the loss overflow; some batches of five have none of its faces."""
    monkeypatch.setattr(recipe, "class_weights", lambda *_: np.array([3.4e38, 1, 1, 1, 1, 1, 1], np.float32))
    config = tiny(nonfinite=nonfinite, balance="weights", epochs=2, batch_size=5)
    if nonfinite == "stop":
        with pytest.raises(UserError, match="not finite at step"):
            run_training(config, tmp_path)
        return
    run_training(config, tmp_path)
    rows = read_rows(tmp_path)
    assert [row["step"] for row in rows] == [14, 28]
    assert all(0 < row["skipped_steps"] < 14 for row in rows)
    assert all(np.isfinite(row["train_loss"]) and 0 <= row["train_accuracy"] <= 1 for row in rows)
    config.batch_size = 70
    with pytest.raises(UserError, match="not finite in any step of epoch 1, which were all skipped"):
        run_training(config, tmp_path / "other")
