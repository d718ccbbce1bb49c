"""The stages of benchmarks/gpu.py, each a module with ``run(setting, tell)``, in a process of its own.

``tell(**figures)`` adds to the stage's results on disk, so that a stage that is killed has left what it had.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BATCHES = (128, 512)
_SMALL = {
    "cnn.widths": "(2,3)",
    "cnn.blocks": "(1,1)",
    "cnn.side": "48",
    "train_sides": "(48,)",
    "batch_size": "8",
    "epochs": "3",
    "views": "flip",
    "synthetic.num_train": "70",
    "synthetic.num_validation": "21",
    "synthetic.num_test": "0",
}


class Setting(NamedTuple):
    """What a stage is told.

    Attributes:
      csv: the data set, as config.dataset names it.
      runs: folder for workdirs and caches.
      output: folder for results.
      deadline: of the stage, in seconds of ``time.time()``; past it the stage is killed.
      small: with tiny networks, and rates of few steps, as a test does.
      plan: figures that earlier stages have found, by stage.
    """

    csv: str
    runs: Path
    output: Path
    deadline: float
    small: bool
    plan: dict[str, Any]

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.time()


def main_arguments(setting: Setting, workdir: str, config: str, **fields: str) -> list[str]:
    """The arguments of main.py for a run in a folder of ``setting.runs``; fields by name, __ for a dot."""
    named = {name.replace("__", "."): value for name, value in fields.items()}
    if setting.small:
        named = {**named, **_SMALL, "epochs": named.get("epochs", _SMALL["epochs"])}
    flags = [f"--config.{name}={value}" for name, value in {"dataset": setting.csv, **named}.items()]
    return [f"--config={ROOT}/configs/{config}.py", f"--workdir={setting.runs / workdir}", *flags]


def start_main(*arguments: str, through: tuple[str, ...] = ()) -> subprocess.Popen:
    """Start main.py in this stage's group of processes, which ends with the stage."""
    print("main.py", *arguments, flush=True)
    return subprocess.Popen([sys.executable, *through, str(ROOT / "main.py"), *arguments])


def read_rows(workdir: Path) -> list[dict[str, Any]]:
    """The epochs of a run so far."""
    try:
        return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    except FileNotFoundError:
        return []


def wait_until(ready: Callable[[], Any], process: subprocess.Popen, seconds: float) -> bool:
    """Wait until ``ready()``, the end of the process, or so many seconds -> whether it is ready."""
    end = time.time() + seconds
    while not ready():
        if process.poll() is not None or time.time() > end:
            return bool(ready())
        time.sleep(0.02)
    return True


def stop(process: subprocess.Popen, seconds: float = 25.0) -> None:
    """End a run by SIGTERM, which saves it; kill it if it has not ended in so many seconds."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    kill(process)


def kill(process: subprocess.Popen) -> None:
    """End a process at once, and do not wait long for one that the kernel holds."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
