"""(b) Images per second of a train step, against PyTorch compiled to CUDA graphs, in alternating turns.

All stacks of a network are set up at once, and wait while others are timed.
"""

import concurrent.futures
import statistics
import time
from typing import Any

from gpu_stages import BATCHES, Setting
from processes import StackFailed, Worker

NETWORKS = ("cnn", "reference")
STACKS = ("fer_jax", "fer_jax-bfloat16", "torch-float32-graphs", "torch-bfloat16-graphs")


def run(setting: Setting, tell) -> None:
    networks = ("small",) if setting.small else NETWORKS
    batches, stacks = (BATCHES, STACKS) if not setting.small else ((8,), STACKS[::2])
    rows: list[dict[str, Any]] = []
    for number, network in enumerate(networks):
        # Networks that are left share what time is left; a third of it is for the turns.
        until = time.time() + setting.left() / (len(networks) - number)
        names = [(stack, batch) for batch in batches for stack in stacks]
        workers = _set_up(network, names, time.time() + 0.67 * (until - time.time()), rows, tell)
        _take_turns(network, workers, until, rows, tell, seconds=0.05 if setting.small else 0.7)


def _set_up(network: str, names, deadline: float, rows, tell) -> dict[tuple[str, int], Worker]:
    """Start (stack, batch) of ``names``, and return those that are ready by the deadline.

    The others are told and killed.
    """
    started, pool = time.time(), concurrent.futures.ThreadPoolExecutor(len(names))
    workers = {
        (stack, batch): Worker("train_step", network, stack, FER_JAX_BENCHMARK_BATCH=str(batch))
        for stack, batch in names
    }

    def wait(name) -> float:
        workers[name].wait()
        return time.time() - started

    waits = {name: pool.submit(wait, name) for name in names}
    concurrent.futures.wait(waits.values(), max(0.0, deadline - time.time()))
    ready = {}
    for (stack, batch), future in waits.items():
        row = {"network": network, "batch": batch, "stack": stack}
        if not future.done():
            row["left_out"] = f"not ready after {time.time() - started:.0f} s"
            workers[stack, batch].kill()
        elif isinstance(error := future.exception(), StackFailed):
            row["left_out"] = str(error)
        else:
            row["ready_s"] = future.result()
            ready[stack, batch] = workers[stack, batch]
        if "left_out" in row:
            print(f"{network}, batch {batch}, {stack}: left out; {row['left_out']}", flush=True)
        rows.append(row)
        tell(rates=rows)
    pool.shutdown(wait=False)
    return ready


def _take_turns(network: str, workers, until: float, rows, tell, *, seconds: float) -> None:
    """Time each stack in turn, at least twice and up to five times while time lasts."""
    for worker in workers.values():
        worker.settle(seconds)
    found: dict[tuple[str, int], list[float]] = {name: [] for name in workers}
    for turn in range(5):
        began = time.time()
        for name in list(workers)[:: -1 if turn % 2 else 1]:
            found[name].append(workers[name].measure()[0])
        for row in rows:
            if figures := found.get((row["stack"], row["batch"]), []) if row["network"] == network else []:
                row.update(min=min(figures), images_s=statistics.median(figures), max=max(figures))
        tell(rates=rows)
        if turn and time.time() + (time.time() - began) > until:
            break
    for worker in workers.values():
        worker.kill()
