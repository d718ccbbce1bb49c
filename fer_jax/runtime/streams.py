"""Keep a run alive when nobody reads what it prints."""

import contextlib
import errno
import os
import sys
from typing import Any


def prepare() -> None:
    """Make standard output and standard error safe to print to, whatever they are connected to.

    Closed ones become the null device: otherwise, the next file that is opened would get their number, and
    what is printed would end up in it. Characters that they cannot show are escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name) or open(number, "w", closefd=False)  # noqa: SIM115
        stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Forgiving(stream, number))


class Forgiving:
    """A text stream that drops what is printed once the reader of its pipe is gone, as after ``| head``.

    All else is that of the stream. Other errors, such as a full disk, are raised once.
    """

    def __init__(self, stream: Any, number: int) -> None:
        self._stream, self._number = stream, number

    def write(self, text: str) -> int:
        with self._forgiving():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._forgiving():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _forgiving(self):
        try:
            yield
        except OSError as error:
            # What is still in its buffer would raise again.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._number)
            os.close(nowhere)
            if error.errno not in (errno.EPIPE, errno.EINVAL):  # Windows says EINVAL
                error.filename = f"standard {'output' if self._number == 1 else 'error'}"
                raise
