"""A full disk, a read-only workdir, a data file that is gone: one line, the last good checkpoint whole."""

import contextlib
import errno
import os
import shutil
import subprocess

import pytest

from fer_jax.checkpoints.restore import latest_record, load_best
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.runtime import files
from fer_jax.train import outputs
from tiny_run import assert_same_run, read_rows, run_training, tiny_config

pytestmark = pytest.mark.usefixtures("no_plots")

# Checkpoints of a size that a small disk has no room for four of.
CONFIG = tiny_config(**{"epochs": 3, "mlp.hidden": (256,)})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    where = tmp_path_factory.mktemp("whole")
    run_training(CONFIG, where)
    return where


@pytest.fixture
def small_disk(tmp_path):
    """An empty disk of 40 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount command: {error}")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk):
    with open(disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 2**16)
    assert shutil.disk_usage(disk).free < 2**16


def train_and(after_epoch, event, where):
    """Trains; ``event()`` happens once an epoch is done and saved -> the one line of the error."""

    real = outputs.write_metrics

    def watch(workdir, rows):
        real(workdir, rows)
        if len(rows) == after_epoch:
            event()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "write_metrics", watch)
        with pytest.raises(UserError) as caught:
            run_training(CONFIG, where)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.nightly
def test_full_disk(small_disk, whole, capfd):
    where = small_disk / "run"
    error = train_and(2, lambda: fill(small_disk), where)
    # Whichever is written first: the checkpoint in the background, or the files beside it.
    assert error.startswith(str(where))
    assert "no space left on device" in error.lower()
    assert "Traceback" not in capfd.readouterr().err
    (small_disk / "filler").unlink()
    assert len(latest_record(where).rows) >= 1
    assert "damaged" not in capfd.readouterr().err
    run_training(CONFIG, where)
    assert_same_run(where, whole, CONFIG)


@pytest.mark.nightly
def test_read_only_workdir(small_disk, whole, capfd):
    where = small_disk / "run"

    def remount(mode):
        subprocess.run(["mount", "-o", f"remount,{mode}", str(small_disk)], check=True)

    def fail():
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "save_curves", lambda *_: fail())
        with pytest.raises(KeyboardInterrupt):
            run_training(CONFIG, where)
    remount("ro")
    with pytest.raises(UserError, match=r"^[^\n]*: read-only file system; [^\n]*$"):
        run_training(CONFIG, where)
    with pytest.raises(UserError, match=r"^[^\n]*: read-only file system; [^\n]*$"):
        run_training(CONFIG, small_disk / "new")
    # It can be read from.
    assert load_best(where).row["epoch"] == 1
    remount("rw")
    run_training(CONFIG, where)
    assert_same_run(where, whole, CONFIG)


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, *(pytest.param(n, marks=pytest.mark.nightly) for n in (errno.EROFS, errno.EIO))]
)
def test_a_file_that_cannot_be_written(whole, tmp_path, number):
    """Where nothing can be mounted: the system refuses when metrics.jsonl is written."""

    def refuse(path, rows):
        if len(rows) == 2:
            raise OSError(number, os.strerror(number), str(path))
        real(path, rows)

    real = files.write_rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "write_rows", refuse)
        with pytest.raises(UserError) as caught:
            run_training(CONFIG, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/metrics.jsonl: {os.strerror(number).lower()}; ")
    assert len(read_rows(tmp_path)) == 1
    run_training(CONFIG, tmp_path)
    assert_same_run(tmp_path, whole, CONFIG)


def test_vanished_data(tmp_path):
    data, where = tmp_path / "train.csv", tmp_path / "run"
    write_homework_csv(data, draw_faces(70, seed=1))
    config = tiny_config(dataset=str(data), epochs=1, validation_fraction=0.2)
    run_training(config, where)
    before = {path: path.read_bytes() for path in where.rglob("*") if path.is_file()}
    data.unlink()
    config.epochs = 2
    with pytest.raises(UserError, match=rf"^{data}: no such file or directory; [^\n]*$"):
        run_training(config, where)
    assert {path: path.read_bytes() for path in where.rglob("*") if path.is_file()} == before
