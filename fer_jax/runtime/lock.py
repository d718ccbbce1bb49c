"""Let one process at a time train in a workdir."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from fer_jax.errors import UserError


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Hold ``workdir`` for this process, and make the folder if it is missing.

    Raises UserError if another process holds it, OSError if it cannot be written to.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with try_lock(workdir) as mine:
        if not mine:
            raise UserError(
                f"{workdir}: another process is training there; wait for it to end, or add --workdir=DIR"
            )
        yield


@contextlib.contextmanager
def try_lock(workdir: Path) -> Iterator[bool]:
    """Yield whether ``workdir`` is free; if it is, hold it for this process. Raises OSError.

    The kernel releases the lock however the process ends. A file system without locks counts as free.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(workdir / ".lock").acquire(timeout=0))
        except Timeout:
            yield False
            return
        except NotImplementedError:
            pass  # a file system without locks
        yield True
