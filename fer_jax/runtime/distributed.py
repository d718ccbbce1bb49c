"""Several processes that train one network together, on JAX's own distributed runtime.

All of them run the same program. The first one, number 0, alone reads and writes the workdir; what it finds
there, and what any of them fails at, is told to all, so that none waits for one that is gone.
"""

import atexit
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from fer_jax.data.compressed import os_reason
from fer_jax.errors import UserError
from fer_jax.runtime.signals import Stopped

_HEARTBEAT_SECONDS = 20
"""A process that has not been heard of for so long counts as gone, and the others end."""

_GONE = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "heartbeat")
"""What errors say that come of another process's end."""


@contextlib.contextmanager
def joined(*, coordinator_address: str, num_processes: int, process_id: int) -> Iterator[None]:
    """Within the block this process is one of several; to be entered before JAX starts a device.

    Args:
      coordinator_address: HOST:PORT of process 0; empty to find all three as Slurm, Open MPI, Kubernetes or
        a TPU pod tell them.
      num_processes: of them all; 0 to find it.
      process_id: of this one, from 0; -1 to find it.

    Raises:
      UserError: the other processes cannot be found or reached, or one of them is gone.
    """
    # Signals are ours: each process notes them between steps, and all stop after the same one.
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
            f"the processes of this run could not meet ({' '.join(str(error).split())}); set "
            "config.coordinator_address, num_processes and process_id, or start them by a scheduler that "
            "JAX knows"
        ) from error
    with contextlib.ExitStack() as stack:
        if not is_first():
            # The same lines as the first one's.
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield
        except BaseException as error:
            atexit.register(_leave, error.status if isinstance(error, Stopped) else 1)
            if isinstance(error, ValueError | RuntimeError) and any(word in str(error) for word in _GONE):
                reason = str(error).splitlines()[0]
                raise UserError(
                    f"another process of this run has ended ({reason}); what was saved is whole: start all "
                    "of them again by the same commands"
                ) from error
            raise


def _leave(status: int) -> None:
    """Ends the process without JAX's farewell, which waits for the others: they may wait for this one."""
    sys.stdout.flush()
    if is_first():
        # JAX aborts the others with pages of log when process 0 is gone: they may have their own last word.
        time.sleep(1)
    os._exit(status)


def is_first() -> bool:
    """Whether this process is the one that reads and writes the workdir."""
    return jax.process_index() == 0


def on_first(work: Callable[[], Any]) -> Any:
    """What ``work`` gives in process 0, which alone calls it; a value that JSON can hold.

    Raises:
      UserError, OSError: as ``work``; in the other processes always UserError.
    """
    return _together(lambda: work() if is_first() else None)[0]


def in_all(work: Callable[[], Any]) -> Any:
    """What ``work`` gives here, once it has ended well in each process.

    Raises:
      UserError, OSError: as ``work``, here or in another process.
    """
    kept = []
    _together(lambda: kept.append(work()))
    return kept[0]


def in_any(flag: bool) -> bool:
    """Whether ``flag`` is raised in any process."""
    return any(_together(lambda: flag))


def same_in_all(what: str, value: str) -> None:
    """Raises UserError if ``value``, which is a digest of ``what``, is not the same in each process."""
    values = _exchange(value)
    for process, other in enumerate(values):
        if other != values[0]:
            raise UserError(f"process {process} has other {what} than process 0; start all of them alike")


def from_first(tree: Any) -> Any:
    """The arrays of process 0, in all processes; ``tree`` gives shapes and dtypes in the others."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def _together(work: Callable[[], Any]) -> list[Any]:
    """What ``work`` gives in each process."""
    if jax.process_count() == 1:
        return [work()]
    value, failure = None, None
    try:
        value = work()
    except (UserError, OSError) as error:
        failure = error
    reason = failure and (str(failure) if isinstance(failure, UserError) else os_reason(failure))
    found = [json.loads(text) for text in _exchange(json.dumps([value, reason]))]
    if failure:
        raise failure
    for process, (_, other) in enumerate(found):
        if other:
            raise UserError(f"process {process}: {other}")
    return [value for value, _ in found]


def _exchange(text: str) -> list[str]:
    """The texts of all processes, in order."""
    if jax.process_count() == 1:
        return [text]
    mine = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array([len(mine)], np.int32)).ravel()
    padded = np.zeros(max(lengths), np.uint8)
    padded[: len(mine)] = mine
    rows = multihost_utils.process_allgather(padded).reshape(len(lengths), -1)
    return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]
