"""Real training processes, killed at random moments; the same command then ends with the same bits.

FER_JAX_KILLS says how often (if unset once, and 3 times with --nightly), FER_JAX_KILL_SEED when.
"""

import functools
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from commands import nightly
from fer_jax.checkpoints import restore
from tiny_run import assert_same_run, tiny_config

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("FER_JAX_KILLS", 3 if nightly else 1))
SEED = int(os.environ.get("FER_JAX_KILL_SEED", random.randrange(10**6)))
# So many steps that a moment within an epoch is easily hit.
STEPS = 875
SIZES = {"synthetic.num_train": 4 * STEPS, "batch_size": 4, "epochs": 5 if nightly else 3}
CONFIG = tiny_config(**SIZES)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts training in a workdir -> the process; what it prints is in out.txt and err.txt there."""
    cache, running = tmp_path_factory.mktemp("cache"), []
    fields = tiny_config(**SIZES).to_dict()
    tiny = [f"--config.{name}={fields[name]}" for name in ("batch_size", "epochs")]
    tiny += [f"--config.synthetic.{name}={value}" for name, value in fields["synthetic"].items()]
    command = [sys.executable, ROOT / "main.py", f"--config={ROOT}/configs/mlp.py", *tiny]
    # An epoch takes about as long: some are saved, and the best of the others is kept until then.
    command += ["--config.mlp.hidden=(8,)", "--config.checkpoint_minutes=0.02"]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}

    def start(where):
        where.mkdir(exist_ok=True)
        with open(where / "out.txt", "w") as out, open(where / "err.txt", "w") as err:
            running.append(
                subprocess.Popen(
                    [*command, f"--workdir={where}"], cwd=where, env=environment, stdout=out, stderr=err
                )
            )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


class Whole(NamedTuple):
    """A run that nothing stopped, and how many seconds its training took here."""

    folder: Path
    seconds: float


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    where = tmp_path_factory.mktemp("whole")
    process = start(where)
    wait_for_training(process, where)
    begun = time.monotonic()
    finish(process, where)
    return Whole(where, time.monotonic() - begun)


def finish(process, where):
    assert process.wait(timeout=300) == 0, (where / "err.txt").read_text()


def says(path, text):
    return text in path.read_text()


def wait_for(process, ready):
    """Until ``ready()`` or the end of the process -> whether it is ready."""
    deadline = time.monotonic() + 300
    while process.poll() is None and not ready():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return ready()


def wait_for_training(process, where):
    wait_for(process, functools.partial(says, where / "out.txt", "training:"))


def test_killed_at_random_moments(start, whole, tmp_path, capsys):
    draw, kills, runs, moments = random.Random(SEED), 0, 1, []
    where = tmp_path / "run-1"
    while kills < KILLS:
        process = start(where)
        begun = time.monotonic()
        # One in five anywhere in the start of the program; else from the first step on.
        if draw.random() > 0.2:
            wait_for_training(process, where)
            time.sleep(draw.uniform(0, whole.seconds))
        else:
            time.sleep(draw.uniform(0, 5))
        process.kill()
        if process.wait() == -signal.SIGKILL:
            kills += 1
            saved = restore.has_checkpoint(where) and restore.latest_record(where)
            moments.append(
                f"{time.monotonic() - begun:.1f} s (epochs saved: {len(saved.rows) if saved else 0})"
            )
        else:
            # It was faster: compare, and begin another.
            finish(process, where)
            assert_same_run(where, whole.folder, CONFIG)
            runs += 1
            where = tmp_path / f"run-{runs}"
    finish(start(where), where)
    assert_same_run(where, whole.folder, CONFIG)
    assert "Traceback" not in (where / "err.txt").read_text()
    with capsys.disabled():
        print(f"\n{kills} kills in {runs} runs, seed {SEED}, after {', '.join(moments)}")


def test_sigterm_within_an_epoch(start, whole, tmp_path):
    record, tries = None, 0
    # The signal may come between two epochs. Then a new run is tried: one that goes on draws curves at once.
    while record is None or record.position is None:
        tries += 1
        assert tries < 20
        where = tmp_path / f"run-{tries}"
        process = start(where)
        # The last thing that an epoch does; the steps of the next one come after it.
        assert wait_for(process, (where / "curves.png").exists)
        time.sleep(0.1 + 0.1 * tries)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
        record = restore.latest_record(where)
    error = (where / "err.txt").read_text()
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith(f"{where}: stopped in epoch ")
    assert f"; saved; to go on: python {shlex.quote(str(ROOT / 'main.py'))} --config=" in error
    assert 0 < record.position["steps"] < STEPS
    rows = (where / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == list(range(1, len(record.rows) + 1))
    assert restore.load_best(where).record.position is None
    finish(start(where), where)
    assert (
        f"going on in epoch {len(record.rows) + 1}, after {record.position['steps']} of its steps"
        in (where / "out.txt").read_text()
    )
    assert_same_run(where, whole.folder, CONFIG)
