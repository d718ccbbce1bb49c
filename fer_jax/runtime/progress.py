"""Show progress: a bar with the time left on a terminal, plain lines elsewhere."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

from tqdm import tqdm

_BAR = "{desc} {percentage:3.0f}%|{bar}|"


class EpochProgress:
    """Shows the steps of one epoch, and a line when it ends.

    A bar needs a terminal on standard error; without one, a line appears at most every half minute.
    """

    def __init__(
        self,
        *,
        epoch: int,
        epochs: int,
        steps: int,
        batch_size: int,
        epochs_left: float,
        image_size: int | None = None,
    ) -> None:
        """Show the bar.

        Args:
          epoch, epochs, steps, batch_size: of this epoch.
          epochs_left: after this one, in epochs as long as it is.
          image_size: of this epoch, to show; None where it is that of all epochs.
        """
        size = "" if image_size is None else f" at {image_size} pixels"
        self._title = f"epoch {epoch:>{len(str(epochs))}}/{epochs}{size}"
        self._steps, self._batch_size, self._epochs_left = steps, batch_size, epochs_left
        self.begin()
        self._bar = (
            tqdm(total=steps, desc=self._title, bar_format=_BAR, leave=False) if sys.stderr.isatty() else None
        )

    def begin(self, seconds: float = 0.0) -> None:
        """Start the clock after compilation; an earlier process spent ``seconds`` on this epoch."""
        self._spoke = time.monotonic()
        self._started = self._spoke - seconds

    def update(self, done: int, totals: Any) -> None:
        """Show that ``done`` steps are done, and their ``EpochTotals``, if it is time to."""
        now = time.monotonic()
        interval = 0.5 if self._bar is not None else 30
        if now - self._spoke < interval:
            return
        self._spoke = now
        text = self._figures(done, now, totals)
        if self._bar is not None:
            self._bar.n = done
            # tqdm's own postfix begins with a comma.
            self._bar.bar_format = f"{_BAR} {text}"
            self._bar.refresh()
        else:
            print(f"{self._title} {done:>4}/{self._steps}  {text}", flush=True)

    def _figures(self, done: int, now: float, totals: Any) -> str:
        seconds_a_step = (now - self._started) / done
        left = seconds_a_step * (self._steps - done + self._steps * self._epochs_left)
        examples = max(totals.examples, 1)
        return (
            f"loss {totals.loss / examples:.3f}  accuracy {totals.correct / examples:.1%}  "
            f"{self._batch_size / seconds_a_step:,.0f} images/s  {duration(left)} left"
        )

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def close(self, row: dict[str, Any]) -> None:
        """Remove the bar, and print the epoch's ``row`` of metrics.jsonl."""
        self.stop()
        print(
            f"{self._title}  training: loss {row['train_loss']:.3f}, accuracy {row['train_accuracy']:.1%}   "
            f"validation: loss {row['val_loss']:.3f}, accuracy {row['val_accuracy']:.1%}   "
            f"{row['images_per_second']:,.0f} images/s, {duration(row['seconds'])} in all",
            flush=True,
        )


@contextlib.contextmanager
def announced(what: str) -> Iterator[None]:
    """Say ``what`` is being done if the block takes more than two seconds, on a terminal with its seconds."""
    done, started = threading.Event(), time.monotonic()
    on_terminal = sys.stderr.isatty()

    def speak() -> None:
        if done.wait(2):
            return
        if not on_terminal:
            print(f"{what} ...", flush=True)
            return
        while not done.wait(0.5):
            spent = duration(time.monotonic() - started)
            print(f"\r{what} ... {spent} ", end="", file=sys.stderr, flush=True)
        print("\r\033[K", end="", file=sys.stderr, flush=True)  # clears the line

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        done.set()
        speaker.join()


def unless_stopped(work: Callable[[], Any], should_stop: Callable[[], bool]) -> Any | None:
    """Return ``work()``, which runs in a thread; None as soon as ``should_stop()`` is true.

    The thread is then left to itself: nobody can interrupt a compiler. Raises what ``work`` raises.
    """
    results: list[Any] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
        if should_stop():
            return None
    if failures:
        raise failures[0]
    return results[0]


def counted(items: Iterable[Any], *, unit: str, total: int | None = None) -> Iterator[Any]:
    """Yield the items, with a bar on a terminal, otherwise with a line after 2 s and each half minute.

    ``total`` is how many to expect; None for the length of ``items``, or where nobody knows.
    """
    total = len(items) if total is None and isinstance(items, Sized) else total
    if sys.stderr.isatty():
        yield from tqdm(items, unit=unit, total=total, leave=False)
        return
    started = time.monotonic()
    speak = started + 2
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now >= speak:
            speak = now + 30
            if total is None:
                print(f"{done:,} {unit}s, {done / (now - started):,.1f} a second", flush=True)
            else:
                left = (now - started) / done * max(total - done, 0)
                print(f"{done:,}/{total:,} {unit}s  {duration(left)} left", flush=True)
        yield item


def duration(seconds: float) -> str:
    """The seconds as ``45 s``, ``3:07 min`` or ``1:02:09 h``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h" if hours else f"{minutes}:{seconds:02} min"
