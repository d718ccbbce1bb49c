"""Several processes that train one network together, on JAX's own distributed runtime.

All of them run the same program. Process 0 alone reads and writes the workdir. All learn what it finds there
and what any of them fails at, so that none waits for one that is gone.
"""

import atexit
import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line, os_reason
from fer_jax.runtime.signals import Stopped
from fer_jax.runtime.startup import keep_order_of_exchanges

_HEARTBEAT_SECONDS = 20
"""A process that sends nothing for so long counts as gone, and the others end."""

_GONE = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "heartbeat")
"""Words in the errors that JAX raises here when another process has ended."""


@contextlib.contextmanager
def joined(coordinator_address: str, num_processes: int, process_id: int) -> Iterator[None]:
    """Make this process one of several within the block; enter it before JAX starts a device.

    Args:
      coordinator_address: HOST:PORT of process 0; empty to take all three from Slurm, Open MPI, Kubernetes or
        a TPU pod.
      num_processes: how many there are; 0 to find out.
      process_id: of this one, from 0; -1 to find out.

    Raises:
      UserError: the other processes cannot be found or reached, or one of them is gone.
    """
    keep_order_of_exchanges()
    # We handle signals: each process notes them between steps, and all stop after the same one.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address or None,
            num_processes or None,
            None if process_id < 0 else process_id,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of this run could not meet ({one_line(error, limit=None)}); set "
            "config.coordinator_address, num_processes and process_id, or use a scheduler that JAX knows"
        ) from error
    with contextlib.ExitStack() as stack:
        if not is_first():
            # It would print the same lines as process 0.
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield
        except BaseException as error:
            atexit.register(_leave, error.status if isinstance(error, Stopped) else 1)
            if isinstance(error, ValueError | RuntimeError) and any(word in str(error) for word in _GONE):
                raise UserError(
                    f"another process of this run has ended ({str(error).splitlines()[0]}); what was saved "
                    "is whole: start all of them again by the same commands"
                ) from error
            raise


def _leave(status: int) -> None:
    """End the process without JAX's shutdown, which waits for others that may wait for this one."""
    sys.stdout.flush()
    if is_first():
        # JAX aborts the others with pages of log when process 0 is gone: let them print their last line.
        time.sleep(1)
    os._exit(status)


def is_first() -> bool:
    """Return whether this process is process 0, which reads and writes the workdir."""
    return jax.process_index() == 0


def first_process(work: Callable) -> Callable:
    """Decorate a function to run in process 0 alone, and to return its result in all processes.

    The result is a value that JSON can hold, or a NamedTuple of such values, which several processes get as
    a list. Raises UserError and OSError as ``work`` does; in the other processes always UserError.
    """

    @functools.wraps(work)
    def in_first(*args: Any, **options: Any) -> Any:
        return _together(lambda: work(*args, **options) if is_first() else None)[0]

    return in_first


def in_all(work: Callable[[], Any]) -> Any:
    """Return the result of ``work`` here, once it has succeeded in each process.

    Raises UserError and OSError as ``work`` does; UserError where it fails in another process.
    """
    results = []
    _together(lambda: results.append(work()))
    return results[0]


def in_any(flag: bool) -> bool:
    """Return whether ``flag`` is true in any process."""
    return any(_together(lambda: flag))


def same_in_all(what: str, digest: str) -> None:
    """Raise UserError unless all processes have the same ``digest`` of ``what``."""
    digests = _exchange(digest)
    for process, other in enumerate(digests):
        if other != digests[0]:
            raise UserError(f"process {process} has other {what} than process 0; start all of them alike")


def from_first(tree: Any) -> Any:
    """Return the arrays of process 0 in all processes; ``tree`` gives shapes and dtypes in the others."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def _together(work: Callable[[], Any]) -> list[Any]:
    """Do ``work`` in each process, and return all results; raise if it fails in any."""
    if jax.process_count() == 1:
        return [work()]
    result, failure = None, None
    try:
        result = work()
    except (UserError, OSError) as error:
        failure = error
    reason = failure and (str(failure) if isinstance(failure, UserError) else os_reason(failure))
    found = [json.loads(text) for text in _exchange(json.dumps([result, reason]))]
    if failure:
        raise failure
    for process, (_, other) in enumerate(found):
        if other:
            raise UserError(f"process {process}: {other}")
    return [result for result, _ in found]


def _exchange(text: str) -> list[str]:
    """Return the texts of all processes, in order."""
    if jax.process_count() == 1:
        return [text]
    mine = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array([len(mine)], np.int32)).ravel()
    padded = np.zeros(max(lengths), np.uint8)
    padded[: len(mine)] = mine
    rows = multihost_utils.process_allgather(padded).reshape(len(lengths), -1)
    return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]
