"""Several runs side by side."""

import json

import pytest

from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.evaluate import compare as run_compare
from fer_jax.evaluate import run as run_evaluate
from fer_jax.runtime import files as workdir
from fer_jax.train import run as run_train
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
        (run / "eval" / "reliability.png").write_text("of an older evaluation")
    capsys.readouterr()
    run_compare.compare_runs(runs, given, ["views"])
    lines = capsys.readouterr().out.splitlines()
    for run, expected in zip(runs, alone, strict=True):
        assert json.loads((run / "eval" / "metrics.json").read_text()) == expected
        assert (run / "eval" / "reliability.png").read_bytes().startswith(b"\x89PNG")
        (row,) = [line for line in lines if line.startswith(f"{run} ")]
        cells = row.removeprefix(str(run)).split()
        assert cells[0] == f"{2304 * 8 + 8 * 7 + 7 + 16:,}"
        assert cells[1:4] == ["21", "flip", f"{expected['accuracy']:.2%}"]
        assert cells[-2:] == [f"{expected['macro_f1']:.3f}", f"{expected['loss']:.3f}"]


def test_says_where_figures_do_not_compare(tmp_path, capsys, no_plots):
    """Each run draws a tenth of a file without a split by its own seed, and was not trained on the rest."""
    runs = [tmp_path / "a", tmp_path / "b"]
    for seed, run in enumerate(runs):
        run_train.train(tiny_config(epochs=1, seed=seed), run)
    write_homework_csv(tmp_path / "other.csv", draw_faces(70, seed=5))
    capsys.readouterr()
    run_compare.compare_runs([runs[0], runs[0]], workdir.plain(tiny_config()), [])
    printed = capsys.readouterr().out
    assert "trained on other faces" not in printed
    assert "not scored on the same faces" not in printed
    run_compare.compare_runs(
        runs, workdir.plain(tiny_config(dataset=str(tmp_path / "other.csv"))), ["dataset"]
    )
    printed = capsys.readouterr().out
    assert all(f"those of {run} were trained on other faces than" in printed for run in runs)
    assert "the runs are not scored on the same faces" in printed


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
