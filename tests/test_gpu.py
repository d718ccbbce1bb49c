"""benchmarks/gpu.py in small, without a card: it ends in time, and says what it measured."""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fer_jax
import gpu
import gpu_report
import pack_for_gpu
from commands import check_script
from fer_jax.checkpoints import shipped
from fer_jax.data.load import load_dataset
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from gpu_stages import chain
from tiny_run import tiny_config

ROOT = Path(__file__).parents[1]
HANGS = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("child", child.pid, flush=True)
time.sleep(60)
"""


def is_running(pid):
    """Whether there is such a process, other than a dead one that nobody has asked for."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_stage_that_hangs_is_killed_with_its_children(tmp_path):
    log, started = tmp_path / "log.txt", time.monotonic()
    assert gpu.run_limited([sys.executable, "-c", HANGS], 2, log) == "over time"
    assert time.monotonic() - started < 20
    (child,) = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("child")]
    deadline = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_how_a_stage_ends(tmp_path):
    log = tmp_path / "log.txt"
    assert gpu.run_limited([sys.executable, "-c", "print('heard')"], 60, log) == "done"
    assert gpu.run_limited([sys.executable, "-c", "1 / 0"], 60, log) == "failed"
    assert gpu.run_limited(["not started"], -1, log) == "over time"
    assert "heard" in log.read_text()
    assert "ZeroDivisionError" in log.read_text()


def test_all_stages_end_in_time(monkeypatch):
    """Each takes all that it may, and longer: the last one's end is that of the call."""
    now = [1000.0]
    monkeypatch.setattr(gpu.time, "time", lambda: now[0])
    for stage in gpu.STAGES:
        end = gpu._end_of(stage, 1000.0, 720.0)
        assert end > now[0] + 30, stage
        now[0] = end + 2
    assert now[0] <= 1720


def test_epochs_that_fit():
    """40 s, a tenth of it to spare, 6 s for all but epochs: 10 of 3 s; with one teacher each takes 4 s."""
    pace, alone = chain.Pace(3.0, 6.0), chain.Link("a", 1.0, 60)
    taught = alone._replace(teachers=("a",))
    assert pace.epochs(alone, 40) == 10
    assert pace.epochs(taught, 40) == 7
    assert pace.epochs(alone, 14) == 0
    assert pace.epochs(alone._replace(most=5), 40) == 5


def test_pace_of_a_run():
    """Three epochs of 4 s with a teacher, 3 s without; 20 s in all."""
    rows = [{"seconds": seconds} for seconds in (9.0, 13.0, 17.0)]
    found = chain.pace_of(chain.Link("b", 1.0, 60, teachers=("a",)), rows, 20.0)
    assert found == pytest.approx((3.0, 8.0))


def test_report():
    rates = [
        {"network": "cnn", "batch": 128, "stack": stack, "images_s": rate, "min": rate - 1, "max": rate + 1}
        for stack, rate in (("fer_jax", 3000.0), ("torch-bfloat16-graphs", 2000.0))
    ]
    rates.append({"network": "cnn", "batch": 512, "stack": "fer_jax", "left_out": "no | time"})
    results = {
        "command": "python benchmarks/gpu.py --csv=fer2013.csv --minutes=12",
        "machine": {"card": "NVIDIA X", "cores": 16, "jax": "9.8", "date": "2026-01-02", "ended": "done"},
        "start": {"first_step_cold_s": 25.04, "ended": "over time"},
        "rates": {"rates": rates, "ended": "done"},
        "chain": {"runs": [], "ended": "failed"},
    }
    lines = gpu_report.markdown(results).splitlines()
    assert "| `cnn`, from the command to the end of the first step, nothing compiled yet | 25.0 s |" in lines
    assert [line.split(" | ")[3:5] for line in lines if "`cnn` | 128" in line] == [
        ["3,000 (2,999 to 3,001)", "1.50"],
        ["2,000 (1,999 to 2,001)", "1.00"],
    ]
    assert any("left out: no / time" in line for line in lines)
    assert "Not finished: start (over time), chain (failed)." in lines
    assert lines[-1] == f"*NVIDIA X, 16 processor cores, jax 9.8, 2026-01-02; `{results['command']}`.*"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--minutes=1"], "give the data set"),
        (["--csv=missing.csv"], "no such file: missing.csv"),
        (["--small", "--only=start,star"], "unknown stage 'star'"),
    ],
)
def test_flags_that_cannot_work(flags, expected, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr(sys, "argv", ["gpu.py", *flags])
        patch.setattr(argparse.ArgumentParser, "error", lambda parser, text: sys.exit(text))
        with pytest.raises(SystemExit, match=expected):
            gpu.main()
    assert not list(tmp_path.iterdir())


def test_the_documented_call():
    done = check_script(ROOT / "benchmarks" / "gpu.py", ["--csv=fer2013.csv", "--minutes=12"])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_signal_ends_all(tmp_path):
    """What there is by then is written, and the stage's processes are gone."""
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", "--small", "--only=start"]
    with (tmp_path / "out.txt").open("w") as out:
        process = subprocess.Popen([*command, f"--output={tmp_path}"], stdout=out, stderr=out)
    log, deadline = tmp_path / "log.txt", time.monotonic() + 60
    while not log.exists() or "main.py" not in log.read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 143
    assert json.loads((tmp_path / "results.json").read_text())["start"]["ended"] == "stopped"
    assert "Traceback" not in (tmp_path / "out.txt").read_text()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in command_of(path)]
    assert not left


