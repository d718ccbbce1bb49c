"""Follow faces from frame to frame: which of the boxes in a frame is which face of those before."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.data.detectors import Box

GAP = 0.5
"""Seconds for which a face may be missed and keep its number."""

_HIDDEN = 5.0
"""The same for a face behind another, in seconds since it was seen."""

_LEAST_OVERLAP = 0.15
"""Intersection over union from which on a box may be the face that was expected there."""

_STAYED = 0.5
"""What the overlap with the last place counts, against that with the place expected by the motion."""

_MOTION_SECONDS, _LOOK_SECONDS = 0.3, 1.0
"""Time constants of the means of a face's motion, and of its look."""

_ALONE = 0.05
"""Overlap with others up to which what is in a box is surely the one face."""


class Track(NamedTuple):
    """A face that is followed.

    Attributes:
      number: of the face, from 0.
      box: where it was seen last: x, y, width, height in pixels, float (4,).
      velocity: of its centre in pixels a second, float (2,).
      look: its appearance, float (144,) of mean 0 and length 1.
      seen: when it was seen last, in seconds.
      excused: until when it was seen, or was hidden by another.
    """

    number: int
    box: np.ndarray
    velocity: np.ndarray
    look: np.ndarray
    seen: float
    excused: float


class Tracks(NamedTuple):
    """All faces that are followed, the number of the next new one, and the time of the last frame."""

    active: tuple[Track, ...] = ()
    next_number: int = 0
    time: float = -math.inf


def follow(
    tracks: Tracks, boxes: Sequence[Box], faces: np.ndarray, time: float
) -> tuple[Tracks, list[int | None]]:
    """Find out which face each box of the next frame is.

    Each face is expected where its motion has taken it. Boxes go to faces so that the sum of overlap
    (intersection over union) and likeness (correlation of small pictures) is greatest, among pairs that
    overlap: as SORT does (Bewley et al., "Simple Online and Realtime Tracking", 2016), with likeness in
    addition, which tells faces apart that cross. A face that is missed for more than ``GAP`` seconds is given
    up; longer while another covers its place. One that was seen in the frame before is never given up,
    however long ago that was.

    Args:
      tracks: after the frame before; ``Tracks()`` at first.
      boxes: of the faces in the frame, N of them.
      faces: what is in them, uint8 (N, 48, 48, 1).
      time: of the frame in seconds, later than that of the frame before.

    Returns:
      The tracks, and the number of the face in each box; None for a box within a face that has another, or
      that another hides: it is no face of its own.
    """
    active = [track for track in tracks.active if tracks.time - track.excused <= GAP + 1e-6]
    found, looks = np.array(boxes, float).reshape(-1, 4), _looks(faces)
    pairs = _assign(active, found, looks, time)
    kept, numbers = [], [None] * len(found)
    for row, place in pairs.items():
        others = np.delete(found, row, axis=0)
        alone = overlaps(found[row : row + 1], others).max(initial=0) <= _ALONE
        kept.append(_moved(active[place], found[row], looks[row] if alone else None, time))
        numbers[row] = active[place].number
    missed, hidden = _missed([t for n, t in enumerate(active) if n not in pairs.values()], kept, time)
    taken, next_number = [track.box for track in kept] + hidden, tracks.next_number
    for row, box in enumerate(found):
        if row not in pairs and not any(_within(box, place) for place in taken):
            kept.append(Track(next_number, box, np.zeros(2), looks[row], time, time))
            numbers[row], next_number = next_number, next_number + 1
    return Tracks((*kept, *missed), next_number, time), numbers


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4): x, y, width, height."""
    a, b = a[:, None], b[None]
    near = np.maximum(a[..., :2], b[..., :2])
    far = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(far - near, 0, None).prod(-1)
    return shared / np.maximum(a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - shared, 1e-9)


def _assign(active: Sequence[Track], found: np.ndarray, looks: np.ndarray, time: float) -> dict[int, int]:
    """Row of a box -> place of its track among ``active``, for those that have one."""
    if not active or not len(found):
        return {}
    expected = overlaps(np.array([_expected(t, time) for t in active]), found)
    stayed = overlaps(np.array([t.box for t in active]), found)
    # Imported here, since other commands start without it; JAX requires SciPy.
    from scipy.optimize import linear_sum_assignment

    overlap = np.maximum(expected, _STAYED * stayed)
    possible = overlap >= _LEAST_OVERLAP
    likeness = np.array([t.look for t in active]) @ looks.T
    places, rows = linear_sum_assignment(np.where(possible, 1 + overlap + likeness, -1), maximize=True)
    return {int(r): int(p) for p, r in zip(places, rows, strict=True) if possible[p, r]}


def _expected(track: Track, time: float) -> np.ndarray:
    """Where the motion of a face has taken it."""
    moved = track.velocity * (time - track.seen)
    return np.concatenate([track.box[:2] + moved, track.box[2:]])


def _moved(track: Track, box: np.ndarray, look: np.ndarray | None, time: float) -> Track:
    """The track with the place, and unless it is None the look, that were found."""
    passed = max(time - track.seen, 1e-6)
    step = box[:2] + box[2:] / 2 - track.box[:2] - track.box[2:] / 2
    share = 1 - math.exp(-passed / _MOTION_SECONDS)
    velocity = track.velocity + share * (step / passed - track.velocity)
    if look is None:
        look = track.look
    else:
        share = 1 - math.exp(-passed / _LOOK_SECONDS)
        look = _unit(track.look + share * (look - track.look))
    return Track(track.number, box, velocity, look, time, time)


def _missed(
    tracks: Sequence[Track], seen: Sequence[Track], time: float
) -> tuple[list[Track], list[np.ndarray]]:
    """The faces that are not seen, excused where one of those ``seen`` hides them; the places of these."""
    result, hidden = [], []
    boxes = np.array([track.box for track in seen]).reshape(-1, 4)
    for track in tracks:
        place = _expected(track, time)
        if time - track.seen <= _HIDDEN and overlaps(place[None], boxes).max(initial=0) > _ALONE:
            track = track._replace(excused=time)
            hidden.append(place)
        result.append(track)
    return result, hidden


def _within(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the centre of one of two boxes is within the other."""
    apart = np.abs(a[:2] + a[2:] / 2 - b[:2] - b[2:] / 2)
    return bool((apart < np.maximum(a[2:], b[2:]) / 2).all())


def _looks(faces: np.ndarray) -> np.ndarray:
    """Means of 4 x 4 pixels of faces uint8 (N, 48, 48, 1), as vectors (N, 144) of mean 0 and length 1."""
    small = faces.reshape(-1, 12, 4, 12, 4).mean((2, 4)).reshape(-1, 144)
    return _unit(small - small.mean(1, keepdims=True))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
