"""Let one process at a time train in a workdir."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from fer_jax.errors import UserError


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Hold ``workdir`` for this process, and make the folder if it is missing.

    The kernel releases the lock however the process ends. A file system without locks counts as free.
    Raises UserError if another process holds it, OSError if it cannot be written to.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(workdir / ".lock").acquire(timeout=0))
        except Timeout as error:
            raise UserError(
                f"{workdir}: another process is training there; wait for it to end, or add --workdir=DIR"
            ) from error
        except NotImplementedError:
            pass  # a file system without locks
        yield
