"""Decide which positions of a run become checkpoints."""

import time
from collections.abc import Callable

import jax

from fer_jax.train.epochs import Position, best_row
from fer_jax.train.state import TrainState


class Saver:
    """Saves a run every so many seconds, and always its best epoch.

    The best epoch since the last checkpoint is kept on the device, and written before the next checkpoint. So
    the checkpoints on disk include the best epoch up to the latest of them, and an epoch of a second does not
    wait for the disk.

    Attributes:
      last: the position of the latest checkpoint, or where the run begins.
    """

    def __init__(
        self,
        write: Callable[[TrainState, Position], None],
        start: Position,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin at ``start``, which is on disk already.

        Args:
          write: saves a state at its position.
          start: where training begins.
          seconds: of work that a kill may lose, unless an epoch takes longer; 0 saves each epoch.
          clock: returns seconds.
        """
        self.last = start
        self._write, self._seconds, self._clock = write, seconds, clock
        self._saved = self._epoch_began = clock()
        self._best: tuple[TrainState, Position] | None = None

    def end_epoch(self, state: TrainState, position: Position) -> None:
        """Save the end of an epoch, if more than ``seconds`` would be at risk by the end of another one.

        Otherwise keep a copy if it is the best: the next step takes the state's buffers.
        """
        now = self._clock()
        taken, self._epoch_began = now - self._epoch_began, now
        if now - self._saved + taken >= self._seconds:
            self.save(state, position)
        elif _is_best(position):
            self._best = _copy(state), position

    def save(self, state: TrainState, position: Position) -> None:
        """Save the best epoch since the last checkpoint, then ``position``; neither of them twice."""
        if _is_best(position):
            self._best = None
        self.save_best()
        if _place(position) != _place(self.last):
            self._put(state, position)

    def save_best(self) -> None:
        """Save the best epoch since the last checkpoint, if there is one."""
        if self._best is not None:
            best, self._best = self._best, None
            self._put(*best)

    def _put(self, state: TrainState, position: Position) -> None:
        self._saved = self._clock()
        self._write(state, position)
        self.last = position


def _is_best(position: Position) -> bool:
    """Whether this is the end of the best epoch so far."""
    return not position.steps and bool(position.rows) and best_row(position.rows) is position.rows[-1]


def _place(position: Position) -> tuple[int, int]:
    return position.epoch, position.steps


def _copy(state: TrainState) -> TrainState:
    """A copy on one device of this process; each device holds the whole state."""
    local = jax.tree.map(lambda leaf: leaf.addressable_data(0), state)
    return jax.device_put(local, may_alias=False)
