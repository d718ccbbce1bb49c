"""One stack in a process of its own: sets up, warms up, then times what each line of its input asks for.

python benchmarks/worker.py BENCHMARK NETWORK STACK

Prints ``{"items": I}`` once ready, then for each line ``N`` it reads ``{"seconds": S}`` for N calls.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stacks import prepare


def main(benchmark: str, network: str, stack: str) -> None:
    # Frameworks print as they like; the answers get a stream of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    work = prepare(benchmark, network, stack)
    work.run(1)
    _tell(answers, {"items": work.items})
    for line in sys.stdin:
        started = time.perf_counter()
        work.run(int(line))
        _tell(answers, {"seconds": time.perf_counter() - started})


def _tell(stream, message) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
