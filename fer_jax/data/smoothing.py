"""An exponential mean over time of what comes at uneven moments."""

import math
from typing import NamedTuple

import numpy as np


class Smoothed(NamedTuple):
    """The mean of all values so far.

    Attributes:
      mean: float (...), of the values' shape.
      weight: of the mean, 0 to 1; None after a first value whose duration is not known.
      time: of the last value, in seconds.
    """

    mean: np.ndarray
    weight: float | None
    time: float


def smooth(
    before: Smoothed | None,
    value: np.ndarray,
    time: float,
    *,
    seconds: float,
    interval: float | None = None,
) -> Smoothed:
    """Add a value to the exponential mean with the time constant ``seconds``.

    A value weighs as much as the time that it stands for, and what lies ``seconds`` back weighs 1/e of the
    present. So the mean does not depend on how often a signal is looked at. It is divided by the sum of the
    weights, as Adam's are (Kingma and Ba, 2015): otherwise the first value would count as if it had always
    been there.

    Args:
      before: of the values before; None for the first one.
      value: float (...).
      time: in seconds, not before that of the last value.
      seconds: the time constant; 0 for no smoothing.
      interval: how long the value stands for, in seconds: less than since the last value where there was
        nothing to be seen in between. If None, since the last value; the first one for as long as the second.
    """
    if seconds <= 0:
        return Smoothed(np.asarray(value), None, time)
    passed = 0.0 if before is None else max(time - before.time, 0.0)
    stands_for = interval if interval is not None else passed if before else None
    new = None if stands_for is None else 1 - math.exp(-stands_for / seconds)
    if before is None:
        return Smoothed(np.asarray(value), new, time)
    old = (new if before.weight is None else before.weight) * math.exp(-passed / seconds)
    weight = old + new
    # Both weigh nothing where values come at the same time.
    share = new / weight if weight else 0.5
    return Smoothed(before.mean + share * (value - before.mean), weight, time)