def command_of(path):
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.mark.nightly
def test_in_small(tmp_path, monkeypatch, capsys):
    """Every stage, on drawn faces; PyTorch may be missing. The best run of the chain is packed."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    flags = ["--small", "--minutes=30", f"--output={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *flags])
    before = sorted(os.listdir(shipped.FOLDER))
    gpu.main()
    log = (tmp_path / "log.txt").read_text()
    results = json.loads((tmp_path / "results.json").read_text())
    assert {name: results[name]["ended"] for name in gpu.STAGES} == dict.fromkeys(gpu.STAGES, "done"), log
    start = results["start"]
    for turn in ("cold", "again"):
        assert 0 < start[f"first_step_{turn}_s"] <= start[f"first_epoch_{turn}_s"]
    (ours, theirs) = results["rates"]["rates"]
    assert ours["min"] <= ours["images_s"] <= ours["max"]
    assert "left_out" in theirs or theirs["images_s"] > 0
    assert results["target"]["epoch"] == 1
    assert results["target"]["finished"]
    runs = {run["name"]: run for run in results["chain"]["runs"]}
    assert list(runs) == ["first", "second", "best"]
    best = max(run["val_accuracy"] for run in runs.values())
    assert runs[results["pack"]["name"]]["val_accuracy"] == best
    assert results["pack"]["measured"]
    classifier = shipped.read("best", tmp_path)
    assert classifier.predict(draw_faces(7, seed=0).images).shape == (7, 7)
    assert sorted(os.listdir(shipped.FOLDER)) == before
    assert fer_jax.load("best").num_parameters != classifier.num_parameters
    assert capsys.readouterr().out.endswith((tmp_path / "report.md").read_text() + "\n")


def kaggle_csv(path):
    """Drawn faces as Kaggle's file, some of them twice, with rows of PrivateTest."""
    faces = draw_faces(70, seed=3)
    usages = np.repeat(["Training", "PublicTest", "PrivateTest"], (40, 21, 9))
    images = faces.images.copy()
    images[5] = images[4]
    images[45] = images[3]
    pack_for_gpu.write_kaggle_csv(path, dataclasses.replace(faces, images=images), usages)
    return images


def test_faces_come_back(tmp_path, monkeypatch):
    """Bit for bit and in order, with several mosaics, by the program that reads data sets."""
    monkeypatch.setattr(pack_for_gpu, "_ACROSS", 5)
    images = kaggle_csv(tmp_path / "a.csv")
    pack_for_gpu.pack_faces(tmp_path / "a.csv", tmp_path / "packed")
    assert len(list((tmp_path / "packed").glob("*.jp2"))) == 3  # 59 different faces, 25 in each
    pack_for_gpu.unpack(tmp_path / "packed", tmp_path / "b.csv")
    one, other = (
        load_dataset(tiny_config(dataset=str(tmp_path / name)).to_dict()) for name in ("a.csv", "b.csv")
    )
    for part in ("train", "validation"):
        a, b = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(other.train.images, images[:40])
    text = (tmp_path / "b.csv").read_text()
    assert "PrivateTest" not in text
    original = (tmp_path / "a.csv").read_text().splitlines(keepends=True)
    assert text == "".join(line for line in original if "PrivateTest" not in line)


def test_too_much_to_carry(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pack_for_gpu, "MOST_BYTES", 2000)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").write_bytes(bytes(1500))
    pack_for_gpu.check_size(tmp_path)
    (tmp_path / "labels.npz").write_bytes(bytes(600))
    with pytest.raises(UserError, match=r"0\.0 MB; expected at most"):
        pack_for_gpu.check_size(tmp_path)
    assert "wheels: 0.0 MB" in capsys.readouterr().out


def test_a_folder_that_was_not_packed(tmp_path):
    with pytest.raises(UserError, match=r"has no faces-00\.jp2 or labels\.npz"):
        pack_for_gpu.unpack(tmp_path, tmp_path / "a.csv")
