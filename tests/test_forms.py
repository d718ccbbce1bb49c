"""The two forms of the tests: what the short one leaves out, and how it runs commands."""

import os
import types

import pytest

import commands
from conftest import FILES, LEFT_OUT, pytest_collection_modifyitems
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces


def test_every_file_has_a_test_in_the_short_form(pytestconfig):
    assert [path.name for path, count in pytestconfig.stash[FILES].items() if count == 0] == []


@pytest.mark.parametrize(("nightly", "expected"), [(False, ["quick"]), (True, ["quick", "long"])])
def test_long_tests_are_left_out(nightly, expected, tmp_path):
    def item(name, mark=None):
        return types.SimpleNamespace(name=name, path=tmp_path / name, get_closest_marker=lambda _: mark)

    config = types.SimpleNamespace(getoption=lambda _: nightly, stash={})
    items = [item("quick"), item("long", pytest.mark.nightly)]
    pytest_collection_modifyitems(config, items)
    assert [item.name for item in items] == expected
    assert config.stash[LEFT_OUT] == 2 - len(expected)
    assert config.stash[FILES] == {tmp_path / "quick": 1, tmp_path / "long": 0}


@pytest.fixture
def both_ways(tmp_path, monkeypatch):
    """The result of a command forked, and of one started as a user does."""

    def both_ways(*arguments):
        found = []
        for nightly in (False, True):
            monkeypatch.setattr(commands, "nightly", nightly)
            folder = tmp_path / f"nightly-{nightly}"
            folder.mkdir()
            write_homework_csv(folder / "faces.csv", draw_faces(7, seed=0))
            config = f"--config={commands.ROOT}/configs/tiny.py"
            done = commands.run_main([config, *arguments], folder, OMP_NUM_THREADS="1")
            left = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
            found.append((done.returncode, done.stdout, done.stderr, left))
        return found

    return both_ways


def test_a_forked_command_fails_as_one_that_is_started(both_ways):
    forked, started = both_ways("--mode=eval", "--workdir=none")
    assert forked == started
    assert forked[0] == 1


@pytest.mark.nightly
def test_a_forked_command_does_what_one_does_that_is_started(both_ways):
    forked, started = both_ways("--mode=predict", "--input=faces.csv", "--output=out.csv")
    assert forked == started
    assert forked[0] == 0


@pytest.mark.skipif(
    not os.path.exists("/proc/self/task"), reason="Linux alone lists the threads of a process"
)
@pytest.mark.skipif(not commands.CAN_FORK, reason="nothing is forked on this system")
def test_what_is_forked_from_has_no_threads():
    """Else a fork may hang on a lock that one of them held."""
    from multiprocessing.forkserver import _forkserver

    commands.check_main(["--config=configs/mlp.py"], commands.ROOT)
    assert len(os.listdir(f"/proc/{_forkserver._forkserver_pid}/task")) == 1
