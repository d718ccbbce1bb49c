"""Obey Ctrl-C, SIGTERM and SIGHUP from a thread of its own.

No handler raises: an exception from a handler may come within a callback of C code, which swallows it. Python
also runs handlers late, when a call of C code returns. So Python writes the signal's number to a socket
at once, and a thread reads it: it ends the process, or leaves that to a block that holds signals back.

Imported first of all, so it imports only what starts in milliseconds.
"""

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from fer_jax.runtime import files

_NOTICE = b"\nstopping after this step, to save first; Ctrl-C again ends at once\n"
_AT_ONCE = b"\nended at once; the same command goes on from the last complete checkpoint\n"
_SECONDS_TO_PRINT = 1.0
"""How long the last line may take: nobody may read from the other end."""

_NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal ended the work; the message says what is saved. ``status`` is 128 + the signal's number."""

    def __init__(self, number: int, message: str = "stopped") -> None:
        super().__init__(message)
        self.status = 128 + number


class _Watch:
    """Notes signals, and ends the process.

    Attributes:
      number: of the first signal; 0 until one has come.
      holds: number of blocks that hold signals back.
      saves: whether such a block looks for signals, and saves its work when one has come.
      taken: whether a block has taken the first signal, and ends the work in its own way.
      messages: functions that make the last line, of which the last one is called.
      to_go_on: added to the last line.
    """

    def __init__(self, to_go_on: str) -> None:
        self.number, self.holds, self.saves, self.taken = 0, 0, False, False
        self.messages: list[Callable[[], str]] = [lambda: "stopped"]
        self.to_go_on = to_go_on
        self.lock = threading.Lock()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._handlers = {n: signal.signal(n, self._note) for n in _NUMBERS if not _is_ignored(n)}
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def close(self) -> None:
        """Give the signals back to the handlers from before."""
        signal.set_wakeup_fd(self._before)
        for number, handler in self._handlers.items():
            # None is a handler that was not set from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._writer.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler. It takes no lock: it may come while its own thread holds it."""
        self.number = self.number or number

    def _watch(self) -> None:
        come = 0
        while numbers := self._reader.recv(16):  # empty once the writer is closed
            for number in filter(self._handlers.__contains__, numbers):
                come += 1
                self._obey(number, come == 1)
        self._reader.close()

    def _obey(self, number: int, is_first: bool) -> None:
        self.number = self.number or number
        with self.lock:
            # The thread may read the signal only when the block that took it has ended.
            if not self.holds and not (is_first and self.taken):
                self.end()
        # A further SIGTERM does nothing, since schedulers send several.
        if is_first and self.saves:
            _print(_NOTICE)
        elif not is_first and number == signal.SIGINT:
            _print(_AT_ONCE)
            os._exit(128 + number)

    def end(self) -> None:
        """End the process without Python's shutdown, which may meet threads of C++ at work."""
        text = f"\n{self.messages[-1]()}; to go on: {self.to_go_on}\n"
        _print(text.encode(errors="backslashreplace"))
        files.remove_temporaries()
        os._exit(128 + self.number)


_current: _Watch | None = None
"""The one watch of the process."""


def watch(to_go_on: str) -> None:
    """Let signals end the process from now on, with a last line that ends in ``to_go_on``, a command.

    Only the main thread may call this. An ignored signal stays ignored: shells ignore Ctrl-C for what they
    start in the background, and nohup ignores SIGHUP.
    """
    global _current
    _current = _Watch(to_go_on)


def has_come() -> bool:
    """Whether a signal has come that is held back."""
    return _current is not None and _current.number > 0


def to_go_on() -> str:
    """The command that ``watch`` was given."""
    return _current.to_go_on if _current else "the same command"


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal end the process only when the block has ended; for writes that belong together."""
    with _holding() as watch:
        yield
    if watch:
        with watch.lock:
            if watch.number and not watch.holds:
                watch.end()


@contextlib.contextmanager
def telling(message: Callable[[], str]) -> Iterator[None]:
    """Within the block, begin the last line of a stopped process by ``message()``: what is saved."""
    if _current is None:
        yield
        return
    _current.messages.append(message)
    try:
        yield
    finally:
        _current.messages.pop()


@contextlib.contextmanager
def noted_signals(*, save: bool = True) -> Iterator[Callable[[], int]]:
    """Leave the first signal within the block to the block; with ``save``, say that it saves first.

    Yields a function that returns the signal's number, or 0 if none has come. A further Ctrl-C ends the
    process at once, as ``kill -9`` would. Where nobody has called ``watch``, this watches within the block;
    outside the main thread it then does nothing, since Python allows no handlers there.
    """
    global _current
    if _current is None and threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    own = _current is None
    if own:
        watch(to_go_on())
    try:
        with _holding() as held_back:
            held_back.saves = save
            try:
                yield lambda: held_back.number
            finally:
                held_back.saves = False
                held_back.taken = held_back.number > 0
    finally:
        if own:
            _current.close()
            _current = None


@contextlib.contextmanager
def _holding() -> Iterator[_Watch | None]:
    watch = _current
    if watch is None:
        yield None
        return
    with watch.lock:
        watch.holds += 1
    try:
        yield watch
    finally:
        with watch.lock:
            watch.holds -= 1


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) == signal.SIG_IGN


def _print(text: bytes) -> None:
    """Print what waits in standard output, then ``text`` on standard error, unless that takes too long."""

    def work() -> None:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(2, text)

    printing = threading.Thread(target=work, daemon=True)
    printing.start()
    printing.join(_SECONDS_TO_PRINT)


def leave_without_waiting(status: int) -> None:
    """End the process with ``status`` once Python shuts down: threads that still work are not waited for.

    Several processes that train together leave in their own way: see ``distributed.joined``.
    """
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        atexit.register(_leave, status)


def _leave(status: int) -> None:
    _print(b"")
    os._exit(status)
