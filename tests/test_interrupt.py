"""Ctrl-C at random moments of each mode, on real processes: none is lost, and nothing is half-written.

FER_JAX_INTERRUPTS says how often for each mode (5 if unset; once without --nightly), FER_JAX_KILL_SEED when.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_jax.data.faces import Faces
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from tiny_run import assert_same_run, run_training, tiny_config

ROOT = Path(__file__).parents[1]
TIMES = int(os.environ.get("FER_JAX_INTERRUPTS", 5))
SEED = int(os.environ.get("FER_JAX_KILL_SEED", random.randrange(10**6)))
FACES = 400
CONFIG = tiny_config(**{"synthetic.num_train": 700, "batch_size": 4, "epochs": 3})
MODES = {
    "train": [],
    "eval": ["--workdir=run"],
    "predict": ["--workdir=run", "--input=faces.csv", "--output=out.csv"],
    "explain": ["--workdir=run", "--input=faces.csv", "--output=sheets"],
    "export": ["--workdir=run", "--output=exported"],
    "serve": ["--workdir=run", "--config.serve.port=0"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds a trained run, and faces to predict."""
    folder = tmp_path_factory.mktemp("interrupted")
    run_training(CONFIG, folder / "run")
    faces = draw_faces(FACES, seed=1)
    write_homework_csv(folder / "faces.csv", Faces(faces.images, None, np.arange(FACES).astype(str)))
    return folder


def command(mode, *args):
    fields = [f"--config.synthetic.{name}={value}" for name, value in CONFIG.synthetic.items()]
    fields += [f"--config.{name}={CONFIG[name]}" for name in ("batch_size", "epochs")]
    fields = [*fields, "--config.mlp.hidden=(8,)"] if mode == "train" else []
    config = f"--config={ROOT}/configs/mlp.py"
    return [sys.executable, ROOT / "main.py", config, f"--mode={mode}", *fields, *args]


def start(folder, mode, *args):
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(mode, *args), cwd=folder, env=environment, **pipes)


def interrupt(folder, mode, seconds, *args):
    """Sends Ctrl-C after some seconds, and checks how the process ends."""
    process = start(folder, mode, *args)
    try:
        time.sleep(seconds)
        finished = process.poll() is not None
        process.send_signal(signal.SIGINT)
        # The issue is whether it ends at all: other work may slow this machine down.
        printed, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    about = f"{mode} after {seconds:.2f} s, seed {SEED}: {printed[-500:]}{errors}"
    # It may have finished just now; before its first line Python's own handler ends it.
    allowed = (0,) if finished else (130, 0) if mode != "serve" else (130,)
    assert process.returncode in allowed, about
    assert "Traceback" not in errors, about
    assert "ignored" not in errors, about
    return process.returncode


def interrupt_often(folder, mode, times, latest, *args):
    """Interrupts a mode ``times`` times, at random moments of at most ``latest`` seconds -> how each ended.

    Each time that the process had finished before, ``latest`` becomes half of that moment. So the fifth
    moment is below half a second if the four before it came too late.
    """
    moments, ended = random.Random(f"{SEED} {mode}"), []
    for _ in range(times):
        moment = moments.uniform(0.1, latest)
        ended.append(interrupt(folder, mode, moment, *args))
        if ended[-1] == 0:
            latest = moment / 2
    return ended


@pytest.mark.parametrize(
    "mode",
    [
        "predict",
        *(pytest.param(m, marks=pytest.mark.nightly) for m in MODES if m not in ("train", "predict")),
    ],
)
def test_interrupted_at_random_moments(folder, mode, request):
    times = TIMES if request.config.getoption("nightly") else 1
    ended = interrupt_often(folder, mode, times, 6, *MODES[mode])
    assert 130 in ended or times < 5  # all may have finished before, but not of many
    assert not list(folder.rglob("*.tmp"))
    if (folder / "out.csv").exists():
        assert len(pd.read_csv(folder / "out.csv")) == FACES


@pytest.mark.nightly
def test_a_training_goes_on_after_each(folder):
    ended = interrupt_often(folder, "train", TIMES, 8, "--workdir=again")
    assert 130 in ended
    process = start(folder, "train", "--workdir=again")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "half written" not in errors
    # Not in this process, whose strict settings and devices make other bits.
    process = start(folder, "train", "--workdir=whole")
    process.communicate(timeout=300)
    assert_same_run(folder / "again", folder / "whole", CONFIG)
    assert not list(folder.rglob("*.tmp"))
