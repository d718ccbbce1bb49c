"""Add up what is seen of a video, and say it in a line."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.data.tracks import GAP
from fer_jax.data.video import Video
from fer_jax.predict.timeline import Curves, with_sightings
from fer_jax.predict.watch import Seen
from fer_jax.runtime.progress import duration
from fer_jax.runtime.words import number_of


class Summary(NamedTuple):
    """What has been seen of a video.

    Attributes:
      frames: how many were looked at.
      rows: faces in them.
      faces: different ones.
      last: time of the last frame, in seconds.
      shares: time that faces spent with each class, float (classes,).
      curves: for the timeline.
    """

    frames: int
    rows: int
    faces: int
    last: float
    shares: np.ndarray
    curves: Curves


def nothing_seen(classes: int) -> Summary:
    """The summary before the first frame, for so many classes."""
    return Summary(0, 0, 0, 0.0, np.zeros(classes), {})


def with_frame(summary: Summary, seen: Seen, nominal: float) -> Summary:
    """Add a frame to the summary; the first one stands for ``nominal`` seconds."""
    at = seen.frame.time
    passed = nominal if seen.interval is None else seen.interval
    shares = summary.shares.copy()
    np.add.at(shares, seen.probabilities.argmax(1), passed)
    curves = with_sightings(summary.curves, seen.numbers, seen.probabilities, at, longest_gap=passed + GAP)
    return Summary(summary.frames + 1, summary.rows + len(seen.numbers), seen.faces, at, shares, curves)


def early_end(video: Video, summary: Summary, nominal: float) -> str:
    """What is wrong if the frames ended long before the time in the header; empty otherwise.

    ``nominal`` is the time between frames in seconds.
    """
    if video.duration is None or summary.last + nominal >= 0.9 * video.duration - 0.5:
        return ""
    return (
        f"{video.name}: ends at {summary.last:.1f} s of {video.duration:.1f} s: the rest cannot be read; "
        "a complete video was expected"
    )


def describe_summary(name: str, summary: Summary, labels: Sequence[str], rate: float) -> str:
    """The closing line of a video: ``rate`` is how many frames were done in a second."""
    frames = f"{number_of(summary.frames, 'frame')} to {duration(summary.last)}"
    if not summary.rows:
        return f"{name}: {frames}, no face found; {rate:,.1f} images/s"
    order = np.argsort(-summary.shares, kind="stable")
    parts = summary.shares / summary.shares.sum()
    shares = ", ".join(f"{labels[i]} {100 * parts[i]:.0f} %" for i in order if round(100 * parts[i]))
    faces = number_of(summary.faces, "face")
    return f"{name}: {frames}, {faces}: {shares} of the time; {rate:,.1f} images/s"
