"""Several runs side by side."""

import json

import pytest

from fer_jax import modes
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.runtime.command import Command, make_command, plain
from tiny_run import run, run_training, tiny_config


def compare(runs, config, overrides=()):
    command = Command("eval", config, tuple(overrides), tuple(runs))
    modes.runner(command)(command)


def test_the_figures_of_each_run(tmp_path, capsys, trained_run):
    """Each row has what an evaluation of the run alone gives."""
    runs = [tmp_path / "a", tmp_path / "longer name"]
    trained_run(runs[0], epochs=1)
    trained_run(runs[1], epochs=3, seed=1)
    given = plain(tiny_config(views="flip"))
    alone = []
    for path in runs:
        run("eval", given, path, overrides=["views"])
        alone.append(json.loads((path / "eval" / "metrics.json").read_text()))
        (path / "eval" / "metrics.json").unlink()
        (path / "eval" / "reliability.png").write_text("of an older evaluation")
    capsys.readouterr()
    compare(runs, given, ["views"])
    lines = capsys.readouterr().out.splitlines()
    for path, expected in zip(runs, alone, strict=True):
        assert json.loads((path / "eval" / "metrics.json").read_text()) == expected
        assert (path / "eval" / "reliability.png").read_bytes().startswith(b"\x89PNG")
        (row,) = [line for line in lines if line.startswith(f"{path} ")]
        cells = row.removeprefix(str(path)).split()
        assert cells[0] == f"{2304 * 8 + 8 * 7 + 7 + 16:,}"
        assert cells[1:4] == ["21", "flip", f"{expected['accuracy']:.2%}"]
        assert cells[-2:] == [f"{expected['macro_f1']:.3f}", f"{expected['loss']:.3f}"]


@pytest.mark.nightly
def test_a_folder_of_seeds(tmp_path, capsys, no_plots):
    """Gives a row for each of them; a seed that is set beside is not theirs."""
    run_training(tiny_config(epochs=1), tmp_path / "one")
    run_training(tiny_config(epochs=1, seeds=2), tmp_path / "two")
    capsys.readouterr()
    compare([tmp_path / "one", tmp_path / "two"], plain(tiny_config(seed=0)), ["seed"])
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.startswith(str(tmp_path))]
    assert names == [str(tmp_path / name) for name in ("one", "two/seed-0", "two/seed-1")]
    assert (tmp_path / "two" / "seed-1" / "eval" / "metrics.json").exists()


@pytest.mark.nightly
def test_says_where_figures_do_not_compare(tmp_path, capsys, no_plots):
    """Each run draws a tenth of a file without a split by its own seed, and was trained on the rest."""
    runs = [tmp_path / "a", tmp_path / "b"]
    own, other = (str(tmp_path / f"{name}.csv") for name in ("own", "other"))
    write_homework_csv(own, draw_faces(140, seed=4))
    write_homework_csv(other, draw_faces(70, seed=5))
    for seed, path in enumerate(runs):
        run_training(tiny_config(epochs=1, seed=seed, dataset=own), path)
    capsys.readouterr()
    compare([runs[0], runs[0]], plain(tiny_config(dataset=own)))
    printed = capsys.readouterr().out
    assert "trained on other faces" not in printed
    assert "not scored on the same faces" not in printed
    compare(runs, plain(tiny_config(dataset=own)))
    assert "the runs are not scored on the same faces" in capsys.readouterr().out
    # All faces of a file that no run was trained on.
    compare(runs, plain(tiny_config(dataset=other)), ["dataset"])
    printed = capsys.readouterr().out
    assert all(f"the weights of {path} were trained on other faces than" in printed for path in runs)
    assert "not scored on the same faces" not in printed


def test_nothing_is_written_where_one_is_missing(tmp_path, trained_run):
    trained_run(tmp_path / "a", epochs=1)
    before = (tmp_path / "a" / "eval" / "metrics.json").stat().st_mtime_ns
    with pytest.raises(UserError, match="no checkpoint there"):
        compare([tmp_path / "a", tmp_path / "b"], plain(tiny_config()))
    assert (tmp_path / "a" / "eval" / "metrics.json").stat().st_mtime_ns == before


def workdirs(given, mode="eval"):
    options = {"overrides": (), "input": None, "output": None, "probabilities": False}
    return make_command(mode, tiny_config(), name="mlp", workdir=given, **options).workdirs


def test_listed(tmp_path):
    assert [str(path) for path in workdirs("runs/a, runs/b,")] == ["runs/a", "runs/b"]
    assert [str(path) for path in workdirs("runs/a")] == ["runs/a"]
    assert [str(path) for path in workdirs(None)] == ["runs/mlp-synthetic"]
    assert [str(path) for path in workdirs("runs/a,runs/b", mode="predict")] == ["runs/a,runs/b"]
    (tmp_path / "a,b").mkdir()
    assert workdirs(str(tmp_path / "a,b")) == (tmp_path / "a,b",)
