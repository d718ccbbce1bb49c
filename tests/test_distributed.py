"""The same run on one device, on several, and by several processes on this machine's loopback."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from configs import cnn
from fer_jax.errors import UserError
from fer_jax.runtime.lock import locked
from tiny_run import TINY, read_rows, run

ROOT = Path(__file__).parents[1]
FIELDS = {
    "cnn.widths": (4, 8),
    "cnn.blocks": (1, 1),
    # With SiLU, eight devices on two busy cores were once seen to wait for each other within XLA.
    "cnn.activation": "relu",
    "train_sides": (48,),
    "augment": True,
    "mixup_alpha": 0.2,
    "synthetic.num_train": 420,
    "synthetic.num_validation": 71,  # no multiple of the batch
    "synthetic.num_test": 0,
    "batch_size": 16,
    "epochs": 4,
    "checkpoint_minutes": 0.0,
    # Muon and Adam would make much of the last digits of small gradients.
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "weight_decay": 5e-4,
}


def arguments(config, fields):
    return [f"--config={ROOT}/configs/{config}.py", *(f"--config.{k}={v}" for k, v in fields.items())]


ARGUMENTS = arguments("cnn", FIELDS)
nightly = pytest.mark.nightly


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Starts the processes of one run -> them; what process N prints is in N.txt in the workdir."""
    cache, started, ports = tmp_path_factory.mktemp("cache"), [], {}

    def launch(where, *, processes=1, devices=1, each=lambda process: (), arguments=ARGUMENTS):
        where.mkdir(exist_ok=True)
        environment = os.environ | {
            "XDG_CACHE_HOME": str(cache),
            "PYTHONUNBUFFERED": "1",
            "JAX_NUM_CPU_DEVICES": str(devices),
        }
        command = [sys.executable, ROOT / "main.py", *arguments]
        ports[where] = free_port()
        together = ["--config.distributed", f"--config.coordinator_address=127.0.0.1:{ports[where]}"]
        together += [f"--config.num_processes={processes}"]
        run = []
        for process in range(processes):
            ours = [*together, f"--config.process_id={process}"] if processes > 1 else []
            with open(where / f"{process}.txt", "w") as out:
                ours = [*command, *ours, *each(process), f"--workdir={where}/run"]
                run.append(subprocess.Popen(ours, cwd=where, env=environment, stdout=out, stderr=out))
        started.extend(run)
        return run

    yield launch
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def alone(launch, tmp_path_factory):
    """The run on one device."""
    return finished(launch, tmp_path_factory.mktemp("alone"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def finished(launch, where, **options):
    assert ends(launch(where, **options)) == [0] * options.get("processes", 1), said(where)
    return where


def ends(processes, timeout=240):
    """Their exit statuses."""
    return [process.wait(timeout=timeout) for process in processes]


def said(where, process=0):
    return (where / f"{process}.txt").read_text()


def wait_for_epochs(where, count, processes):
    """Until ``count`` epochs are complete."""
    deadline = time.monotonic() + 240
    while not (where / "run" / "metrics.jsonl").exists() or len(read_rows(where / "run")) < count:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), said(where)
        time.sleep(0.01)


def assert_same_results(where, other):
    """Loss curves and the last confusion matrix, to what sums in another order differ by.

    That may be some faces on the border between two expressions: the network has hardly begun to learn.
    """
    rows, others = read_rows(where / "run"), read_rows(other / "run")
    assert len(rows) == len(others) == FIELDS["epochs"]
    for row, expected in zip(rows, others, strict=True):
        assert (row["epoch"], row["step"]) == (expected["epoch"], expected["step"])
        for name in ("train_loss", "val_loss"):
            assert row[name] == pytest.approx(expected[name], rel=2e-4), name
        for name, faces in (("train_accuracy", 416), ("val_accuracy", 71)):
            assert row[name] * faces == pytest.approx(expected[name] * faces, abs=4.5), name
    files = [json.loads((path / "run/eval/metrics.json").read_text()) for path in (where, other)]
    matrix, expected = (np.array(file["confusion_matrix"]) for file in files)
    assert matrix.sum() == expected.sum() == FIELDS["synthetic.num_validation"]
    assert np.abs(matrix - expected).sum() <= 6
    assert files[0]["loss"] == pytest.approx(files[1]["loss"], rel=2e-4)


@pytest.mark.nightly
def test_two_processes_are_two_devices(launch, trained_run, tmp_path):
    """The smallest run of several processes, against the same run in this process, which has two devices."""
    alone = trained_run(tmp_path / "alone" / "run", epochs=1)
    finished(launch, tmp_path, processes=2, arguments=arguments("mlp", TINY | {"epochs": 1}))
    assert "device: cpu (2 of 2 processes)" in said(tmp_path)
    assert "epoch" not in said(tmp_path, 1)
    (row,), (expected,) = read_rows(tmp_path / "run"), read_rows(alone)
    assert row["step"] == expected["step"]
    for name in ("train_loss", "val_loss"):
        assert row[name] == pytest.approx(expected[name], rel=2e-4), name


@nightly
@pytest.mark.parametrize(("processes", "devices"), [(1, 2), (1, 8), (2, 1)])
def test_however_many_devices(launch, alone, tmp_path, processes, devices):
    finished(launch, tmp_path, processes=processes, devices=devices)
    of = " of 2 processes" if processes > 1 else ""
    assert f"device: cpu ({processes * devices}{of})" in said(tmp_path)
    assert_same_results(tmp_path, alone)
    if processes > 1:
        # Process 0 alone tells how it goes.
        assert "epoch" not in said(tmp_path, 1)


@nightly
def test_from_eight_devices_to_one(launch, alone, tmp_path):
    processes = launch(tmp_path, devices=8)
    wait_for_epochs(tmp_path, 1, processes)
    processes[0].terminate()
    assert ends(processes) == [143]
    finished(launch, tmp_path)
    assert "going on" in said(tmp_path)
    assert "not as before: devices ['cpu: cpu', 'cpu: cpu', " in said(tmp_path)
    assert_same_results(tmp_path, alone)


@nightly
def test_the_first_of_two_is_killed(launch, tmp_path):
    processes = launch(tmp_path, processes=2)
    wait_for_epochs(tmp_path, 1, processes)
    processes[0].kill()
    # 134: JAX may abort, now that its coordinator is gone, before ours can tell.
    assert processes[1].wait(timeout=60) in (1, 134)
    assert re.search("another process of this run has ended|another task died", said(tmp_path, 1))


@nightly
def test_the_second_of_two_is_killed(launch, alone, tmp_path):
    processes = launch(tmp_path, processes=2)
    # The checkpoint of an epoch is complete when the next one's is begun.
    wait_for_epochs(tmp_path, 2, processes)
    processes[1].kill()
    assert processes[0].wait(timeout=60) == 1
    assert said(tmp_path).splitlines()[-1].startswith("error: another process of this run has ended (")
    assert said(tmp_path).endswith("start all of them again by the same commands\n")
    assert "Traceback" not in said(tmp_path)
    finished(launch, tmp_path, processes=2)
    assert "going on" in said(tmp_path)
    assert_same_results(tmp_path, alone)


@nightly
def test_one_of_two_gets_a_signal(launch, alone, tmp_path):
    """Both stop after the same step, save, and go on from there."""
    processes = launch(tmp_path, processes=2)
    wait_for_epochs(tmp_path, 1, processes)
    processes[1].send_signal(signal.SIGTERM)
    assert ends(processes, timeout=60) == [143, 143]
    assert "; saved; to go on: python" in said(tmp_path).splitlines()[-1]
    finished(launch, tmp_path, processes=2)
    assert "going on" in said(tmp_path)
    assert_same_results(tmp_path, alone)


@nightly
def test_processes_that_do_not_fit_together(launch, tmp_path):
    """Each gets one line, and none waits for the others."""
    cases = {
        "settings": (
            lambda process: [f"--config.seed={process}"],
            ["process 1 has other settings than process 0; start all of them alike"] * 2,
        ),
        "batch": (
            lambda process: ["--config.batch_size=15"],
            ["batch_size is 15; expected a multiple of the 2 devices"] * 2,
        ),
        "lock": (lambda process: [], ["{}: another process is", "process 0: {}: another process is"]),
    }
    for name, (each, expected) in cases.items():
        with locked(tmp_path / "lock" / "run"):
            processes = launch(tmp_path / name, processes=2, each=each)
            assert ends(processes, timeout=60) == [1, 1], name
        for process in range(2):
            line = said(tmp_path / name, process).splitlines()[-1]
            assert line.startswith("error: " + expected[process].format(tmp_path / "lock" / "run")), line
        assert not (tmp_path / name / "run" / "checkpoints").exists()


def run_mode(mode="train", **fields):
    config = cnn.get_config()
    config.update(fields)
    run(mode, config, "runs/cnn")


def test_fields_that_cannot_work():
    with pytest.raises(UserError, match=r"config.distributed is for training; leave it out, --mode=eval"):
        run_mode("eval", distributed=True)
    given = {"coordinator_address": "127.0.0.1:1", "num_processes": 2, "process_id": 2}
    for count in (1, 2):
        for names in itertools.combinations(given, count):
            with pytest.raises(UserError, match=r"set all of config.coordinator_address, .*, or none of"):
                run_mode(distributed=True, **{name: given[name] for name in names})
    with pytest.raises(UserError, match=r"config.process_id is 2; expected 0 to 1"):
        run_mode(distributed=True, **given)
