"""How training speeds up with processes: measured on this machine's cores, reckoned for GPUs.

python benchmarks/scaling.py [--processes=2] [--rounds=3]      N processes, each on a core of its own
python benchmarks/scaling.py --reckon                           many GPUs, from what docs/scaling.md assumes

Measured is what main.py trains of the cnn config on the built-in faces, with augmentation, in its second
epoch: one process on one core, N of them with the same batch, and N of them with N times the batch, in turns.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

BATCH_SIZE, FACES = 128, 1024


class Link(NamedTuple):
    """What joins devices: bytes a second one way, and the seconds that a reduction takes at least."""

    name: str
    bytes_per_second: float
    seconds: float


LINKS = (
    Link("NVLink 4, 450 GB/s", 450e9, 10e-6),
    Link("InfiniBand, 400 Gb/s a GPU", 50e9, 20e-6),
    Link("Ethernet, 10 Gb/s a GPU", 1.25e9, 50e-6),
)
FLOPS = 60e12
"""Operations a second that a GPU is assumed to reach, of the 990e12 that an H100 has in bfloat16."""


def efficiency(
    devices: int, batch_size: int, *, flops: float, gradient_bytes: int, reductions: int, link: Link
) -> float:
    """Share of ``devices`` times one device's speed, where nothing is sent while the device computes.

    Args:
      devices: that share each batch of ``batch_size`` faces.
      flops: of one face in a train step.
      gradient_bytes: of all gradients, which a ring passes on 2 (n - 1) / n times.
      reductions: collectives in a step, each of which takes ``link.seconds`` at least.
      link: between neighbours.
    """
    computing = batch_size * flops / FLOPS
    sending = 2 * (devices - 1) / devices * gradient_bytes / link.bytes_per_second
    waiting = reductions * link.seconds if devices > 1 else 0.0
    return computing / (computing + devices * (sending + waiting))


def reckon() -> str:
    """The table of efficiencies of ``tiny`` and ``cnn``."""
    import jax

    from configs import cnn, tiny
    from fer_jax.models import count_parameters, create_model, init_variables

    lines = ["| network | batch | devices | " + " | ".join(link.name for link in LINKS) + " |"]
    lines.append("| --- | --- | --- |" + " --- |" * len(LINKS))
    for name, module in (("tiny", tiny), ("cnn", cnn)):
        config = module.get_config()
        model = create_model("cnn", config.cnn.to_dict())
        variables = jax.eval_shape(lambda key, model=model: init_variables(model, key), jax.random.key(0))
        image = jax.ShapeDtypeStruct((1, 48, 48, 1), "float32")
        forward = jax.jit(lambda v, x, model=model: model.apply(v, x, train=False)).lower(variables, image)
        # Forward once, and backward twice: towards the input and towards the kernels.
        flops = 3 * forward.cost_analysis()["flops"]
        gradient_bytes = 4 * count_parameters(variables["params"])
        norms = sum(key.key == "mean" for *_, key in _paths(variables["batch_stats"]))
        megabytes = gradient_bytes / 1e6
        print(f"{name}: {flops / 1e9:.2f} GFLOP a face, {megabytes:.1f} MB of gradients, {norms} norms")
        for batch_size in (256, 2048):
            for devices in (2, 8, 64):
                shares = [
                    efficiency(
                        devices,
                        batch_size,
                        flops=flops,
                        gradient_bytes=gradient_bytes,
                        # Forward and backward of each BatchNorm, and the gradients.
                        reductions=2 * norms + 1,
                        link=link,
                    )
                    for link in LINKS
                ]
                cells = " | ".join(f"{share:.0%}" for share in shares)
                lines.append(f"| `{name}` | {batch_size:,} | {devices} | {cells} |")
    return "\n".join(lines)


def _paths(tree):
    import jax

    return [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def images_per_second(processes: int, batch_size: int, cores: list[int]) -> float:
    """Of the second epoch."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            ROOT / "main.py",
            f"--config={ROOT}/configs/cnn.py",
            f"--workdir={folder}/run",
        ]
        command += [
            "--config.augment=True",
            "--config.train_sides=(48,)",
            "--config.epochs=2",
            f"--config.batch_size={batch_size}",
            f"--config.synthetic.num_train={FACES}",
            "--config.synthetic.num_validation=7",
            "--config.synthetic.num_test=0",
        ]
        if processes > 1:
            command += ["--config.distributed", f"--config.coordinator_address=127.0.0.1:{port}"]
            command += [f"--config.num_processes={processes}"]
        running = [
            subprocess.Popen(
                [*command, *([f"--config.process_id={n}"] if processes > 1 else [])],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                preexec_fn=lambda n=n: os.sched_setaffinity(0, {cores[n]}),
            )
            for n in range(processes)
        ]
        statuses = [process.wait() for process in running]
        if any(statuses):
            sys.exit("a process failed")
        rows = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
    return json.loads(rows[-1])["images_per_second"]


def measure(processes: int, rounds: int) -> str:
    """The table of images a second."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < processes:
        sys.exit(f"--processes={processes}: this machine has {len(cores)} cores")
    ways = {(1, BATCH_SIZE): [], (processes, BATCH_SIZE): [], (processes, processes * BATCH_SIZE): []}
    for _ in range(rounds):
        for way, found in ways.items():
            found.append(images_per_second(*way, cores))
            print(f"{way[0]} processes, batch {way[1]}: {found[-1]:.1f} images/s", flush=True)
    one = ways[1, BATCH_SIZE]
    lines = [
        "| processes | batch | images/s, median (min to max) | of N times one |",
        "| --- | --- | --- | --- |",
    ]
    for (count, batch_size), found in ways.items():
        share = statistics.median(a / b for a, b in zip(found, one, strict=True)) / count
        spread = f"{statistics.median(found):.0f} ({min(found):.0f} to {max(found):.0f})"
        lines.append(f"| {count} | {batch_size} | {spread} | {share:.0%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reckon", action="store_true")
    options = parser.parse_args()
    print(reckon() if options.reckon else measure(options.processes, options.rounds))


if __name__ == "__main__":
    main()
