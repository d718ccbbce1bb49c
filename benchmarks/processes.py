"""A process for each stack, which waits while others are timed."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
_CACHE = "JAX_COMPILATION_CACHE_DIR"


class StackFailed(Exception):
    """A stack could not be set up; the message is the last line it printed."""


class Worker:
    """A process that runs worker.py, and how many calls make a turn of about ``seconds``.

    Call ``wait``, then ``settle``, then ``measure`` for each turn.
    """

    def __init__(self, benchmark: str, network: str, stack: str, **environment: str) -> None:
        """Start the process, with more variables of the environment."""
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        variables = os.environ | environment
        self._process = _start(benchmark, network, stack, stderr=self._errors, env=variables)
        self._calls = 1

    def wait(self) -> None:
        """Wait until the stack is set up. Raises StackFailed if it cannot be."""
        self._items = self._read()["items"]

    def settle(self, seconds: float) -> None:
        """Find how many calls make a turn of about ``seconds``."""
        # The first turns still settle: they find the number of calls, and are not kept.
        for _ in range(3):
            took = self._time() / self._calls
            self._calls = max(1, round(seconds / took))
            if self._items == 0:
                break

    def measure(self) -> tuple[float, str]:
        """Images per second, or seconds a call where nothing is counted; and the unit."""
        took = self._time()
        if self._items:
            return self._items * self._calls / took, "images/s"
        return took / self._calls, "s"

    def kill(self) -> None:
        """End the process at once; a ``wait`` in another thread fails."""
        self._process.kill()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _time(self) -> float:
        self._process.stdin.write(f"{self._calls}\n")
        self._process.stdin.flush()
        return self._read()["seconds"]

    def _read(self) -> dict:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        raise StackFailed(next((line for line in reversed(lines) if line.strip()), "it ended"))


def time_start_up(stack: str) -> float:
    """Seconds from the command to the end of the first train step of a new process.

    fer_jax finds its programs compiled by an earlier run; ``fer_jax-cold`` does not.
    """
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as empty:
        if stack == "fer_jax-cold":
            environment[_CACHE] = empty
        elif stack == "fer_jax":
            environment[_CACHE] = str(Path(tempfile.gettempdir()) / f"fer_jax-benchmark-{os.getpid()}")
            if not Path(environment[_CACHE]).exists():
                _first_step(stack, environment)
        return _first_step(stack, environment)


def _first_step(stack: str, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    process = _start("train_step", "cnn", stack, stderr=subprocess.DEVNULL, env=environment)
    ready = process.stdout.readline()
    took = time.perf_counter() - started
    process.stdin.close()
    process.wait()
    if not ready:
        raise StackFailed(f"{stack} could not be set up")
    return took


def _start(*arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, HERE / "worker.py", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
