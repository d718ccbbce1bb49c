"""When a run is saved: often enough, not each epoch, and the best epoch always."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from fer_jax.checkpoints import restore
from fer_jax.errors import UserError
from fer_jax.evaluate.step import Evaluation
from fer_jax.train import folder, outputs, recipe
from fer_jax.train.epochs import EpochTotals, Position, best_row
from fer_jax.train.saver import Saver
from test_stop import train_until
from tiny_run import assert_same_run, read_rows, run_training, tiny_config

pytestmark = pytest.mark.usefixtures("no_plots")

SLOW = 100.0
"""Minutes that no test takes."""


def rows(accuracies):
    return [{"epoch": n, "step": 10 * n, "val_accuracy": a} for n, a in enumerate(accuracies, start=1)]


def train(accuracies, *, seconds, epoch_seconds, start=0):
    """Positions that are written, in order, as (epochs done, value of the state)."""
    now, written = [0.0], []

    def write(state, position):
        written.append((len(position.rows), float(state["w"])))

    every = rows(accuracies)
    saver = Saver(write, Position(every[:start]), seconds=seconds, clock=lambda: now[0])
    step = jax.jit(lambda state: {"w": state["w"] + 1.0}, donate_argnums=0)
    state = {"w": jnp.float32(start)}
    for count in range(start + 1, len(accuracies) + 1):
        state = step(state)
        now[0] += epoch_seconds
        saver.end_epoch(state, Position(every[:count]))
    return saver, state, written


def test_every_epoch_is_saved_where_it_takes_long():
    """As long as the limit, longer than half of it; or where the limit is 0."""
    for seconds, epoch_seconds in [(60, 60), (60, 31), (60, 100), (0, 1), (0, 0)]:
        _, _, written = train([0.1, 0.3, 0.2], seconds=seconds, epoch_seconds=epoch_seconds)
        assert written == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("epoch_seconds", [1, 7, 13, 29])
def test_a_kill_loses_no_more_than_the_limit(epoch_seconds):
    """Which is a minute; and no state is saved that could have waited for another epoch."""
    _, _, written = train([0.9] + [0.1] * 200, seconds=60, epoch_seconds=epoch_seconds)
    ends = [0, *(count for count, _ in written if count > 1)]
    assert len(ends) > 3
    for a, b in itertools.pairwise(ends):
        assert (b - a) * epoch_seconds <= 60 <= (b - a + 1) * epoch_seconds


def test_the_best_epoch_is_saved_before_the_next_checkpoint():
    """With the weights that it had, though later steps have taken their buffers."""
    saver, state, written = train([0.2, 0.5, 0.4, 0.5, 0.3], seconds=60, epoch_seconds=1)
    assert not written
    saver.save(state, Position(rows([0.2, 0.5, 0.4, 0.5, 0.3])))
    assert written == [(2, 2), (5, 5)]
    saver.save(state, Position(rows([0.2, 0.5, 0.4, 0.5, 0.3])))
    assert len(written) == 2


def test_the_last_epoch_may_be_the_best():
    saver, state, written = train([0.2, 0.5, 0.6], seconds=60, epoch_seconds=1)
    saver.save(state, Position(rows([0.2, 0.5, 0.6])))
    assert written == [(3, 3)]


def test_a_best_epoch_of_before_is_saved_already():
    saver, state, written = train([0.9, 0.5, 0.6], seconds=60, epoch_seconds=1, start=1)
    within = Position(rows([0.9, 0.5, 0.6]), 9.0, 2, EpochTotals(), 0.1)
    saver.save(state, within)
    assert written == [(3, 3)]
    assert saver.last is within


def test_nothing_to_save_before_the_first_step():
    saver, state, written = train([0.9], seconds=60, epoch_seconds=1, start=1)
    saver.save(state, Position(rows([0.9])))
    assert not written


# Whole runs.


@pytest.fixture
def scripted(monkeypatch):
    """Sets the validation accuracies of the epochs to come, in tenths."""
    real, left = recipe.evaluate_batches, []

    def evaluate_batches(*args, **options):
        found = real(*args, **options)
        confusion = jnp.zeros((7, 7), jnp.int32).at[0, 0].set(left.pop(0))
        confusion = confusion.at[0, 1].set(10 - confusion[0, 0])
        return Evaluation(confusion, found.loss, found.bins)

    monkeypatch.setattr(recipe, "evaluate_batches", evaluate_batches)
    return left.extend


def steps_on_disk(where):
    return sorted(int(path.name) for path in (where / "checkpoints").iterdir())


def test_a_run_of_short_epochs(tmp_path, scripted, monkeypatch):
    """The best of six epochs and the last are saved, at the end; each epoch is in metrics.jsonl.

    The curves are drawn at the first epoch and at the end.
    """
    drawn = []
    monkeypatch.setattr(outputs, "save_curves", lambda path, rows: drawn.append(len(rows)))
    scripted([2, 5, 4, 6, 3, 1])
    run_training(tiny_config(epochs=6, checkpoint_minutes=SLOW), tmp_path)
    assert steps_on_disk(tmp_path) == [16, 24]
    assert restore.load_best(tmp_path).row["epoch"] == 4
    assert len(read_rows(tmp_path)) == 6
    assert drawn == [1, 6]


@pytest.mark.nightly
def test_the_same_weights_as_if_every_epoch_were_saved(tmp_path, trained_run):
    whole = trained_run(tmp_path / "whole", epochs=5)
    config = tiny_config(epochs=5, checkpoint_minutes=SLOW)
    run_training(config, tmp_path / "seldom")
    assert_same_run(tmp_path / "seldom", whole, config)
    for where in (whole, tmp_path / "seldom"):
        assert restore.load_best(where).row["epoch"] == best_row(read_rows(where))["epoch"]
    a, b = (restore.load_best(tmp_path / name).weights.variables for name in ("whole", "seldom"))
    assert jax.tree.all(jax.tree.map(lambda x, y: x.tobytes() == y.tobytes(), a, b))


@pytest.mark.nightly
def test_a_kill_between_checkpoints(tmp_path, monkeypatch, trained_run):
    """In the fourth epoch of five, saved at the second: the later rows are dropped, and made again."""
    whole, where = trained_run(tmp_path / "whole", epochs=5), tmp_path / "killed"
    real = outputs.write_metrics

    def kill(workdir, rows):
        real(workdir, rows)
        if len(rows) == 4:
            raise KeyboardInterrupt

    class Second(Saver):
        def end_epoch(self, state, position):
            self._seconds = 0.0 if len(position.rows) == 2 else 1e9
            super().end_epoch(state, position)

    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_metrics", kill)
        patch.setattr(folder, "Saver", Second)
        with pytest.raises(KeyboardInterrupt):
            run_training(tiny_config(epochs=5), where)
    assert len(read_rows(where)) == 4
    assert len(restore.latest_record(where).rows) == 2
    # Another value is no other run.
    config = tiny_config(epochs=5, checkpoint_minutes=SLOW)
    run_training(config, where)
    assert_same_run(where, whole, config)


@pytest.mark.parametrize("looks", [10, pytest.param(12, marks=pytest.mark.nightly)])
def test_a_signal_between_checkpoints(tmp_path, scripted, looks):
    """Within the third epoch of four steps, or at its end: saved there, with the best epoch."""
    scripted([5, 3, 2])
    config = tiny_config(epochs=4, checkpoint_minutes=SLOW)
    assert str(train_until(tmp_path, looks, config=config)).endswith("; saved")
    assert steps_on_disk(tmp_path) == [4, looks]
    assert restore.load_best(tmp_path).row["epoch"] == 1


def test_a_loss_that_is_not_finite_between_checkpoints(tmp_path, monkeypatch, scripted):
    scripted([5, 3, 2])

    def explode(**_):
        return lambda step: jnp.where(step < 10, jnp.float32(1e-3), jnp.float32(1e38))

    monkeypatch.setattr(recipe, "learning_rate_schedule", explode)
    with pytest.raises(UserError, match=r"last good checkpoint: epoch 1 \(step 4\); "):
        run_training(tiny_config(epochs=4, checkpoint_minutes=SLOW), tmp_path)
    assert steps_on_disk(tmp_path) == [4]
