"""Times fer_jax against Keras and PyTorch, in alternating runs on this machine.

python benchmarks/run.py [--only=train_step,augment,evaluate,read_csv,start_up] [--output=DIR]

Prints a table and writes DIR/results.json and DIR/results.png. benchmarks/README.md explains the columns.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

import report
from processes import StackFailed, Worker, time_start_up

PEERS = (
    "keras-jax",
    "keras-torch",
    "torch-float32",
    "torch-float32-compiled",
    "torch-bfloat16",
    "torch-bfloat16-compiled",
)
OURS = ("fer_jax", "fer_jax-bfloat16")
SHARES = ("augment_share", "loop_share")
"""Of two stacks, the second of which does the same and something more."""
SUITES = {
    "train_step": [
        *(("train_step", network, (*OURS, *PEERS)) for network in ("reference", "cnn")),
        ("loop_share", "cnn", ("fer_jax", "fer_jax-loop")),
    ],
    "augment": [
        ("augment", "", ("fer_jax", "keras-jax")),
        ("augment_share", "cnn", ("fer_jax", "fer_jax-augmented")),
    ],
    "evaluate": [("evaluate", network, (*OURS, *PEERS)) for network in ("reference", "cnn")],
    "read_csv": [("read_csv", "", ("fer_jax", "fer_jax-cached", "python"))],
    "start_up": [
        ("start_up", "cnn", ("fer_jax", "fer_jax-cold", "keras-jax", "keras-torch", "torch-float32"))
    ],
}


def main() -> None:
    options = _options()
    results = []
    for name in options.only:
        for benchmark, network, stacks in SUITES[name]:
            if benchmark == "read_csv" and options.csv is None:
                print("read_csv: skipped; give the file to read as --csv=fer2013.csv")
                continue
            chosen = [stack for stack in stacks if options.stacks is None or stack in options.stacks]
            if benchmark in SHARES and len(chosen) < 2:
                continue
            figures, unit = measure(benchmark, network, chosen, options.pairs, options.seconds)
            results += summarize(benchmark, network, figures, unit)
            # After each, so that a long run that is stopped has left what it had.
            report.write(options.output, results)
    print(report.table(results))
    print(f"written: {options.output}/results.json, results.png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(SUITES), help="benchmarks, with commas between")
    parser.add_argument("--stacks", default=None, help="only these, with commas between")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"), help="folder to write")
    parser.add_argument("--pairs", type=int, default=5, help="rounds in which every stack has its turn")
    parser.add_argument("--seconds", type=float, default=5.0, help="about as long is one turn")
    parser.add_argument("--csv", default=None, help="read_csv: the file, such as fer2013.csv")
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.stacks = options.stacks and options.stacks.split(",")
    if unknown := set(options.only) - set(SUITES):
        parser.error(f"unknown benchmark {unknown.pop()!r}; choose from {','.join(SUITES)}")
    if options.csv:
        os.environ["FER_JAX_BENCHMARK_CSV"] = str(Path(options.csv).resolve())
    return options


def measure(
    benchmark: str, network: str, stacks: list[str], pairs: int, seconds: float
) -> tuple[dict[str, list[float]], str]:
    """A figure for each stack and round, and its unit. The order of a round is reversed in the next."""
    if benchmark == "start_up":
        figures = {stack: [] for stack in stacks}
        for turn in range(pairs):
            for stack in _alternate(stacks, turn):
                figures[stack].append(time_start_up(stack))
                _progress(benchmark, network, stack, turn, pairs, figures, "s")
        return figures, "s"
    workers = {}
    for stack in stacks:
        try:
            workers[stack] = worker = Worker(benchmark, network, stack)
            worker.wait()
            worker.settle(seconds)
        except StackFailed as error:
            del workers[stack]
            print(f"{benchmark} {network} {stack}: left out; {error}", flush=True)
    figures = {stack: [] for stack in workers}
    unit = "s"
    for turn in range(pairs):
        for stack in _alternate(list(workers), turn):
            figure, unit = workers[stack].measure()
            figures[stack].append(figure)
            _progress(benchmark, network, stack, turn, pairs, figures, unit)
    for worker in workers.values():
        worker.close()
    return figures, unit


def _alternate(stacks: list[str], turn: int) -> list[str]:
    return stacks[::-1] if turn % 2 else stacks


def _progress(benchmark, network, stack, turn, pairs, figures, unit) -> None:
    print(f"{benchmark} {network} {stack}: {turn + 1}/{pairs} {figures[stack][-1]:,.4g} {unit}", flush=True)


def summarize(benchmark: str, network: str, figures: dict[str, list[float]], unit: str) -> list[dict]:
    """The objects of results.json: how many times faster our best is, the median over the rounds."""
    if benchmark in SHARES:
        return _share(benchmark, network, figures)
    ours = [stack for stack in figures if stack in OURS]
    better = max if unit == "images/s" else min
    best = better(ours, key=lambda stack: statistics.median(figures[stack]), default=None)
    rows = []
    for stack, values in figures.items():
        row = {
            "benchmark": benchmark,
            "network": network,
            "stack": stack,
            "unit": unit,
            "min": min(values),
            "median": statistics.median(values),
            "max": max(values),
            "pairs": len(values),
        }
        if best is not None and not stack.startswith("fer_jax"):
            pairs = zip(figures[best], values, strict=True)
            ratios = [mine / theirs if unit == "images/s" else theirs / mine for mine, theirs in pairs]
            row |= {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
        rows.append(row)
    return rows


def _share(benchmark: str, network: str, figures: dict[str, list[float]]) -> list[dict]:
    """What the second stack does more than the first, in percent of its step."""
    plain, more = figures.values()
    shares = [100 * (1 - slow / fast) for fast, slow in zip(plain, more, strict=True)]
    return [
        {
            "benchmark": benchmark,
            "network": network,
            "stack": "fer_jax",
            "unit": "% of the step",
            "min": min(shares),
            "median": statistics.median(shares),
            "max": max(shares),
            "pairs": len(shares),
        }
    ]


if __name__ == "__main__":
    sys.exit(main())
