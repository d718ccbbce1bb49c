"""A signal ends training after a step, what was done is kept, and the rest is as if none had come."""

import contextlib
import os
import shutil
import signal
import time

import jax.numpy as jnp
import pytest

from fer_jax.checkpoints import restore
from fer_jax.errors import UserError
from fer_jax.runtime import signals
from fer_jax.runtime.lock import locked
from fer_jax.train import recipe
from fer_jax.train import run as run_train
from tiny_run import assert_same_run, read_rows, run_training, tiny_config

pytestmark = pytest.mark.usefixtures("no_plots")

FIELDS = {"balance": "sampling", "epochs": 3}  # of four steps each
CONFIG = tiny_config(**FIELDS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, trained_run):
    return trained_run(tmp_path_factory.mktemp("whole"), **FIELDS)


def train_until(where, looks, number=signal.SIGINT, config=CONFIG):
    """Trains until the loop has looked ``looks`` times whether a signal came -> the exception."""
    left = iter(range(looks))

    @contextlib.contextmanager
    def scripted():
        yield lambda: 0 if next(left, None) is not None else number

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, "noted_signals", scripted)
        with pytest.raises(signals.Stopped) as caught:
            run_training(config, where)
    return caught.value


def saved_steps(where):
    return sorted(int(path.name) for path in (where / "checkpoints").iterdir())


def test_stopped_in_an_epoch(whole, tmp_path, capsys):
    """Three times, the second time before it took a step."""
    stop = train_until(tmp_path, 6, signal.SIGTERM)
    assert (stop.status, str(stop)) == (143, f"{tmp_path}: stopped in epoch 2, after 2 of its steps; saved")
    assert saved_steps(tmp_path) == [4, 6]
    assert [row["epoch"] for row in read_rows(tmp_path)] == [1]
    found = restore.load_best(tmp_path)
    assert (found.row["epoch"], found.record.position) == (1, None)

    assert str(train_until(tmp_path, 0)) == f"{tmp_path}: stopped in epoch 2, after 2 of its steps; saved"
    assert saved_steps(tmp_path) == [4, 6]
    train_until(tmp_path, 1)
    # The last two, and the best epoch.
    assert saved_steps(tmp_path) == [4, 6, 7]
    capsys.readouterr()
    run_training(CONFIG, tmp_path)
    printed = capsys.readouterr().out
    assert "going on in epoch 2, after 3 of its steps" in printed
    assert "not as before" not in printed
    assert_same_run(tmp_path, whole, CONFIG)


@pytest.mark.parametrize(
    ("last_good_step", "where"),
    [
        pytest.param(
            6, "at step 7, learning rate 1e+38", id="seen by the next step", marks=pytest.mark.nightly
        ),
        pytest.param(7, "after epoch 2", id="seen by validation alone"),
    ],
)
def test_what_is_kept_where_the_loss_is_not_finite(tmp_path, monkeypatch, last_good_step, where):
    def explode(**_):
        return lambda step: jnp.where(step < last_good_step, jnp.float32(1e-3), jnp.float32(1e38))

    train_until(tmp_path, 6)
    monkeypatch.setattr(recipe, "learning_rate_schedule", explode)
    with pytest.raises(UserError, match="not finite") as caught:
        run_training(CONFIG, tmp_path)
    assert f"{where}; last good checkpoint: within epoch 2 (step 6); " in str(caught.value)
    assert saved_steps(tmp_path) == [4, 6]


