"""Look at the frames of a video: find the faces, follow them, predict and smooth their expressions."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from fer_jax.data.batches import grouped
from fer_jax.data.detectors import Box
from fer_jax.data.photos import whole_pixels
from fer_jax.data.smoothing import smooth
from fer_jax.data.tracks import Tracks, follow
from fer_jax.data.video import Frame

_AT_ONCE, _PIXELS_AT_ONCE = 8, 20_000_000
"""Most frames of a file that are in memory at a time, and the pixels after which no further one is read."""


class Settings(NamedTuple):
    """What a command does with every frame.

    Attributes:
      predict: faces uint8 (N, 48, 48, 1) -> probabilities (N, classes).
      find: picture -> the boxes of its faces, and the faces uint8 (N, 48, 48, 1); as ``photos.faces_of``.
      labels: names of the classes.
      smoothing: seconds, see ``smooth``.
      frames_per_second: how many to look at; 0 for all.
      with_probabilities: whether the table has a column for each class.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    find: Callable[[Image.Image], tuple[list[Box], np.ndarray]]
    labels: tuple[str, ...]
    smoothing: float = 0.5
    frames_per_second: float = 0.0
    with_probabilities: bool = False


class Seen(NamedTuple):
    """A frame and its faces.

    Attributes:
      frame: the frame.
      boxes: of its N faces, in pixels.
      numbers: of the faces in the video, from 0.
      probabilities: smoothed, float (N, classes).
      faces: how many there have been in the video so far.
      interval: seconds since the frame before; None for the first one.
    """

    frame: Frame
    boxes: list[Box]
    numbers: list[int]
    probabilities: np.ndarray
    faces: int
    interval: float | None

    def places(self) -> list[tuple[int, int, int, int]]:
        """x, y, width, height of the boxes in whole pixels, within the frame."""
        return [whole_pixels(box, self.frame.picture.size) for box in self.boxes]


def watch(frames: Iterable[Frame], settings: Settings, *, live: bool = False) -> Iterator[Seen]:
    """Yield each frame with its faces; of a ``live`` source at once, otherwise after predicting a few."""
    tracks, means = Tracks(), {}
    most = 1 if live else _AT_ONCE
    for group in grouped(frames, most=most, size_of=_pixels, most_size=_PIXELS_AT_ONCE):
        found = [settings.find(frame.picture) for frame in group]
        for frame, (boxes, faces), rows in zip(group, found, _predict(found, settings), strict=True):
            interval = frame.time - tracks.time if math.isfinite(tracks.time) else None
            tracks, numbers = follow(tracks, boxes, faces, frame.time)
            for number, row in zip(numbers, rows, strict=True):
                if number is not None:
                    options = {"seconds": settings.smoothing, "interval": interval}
                    means[number] = smooth(means.get(number), row, frame.time, **options)
            known = [(box, number) for box, number in zip(boxes, numbers, strict=True) if number is not None]
            boxes, numbers = [box for box, _ in known], [number for _, number in known]
            smoothed = np.array([means[number].mean for number in numbers]).reshape(-1, rows.shape[1])
            yield Seen(frame, boxes, numbers, smoothed, tracks.next_number, interval)
            followed = {track.number for track in tracks.active}
            means = {number: mean for number, mean in means.items() if number in followed}


def _pixels(frame: Frame) -> int:
    return frame.picture.width * frame.picture.height


def _predict(found: list[tuple[list[Box], np.ndarray]], settings: Settings) -> list[np.ndarray]:
    """The probabilities (N, classes) of each frame's faces, predicted together."""
    counts = [len(faces) for _, faces in found]
    if not any(counts):
        return [np.zeros((0, len(settings.labels)))] * len(found)
    probabilities = settings.predict(np.concatenate([faces for _, faces in found]))
    return np.split(probabilities, np.cumsum(counts)[:-1])
