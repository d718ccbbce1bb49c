"""How long a trained network takes for one face, and for 64, by each way of running it.

python benchmarks/latency.py [--only=tiny,cnn,best] [--seconds=3] [--threads=0] [--as-library]

For each network that comes with fer_jax: ``fer_jax.load(...).predict``, the file that ``jax.export`` wrote,
ONNX by onnxruntime, and ONNX in int8 where there is one. All take uint8 faces from NumPy and give
probabilities to NumPy. They take turns, so that whatever else the machine does meets all of them alike.
Prints a table (sizes of the files, milliseconds as median (5th to 95th percentile), faces/s at the median)
and the load of the machine. Needs requirements-export.txt.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from fer_jax.runtime.startup import configure_process

BATCHES = (1, 64)
NETWORKS = ("tiny", "cnn", "best")
TURN = 0.25
"""Seconds of one way's turn."""
HEADER = (
    "| network | by | file | "
    + " | ".join(f"{size} face{'s' * (size > 1)}, ms | faces/s" for size in BATCHES)
    + " |\n| --- | --- | --- | "
    + " | ".join("--- | ---" for _ in BATCHES)
    + " |"
)

Predict = Callable[[np.ndarray], np.ndarray]


def take_turns(ways: dict[str, Predict], images: np.ndarray, *, seconds: float) -> dict[str, np.ndarray]:
    """Seconds of each call, by way: turns of ``TURN`` for about ``seconds`` a way.

    The first call of a turn is not counted: threads of the way before may still wait, spinning, for work.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(max(1, round(seconds / TURN))):
        for name, predict in ways.items():
            predict(images)
            end = time.perf_counter() + TURN
            while (started := time.perf_counter()) < end:
                predict(images)
                times[name].append(time.perf_counter() - started)
    return {name: np.array(taken) for name, taken in times.items()}


def cells(seconds: np.ndarray, batch_size: int) -> str:
    """Two cells of the table."""
    low, median, high = np.percentile(seconds, (5, 50, 95)) * 1e3
    return f"{median:.2f} ({low:.2f} to {high:.2f}) | {batch_size / median * 1e3:,.0f}"


def ways_of(name: str, folder: Path, threads: int) -> tuple[dict[str, Predict], dict[str, str]]:
    """The functions by what runs them, and the size of each one's file."""
    import fer_jax
    from fer_jax import modes
    from fer_jax.checkpoints import shipped
    from fer_jax.export.files import INT8, JAX_EXPORT, ONNX, jax_predict, onnx_predict
    from fer_jax.export.run import size_text
    from fer_jax.runtime.command import Command, plain

    weights = shipped.FOLDER / f"{name}.npz"
    config = plain(importlib.import_module(f"configs.{name}").get_config())
    workdirs = (folder / "no-run",)
    command = Command("export", config, workdirs=workdirs, shipped_name=name, output=str(folder))
    modes.runner(command)(command)
    read = {file: (folder / file).read_bytes() for file in (ONNX, JAX_EXPORT)}
    ways = {
        "fer_jax.load": fer_jax.load(name).predict,
        "jax.export": jax_predict(read[JAX_EXPORT]),
        "ONNX": onnx_predict(read[ONNX], threads=threads),
    }
    files = {"fer_jax.load": weights, "jax.export": folder / JAX_EXPORT, "ONNX": folder / ONNX}
    if (folder / INT8).exists():
        ways["ONNX int8"] = onnx_predict((folder / INT8).read_bytes(), threads=threads)
        files["ONNX int8"] = folder / INT8
    return ways, {way: size_text(path.stat().st_size) for way, path in files.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(NETWORKS), help="networks, with commas between")
    parser.add_argument("--seconds", type=float, default=3, help="of timing for each way and batch size")
    parser.add_argument("--threads", type=int, default=0, help="of onnxruntime; 0: its choice")
    parser.add_argument("--as-library", action="store_true", help="leave XLA as main.py would not")
    options = parser.parse_args()
    if not options.as_library:
        configure_process()
    from fer_jax.data.synthetic.faces import draw_faces

    images = draw_faces(max(BATCHES), seed=0).images
    lines = [HEADER]
    before = os.getloadavg()[0]
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            ways, sizes = ways_of(name, Path(folder), options.threads)
        taken = [take_turns(ways, images[:size], seconds=options.seconds) for size in BATCHES]
        for way in ways:
            figures = " | ".join(cells(times[way], size) for times, size in zip(taken, BATCHES, strict=True))
            lines.append(f"| {name} | {way} | {sizes[way]} | {figures} |")
    print("\n" + "\n".join(lines))
    print(
        f"\n{os.cpu_count()} cores; load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    )


if __name__ == "__main__":
    main()
