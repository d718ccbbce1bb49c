"""Damaged checkpoints are named and set aside, and the one before is used."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from fer_jax.checkpoints import restore
from fer_jax.checkpoints.save import open_checkpoints
from fer_jax.checkpoints.weights import Record
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from test_checkpoint import CONFIG, make_normalization, make_state, row, save_epochs, save_state
from tiny_run import assert_trees_equal


def flip_a_bit(folder):
    """In the middle of the file with the arrays."""
    path = max(folder.glob("**/d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(folder):
    path = max(folder.glob("**/d/*"), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_files(folder):
    """As a machine that lost power may leave them."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


def lose_arrays(folder):
    for name in ("state", "weights"):
        shutil.rmtree(next((folder / name).glob("**/d")))


def lose_everything(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def garble_record(folder):
    path = folder / "_CHECKPOINT_METADATA"
    path.write_text(path.read_text()[:-20])


def change_record(folder):
    """Still good JSON: another accuracy."""
    path = folder / "_CHECKPOINT_METADATA"
    content = json.loads(path.read_text())
    content["custom_metadata"]["rows"][-1]["val_accuracy"] = 0.75
    path.write_text(json.dumps(content))


def exchange_arrays(folder):
    """Sound files, but of another checkpoint."""
    other = folder.parent / str(int(folder.name) - 10)
    for name in ("state", "weights"):
        shutil.rmtree(folder / name)
        shutil.copytree(other / name, folder / name)


DAMAGE = [
    flip_a_bit,
    cut_off,
    empty_files,
    lose_arrays,
    lose_everything,
    garble_record,
    change_record,
    exchange_arrays,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_one_before_is_used(tmp_path, capsys, damage):
    save_epochs(tmp_path, [0.5, 0.7])
    folder = tmp_path / "checkpoints" / "20"
    damage(folder / "state" if damage in (flip_a_bit, cut_off) else folder)
    state, record = restore.restore_latest(tmp_path, make_state(seed=9))
    assert_trees_equal(state, make_state(seed=1))
    assert record.rows == [row(1, 0.5)]
    error = capsys.readouterr().err
    assert error.startswith(f"{folder}: damaged (")
    assert error.endswith("); set aside as damaged-20\n")
    assert error.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["10", "damaged-20"]
    # The run goes on, and saves that step again.
    with open_checkpoints(tmp_path) as checkpoints:
        record = Record(CONFIG, [row(1, 0.5), row(2, 0.7)], list(LABELS), {"digest": "d"})
        save_state(checkpoints, make_state(seed=2), make_normalization(2), record)
    assert_trees_equal(restore.restore_latest(tmp_path, make_state(seed=9))[0], make_state(seed=2))


@pytest.mark.parametrize(
    "damage", [*DAMAGE[:2], *(pytest.param(damage, marks=pytest.mark.nightly) for damage in DAMAGE[2:])]
)
def test_the_next_best_is_used(tmp_path, capsys, damage):
    save_epochs(tmp_path, [0.5, 0.7])
    folder = tmp_path / "checkpoints" / "20"
    damage(folder / "weights" if damage in (flip_a_bit, cut_off) else folder)
    found = restore.load_best(tmp_path)
    weights = found.weights
    assert found.row == row(1, 0.5)
    assert_trees_equal(weights.variables, make_state(seed=1).variables())
    error = capsys.readouterr().err
    assert error.startswith(f"{folder}: damaged (")
    assert error.endswith("); left out\n")
    # Only the process that trains renames it.
    assert folder.is_dir()
    assert restore.load_best(tmp_path, mine=True).row == row(1, 0.5)
    assert "set aside as damaged-20" in capsys.readouterr().err
    assert not folder.exists()


def test_none_is_whole(tmp_path, capsys):
    save_epochs(tmp_path, [0.5])
    for _ in range(2):
        lose_everything(tmp_path / "checkpoints" / "10")
        with pytest.raises(UserError, match=r"all checkpoints there are damaged"):
            restore.load_best(tmp_path)
        assert restore.restore_latest(tmp_path, make_state()) is None
        (tmp_path / "checkpoints" / "10").mkdir()
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"10", "damaged-10", "damaged-10-2"}


@pytest.fixture
def folder_of_another_user():
    """A folder whose files the test reads as an ordinary user, also where it runs as root."""
    if os.name != "posix":
        pytest.skip("needs the permissions of POSIX")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@contextlib.contextmanager
def ordinary_user():
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("closed", ["", "/20/weights", "/20/_CHECKPOINT_METADATA"])
def test_what_may_not_be_read_is_no_damage(folder_of_another_user, capsys, closed):
    """Files of another user: nothing is renamed, and no run begins anew over them."""
    where = folder_of_another_user
    save_epochs(where, [0.5, 0.7])
    before = sorted(where.rglob("*"))
    os.chmod(f"{where}/checkpoints{closed}", 0)
    with ordinary_user():
        for read in (restore.load_best, restore.latest_record):
            if read is restore.latest_record and closed.endswith("weights"):
                continue  # it reads no weights
            with pytest.raises(UserError, match=r"permission denied.*; nothing was changed") as caught:
                read(where)
            assert "\n" not in str(caught.value)
    os.chmod(f"{where}/checkpoints{closed}", 0o755)
    assert sorted(where.rglob("*")) == before
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_program_is_no_damage(tmp_path, monkeypatch):
    """As another release of Orbax, whose function is gone."""
    save_epochs(tmp_path, [0.5])
    monkeypatch.delattr(ocp, "load_checkpointables")
    for read in (restore.load_best, lambda where: restore.restore_latest(where, make_state())):
        with pytest.raises(UserError, match=r"checkpoints/10: cannot be read now \(AttributeError"):
            read(tmp_path)
    assert (tmp_path / "checkpoints" / "10").is_dir()


def test_another_structure_is_no_damage(tmp_path):
    save_epochs(tmp_path, [0.5], ema=False)
    with pytest.raises(UserError, match="another structure"):
        restore.restore_latest(tmp_path, make_state(ema=True))
    assert (tmp_path / "checkpoints" / "10").is_dir()


def test_half_written_is_removed(tmp_path, capsys):
    save_epochs(tmp_path, [0.5])
    (tmp_path / "checkpoints" / "20.orbax-checkpoint-tmp-0" / "state").mkdir(parents=True)
    (tmp_path / "checkpoints" / "30.orbax-checkpoint-tmp-0").touch()
    assert restore.latest_record(tmp_path).rows == [row(1, 0.5)]
    with open_checkpoints(tmp_path):
        pass
    assert f"{tmp_path}/checkpoints/20: was only half written; removed" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["10"]


def test_what_is_saved_is_what_was_given(tmp_path):
    """In the background, while the arrays and the list of rows go on changing."""
    state, rows = jax.tree.map(np.array, make_state(seed=1)), [row(1, 0.5)]
    with open_checkpoints(tmp_path) as checkpoints:
        record = Record(CONFIG, rows, list(LABELS), {"digest": "d"})
        save_state(checkpoints, state, make_normalization(), record)
        rows.append(row(2, 0.9))
        for leaf in jax.tree.leaves(state):
            leaf.fill(7)
    restored, record = restore.restore_latest(tmp_path, make_state(seed=9))
    assert_trees_equal(restored, make_state(seed=1))
    assert record.rows == [row(1, 0.5)]


def test_a_place_within_an_epoch_is_no_candidate_for_the_best(tmp_path, capsys):
    """Not even where the checkpoint of the epoch before is lost."""
    save_epochs(tmp_path, [0.5])
    with open_checkpoints(tmp_path) as checkpoints:
        record = Record(CONFIG, [row(1, 0.5)], list(LABELS), {"digest": "d"}, {"epoch": 2, "row": 3})
        state = make_state(seed=2).replace(step=jnp.int32(13))
        save_state(checkpoints, state, make_normalization(2), record)
    found = restore.load_best(tmp_path)
    weights = found.weights
    assert found.record.position is None
    assert_trees_equal(weights.variables, make_state(seed=1).variables())
    lose_everything(tmp_path / "checkpoints" / "10")
    with pytest.raises(UserError, match="no epoch is complete yet"):
        restore.load_best(tmp_path)
    assert restore.latest_record(tmp_path).position == {"epoch": 2, "row": 3}
    assert "damaged-10" in capsys.readouterr().err


def test_runs_of_older_versions_have_no_digests(tmp_path, monkeypatch):
    real = ocp.save_checkpointables_async

    def without(path, trees, *, custom_metadata, **options):
        old = {k: custom_metadata[k] for k in ("config", "rows", "labels", "data")}
        return real(path, trees, custom_metadata=old, **options)

    monkeypatch.setattr(ocp, "save_checkpointables_async", without)
    save_epochs(tmp_path, [0.5])
    state, record = restore.restore_latest(tmp_path, make_state(seed=9))
    assert_trees_equal(state, make_state(seed=1))
    assert record.position is None
    assert restore.load_best(tmp_path).row == row(1, 0.5)
