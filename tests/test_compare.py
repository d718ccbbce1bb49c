"""Several runs side by side."""

import json

import pytest

from fer_jax import run_compare, run_evaluate, run_train, workdir
from fer_jax.errors import UserError
from tiny_run import tiny_config


def test_the_figures_of_each_run(tmp_path, capsys):
    """Each row has what an evaluation of the run alone gives."""
    runs = [tmp_path / "a", tmp_path / "longer name"]
    run_train.train(tiny_config(epochs=1), runs[0])
    run_train.train(tiny_config(epochs=3, seed=1), runs[1])
    given = workdir.plain(tiny_config(views="flip"))
    alone = []
    for run in runs:
        run_evaluate.evaluate_run(run, given, ["views"])
        alone.append(json.loads((run / "eval" / "metrics.json").read_text()))
        (run / "eval" / "metrics.json").unlink()
    capsys.readouterr()
    run_compare.compare_runs(runs, given, ["views"])
    lines = capsys.readouterr().out.splitlines()
    for run, expected in zip(runs, alone, strict=True):
        assert json.loads((run / "eval" / "metrics.json").read_text()) == expected
        (row,) = [line for line in lines if line.startswith(f"{run} ")]
        cells = row.removeprefix(str(run)).split()
        assert cells[0] == f"{2304 * 8 + 8 * 7 + 7 + 16:,}"
        assert cells[1:4] == ["21", "flip", f"{expected['accuracy']:.2%}"]
        assert cells[-2:] == [f"{expected['macro_f1']:.3f}", f"{expected['loss']:.3f}"]


def test_nothing_is_written_where_one_is_missing(tmp_path):
    run_train.train(tiny_config(epochs=1), tmp_path / "a")
    before = (tmp_path / "a" / "eval" / "metrics.json").stat().st_mtime_ns
    with pytest.raises(UserError, match="no checkpoint there"):
        run_compare.compare_runs([tmp_path / "a", tmp_path / "b"], workdir.plain(tiny_config()), [])
    assert (tmp_path / "a" / "eval" / "metrics.json").stat().st_mtime_ns == before


def test_listed(tmp_path):
    assert [str(path) for path in run_compare.listed("runs/a, runs/b,")] == ["runs/a", "runs/b"]
    assert run_compare.listed("runs/a") == run_compare.listed(None) == []
    (tmp_path / "a,b").mkdir()
    assert run_compare.listed(str(tmp_path / "a,b")) == []