def test_stopped_between_epochs(whole, tmp_path, monkeypatch, capsys):
    """The rest of the run on another machine, by a version that has a field more."""
    stop = train_until(tmp_path, 4)
    assert (stop.status, str(stop)) == (130, f"{tmp_path}: stopped after epoch 1; saved")
    assert saved_steps(tmp_path) == [4]
    path, cores = tmp_path / "config.json", os.cpu_count()
    text = path.read_text().replace('"cpu_count": ', '"cpu_count": 9').replace('"jax": "', '"jax": "7.')
    path.write_text(text)
    real = restore.latest_record

    def older(where):
        record = real(where)
        return record._replace(config={k: v for k, v in record.config.items() if k != "nonfinite"})

    monkeypatch.setattr(restore, "latest_record", older)
    capsys.readouterr()
    run_training(CONFIG, tmp_path)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "not as before" in line]
    assert line.startswith(f"{tmp_path}: not as before: jax 7.")
    assert f"cpu_count 9{cores} there, cpu_count {cores} here; results may differ" in line
    assert_same_run(tmp_path, whole, CONFIG)


@pytest.mark.nightly
def test_stopped_in_the_first_epoch(whole, tmp_path):
    assert str(train_until(tmp_path, 0)) == f"{tmp_path}: stopped before the first step"
    assert not restore.has_checkpoint(tmp_path)
    train_until(tmp_path, 3)
    assert saved_steps(tmp_path) == [3]
    assert not (tmp_path / "metrics.jsonl").exists()
    with pytest.raises(UserError, match=r"no epoch is complete yet"):
        restore.load_best(tmp_path)
    run_training(CONFIG, tmp_path)
    assert_same_run(tmp_path, whole, CONFIG)


@pytest.mark.nightly
def test_stopped_in_the_last_validation(whole, tmp_path, capsys):
    """After the loop's last look: what is trained is saved, and neither scoring nor another seed begins."""
    stop = train_until(tmp_path, 12)
    assert (stop.status, str(stop)) == (
        130,
        f"{tmp_path}: stopped after the last epoch; saved, not yet scored",
    )
    assert_same_run(tmp_path, whole, CONFIG)
    assert not (tmp_path / "eval").exists()
    run_training(CONFIG, tmp_path)
    assert "this run is finished" in capsys.readouterr().out
    assert (tmp_path / "eval" / "metrics.json").exists()


def wait_for(condition, seconds=5.0):
    """Another thread acts on signals."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_signals_are_noted_once(monkeypatch, capfd):
    """By real signals; the second Ctrl-C would end this process."""
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
    try:
        for first in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with signals.noted_signals() as noted:
                assert noted() == 0
                signal.raise_signal(first)
                signal.raise_signal(signal.SIGTERM)
                assert noted() == first
                assert not ended
                signal.raise_signal(signal.SIGINT)
                wait_for(lambda ended=ended: ended)
                assert ended.pop() == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) == before[1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGHUP, hangup)
    assert capfd.readouterr().err.count("stopping after this step") == 3


def test_a_signal_that_a_block_has_taken_is_not_obeyed_later(monkeypatch):
    """The thread that obeys may be late: the block has ended, and its caller is at work on the end."""
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with signals.noted_signals() as noted:
        watch = signals._current
        watch.number = signal.SIGTERM  # as the handler notes it
        assert noted() == signal.SIGTERM
    watch._obey(signal.SIGTERM, True)
    assert not ended
    watch._obey(signal.SIGINT, False)
    assert ended[0] == 143


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.noted_signals() as noted:
            signal.raise_signal(signal.SIGINT)
            assert noted() == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_process_a_workdir(whole, tmp_path):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with locked(whole), pytest.raises(UserError, match=f"^{whole}: another process is training there; .*$"):
        run_training(CONFIG, whole)
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before
    with locked(whole):
        pass  # it was let go, though the file stays
    assert (whole / ".lock").exists()


def test_a_run_that_another_process_began_meanwhile(whole, tmp_path, monkeypatch):
    """Its config was not there to be compared when this command looked."""
    where = tmp_path / "run"
    load_dataset = run_train.load_dataset

    def slowly(config, **options):
        shutil.copytree(whole, where)
        return load_dataset(config, **options)

    monkeypatch.setattr(run_train, "load_dataset", slowly)
    with pytest.raises(UserError, match=r"run: another process began a run there just now; "):
        run_training(CONFIG, where)
    assert_same_run(where, whole, CONFIG)
