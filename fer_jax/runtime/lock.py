"""One training process at a time in a workdir, by a lock that ends with the process that holds it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fer_jax.errors import UserError

_NAME = ".lock"


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Holds ``workdir`` for this process; the folder is made if need be.

    Raises:
      UserError: another process holds it.
      OSError: the folder cannot be written to.
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
    """As ``locked``, but yields whether the lock was got. Raises OSError.

    The kernel lets go of the lock however the process ends; the file stays, and means nothing by itself.
    Where there is no such lock (Windows, some network file systems) it always counts as got.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    with open(workdir / _NAME, "ab") as file:
        mine = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mine = False
        except OSError:
            pass  # a file system without locks
        yield mine
