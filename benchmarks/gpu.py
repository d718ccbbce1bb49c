"""What fer_jax does on a GPU, measured in one call that ends in time, whatever hangs.

python benchmarks/gpu.py --csv=fer2013.csv [--minutes=12] [--output=gpu-results] [--runs=DIR] [--small]

Stages, each in processes of its own, which are killed when its time is over:
  machine  the card, and versions
  start    (a) seconds from the command to the first step of cnn, with nothing compiled yet, and again
  rates    (b) images/s of a train step against PyTorch compiled to CUDA graphs; without PyTorch ours alone
  target   (c) seconds from the command until cnn has 65 % on the validation faces
  chain    (d) the chain of runs of best in a wider network, with the time that is left
  pack     (e) its weights in half precision, OUTPUT/best.npz and best.json

After each stage OUTPUT/results.json is written, and OUTPUT/report.md: a table for the README. What the stages
print is in OUTPUT/log.txt. Workdirs and caches are in --runs, by default OUTPUT/runs.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gpu_report

HERE = Path(__file__).resolve().parent
STAGES = ("machine", "start", "rates", "target", "chain", "pack")
SHARES = {"machine": 0.06, "start": 0.2, "rates": 0.25, "target": 0.17, "chain": 1.0, "pack": 1.0}
"""Of all time, at most; the chain gets what is left."""
_PACKING = 0.1
"""Share of all time that the chain leaves for the packing."""
_REPORT_SECONDS = 4
_ENVIRONMENT = {
    # Several processes share the card.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    # Without the lines of XLA's autotuner.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "PYTHONUNBUFFERED": "1",
}


def main() -> None:
    options = _options()
    began, total = time.time(), 60 * options.minutes
    for folder in (options.output, options.runs):
        folder.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    results: dict[str, Any] = {"command": gpu_report.command(options), "small": options.small}
    try:
        for name in options.only:
            end = _end_of(name, began, total)
            _stage(name, end, options, results)
            _write(options.output, results)
            if name == "machine" and not options.small:
                _require_gpu(results["machine"])
    finally:
        results["seconds"] = time.time() - began
        _write(options.output, results)
        print(f"written: {options.output}/results.json, report.md, log.txt\n\n{gpu_report.markdown(results)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", default=None, help="FER2013 with its split; --small does without")
    parser.add_argument("--minutes", type=float, default=12.0, help="for all; the script ends in this time")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="folder for the results")
    parser.add_argument("--runs", type=Path, default=None, help="folder for workdirs and caches")
    parser.add_argument("--only", default=",".join(STAGES), help="stages, with commas between")
    parser.add_argument("--small", action="store_true", help="tiny networks, to try the script; no figures")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(STAGES):
        parser.error(f"unknown stage {unknown.pop()!r}; choose from {','.join(STAGES)}")
    if options.csv is None and not options.small:
        parser.error("give the data set as --csv=fer2013.csv")
    if options.csv is not None and not Path(options.csv).is_file():
        parser.error(f"--csv: no such file: {options.csv}")
    options.output = options.output.resolve()
    options.runs = (options.runs or options.output / "runs").resolve()
    if options.runs.exists() and any(options.runs.iterdir()):
        parser.error(f"{options.runs} holds an earlier call's runs; delete it, or give another --runs")
    return options


def _end_of(stage: str, began: float, total: float) -> float:
    """When a stage is killed."""
    last = began + total - _REPORT_SECONDS
    if stage == "chain":
        last -= _PACKING * total
    return min(last, time.time() + SHARES[stage] * total)


def _stage(name: str, end: float, options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Run a stage, and add its figures and how it ended to ``results``."""
    found, log = options.runs / f"{name}.json", options.output / "log.txt"
    setting = {
        "csv": "synthetic" if options.csv is None else str(Path(options.csv).resolve()),
        "runs": str(options.runs),
        "output": str(options.output),
        # The stage itself stops a little earlier, so that it is killed only if it hangs.
        "deadline": end - min(3, 0.1 * max(0, end - time.time())),
        "small": options.small,
        "plan": {stage: results[stage] for stage in STAGES if stage in results},
    }
    command = [sys.executable, "-m", "gpu_stages", name, json.dumps(setting), str(found)]
    with log.open("a") as out:
        out.write(f"\n== {name}\n")
    limit, started = end - time.time(), time.time()
    print(f"{name}: at most {max(0, limit):.0f} s", flush=True)
    environment = os.environ | _ENVIRONMENT | {"XDG_CACHE_HOME": str(options.runs / "cache")}
    ended = "stopped"
    try:
        ended = run_limited(command, limit, log, cwd=HERE, env=environment)
    finally:
        figures = json.loads(found.read_text()) if found.exists() else {}
        results[name] = figures | {"ended": ended, "stage_seconds": time.time() - started}
        print(f"{name}: {ended} after {time.time() - started:.0f} s", flush=True)


def run_limited(command: list[str], seconds: float, log: Path, **options: Any) -> str:
    """Run a command for at most so many seconds; then kill it with all processes that it has started.

    Returns ``done``, ``failed`` or ``over time``.
    """
    if seconds <= 0:
        return "over time"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **options
        )
    try:
        return "failed" if process.wait(seconds) else "done"
    except subprocess.TimeoutExpired:
        return "over time"
    finally:
        # The group of processes has the number of its first one, and outlives it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # One that the kernel holds, on a card that hangs, is left to it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)


def _require_gpu(machine: dict[str, Any]) -> None:
    if machine.get("platform") != "gpu":
        found = machine.get("platform", "no device at all; see log.txt")
        sys.exit(
            f"error: JAX found {found}; install jax[cuda13] for the card, or try the script with --small"
        )


def _write(output: Path, results: dict[str, Any]) -> None:
    for name, text in {
        "results.json": json.dumps(results, indent=1) + "\n",
        "report.md": gpu_report.markdown(results),
    }.items():
        temporary = output / f"{name}.tmp"
        temporary.write_text(text)
        shutil.move(temporary, output / name)


if __name__ == "__main__":
    main()
