"""Note Ctrl-C and SIGTERM, so that a run can save between two steps before it ends."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_NOTICE = b"\nstopping after this step, to save first; Ctrl-C again ends at once\n"
_AT_ONCE = b"\nended at once; the same command goes on from the last complete checkpoint\n"


class Stopped(KeyboardInterrupt):
    """A signal ended the work; the message says what is saved. ``status`` is the exit status: 130 or 143."""

    def __init__(self, number: int, message: str = "stopped") -> None:
        super().__init__(message)
        self.status = 128 + number


def raise_stopped(number: int, frame: FrameType | None) -> None:
    """Raise Stopped; the signal handler where there is nothing to save."""
    raise Stopped(number)


def replace_handlers(handler: Callable) -> dict[int, Any]:
    """Set ``handler`` for Ctrl-C and SIGTERM, and return the earlier handlers by signal.

    An ignored signal stays ignored: shells ignore Ctrl-C for what they start in the background.
    """
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in numbers}


@contextlib.contextmanager
def noted_signals() -> Iterator[Callable[[], int]]:
    """Note the first Ctrl-C or SIGTERM within the block instead of obeying it.

    Yields a function that returns the signal's number, or 0 if none has come. A further Ctrl-C ends the
    process at once, as ``kill -9`` would. A further SIGTERM does nothing, since schedulers send several. The
    earlier handlers return at the end. Does nothing outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        # Not by print: the signal may have come in the middle of one.
        if noted and number == signal.SIGINT:
            os.write(2, _AT_ONCE)
            os._exit(128 + number)
        if not noted:
            noted.append(number)
            os.write(2, _NOTICE)

    before = replace_handlers(note)
    try:
        yield lambda: noted[0] if noted else 0
    finally:
        for number, handler in before.items():
            # None is a handler that was not set from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal wait until the block ends."""
    yield


@contextlib.contextmanager
def telling(message: Callable[[], str]) -> Iterator[None]:
    """Set the last line that a command prints if a signal ends it within the block."""
    yield
