"""Draws videos for tests: faces that move over a picture, at times that the test chooses."""

import functools

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_jax.data.detectors import Box
from fer_jax.data.opencv import import_quiet_opencv
from fer_jax.data.photos import crop_faces
from fer_jax.data.synthetic.faces import draw_faces

SIZE = (320, 180)
SIDE = 80


def uneven_times(seconds, *, seed=0):
    """Times in whole milliseconds, 20 to 60 apart, as phones make them in changing light."""
    draw = np.random.default_rng(seed)
    times = np.cumsum(draw.integers(20, 61, int(seconds * 60)))
    return np.concatenate([[0], times[times < 1000 * seconds]])


def ground(size=SIZE):
    """A picture without faces: smooth colours."""
    coarse = np.random.default_rng(3).integers(60, 200, (5, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def people(count=2, *, first=0):
    """Drawn faces, as pictures."""
    faces = draw_faces(first + count, seed=1).images[first:, ..., 0]
    return [Image.fromarray(face).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for face in faces]


def write_clip(path, frames, *, rate=25.0, codec="VP80", times=None):
    """Writes pictures to a video, at a rate or at the times given in milliseconds (.webm or .mkv)."""
    import_quiet_opencv()
    frames = iter(frames)
    first = next(frames)
    plain = path if times is None else path.with_name(f"{path.stem}-even.webm")
    writer = cv2.VideoWriter(str(plain), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), rate, first.size)
    assert writer.isOpened()
    for picture in (first, *frames):
        writer.write(np.asarray(picture)[..., ::-1].copy())
    writer.release()
    if times is not None:
        _write_at_times(plain, path, times, codec)
        plain.unlink()
    return path


def _write_at_times(source, target, times, codec):
    """Copies the coded frames of a video, and gives each its own time."""
    if not hasattr(cv2, "VIDEOWRITER_PROP_PTS"):
        pytest.skip(f"OpenCV {cv2.__version__} writes no uneven times")
    reader = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG)
    size = tuple(int(reader.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    reader.set(cv2.CAP_PROP_FORMAT, -1)
    code = cv2.VideoWriter_fourcc(*codec)
    options = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    writer = cv2.VideoWriter(str(target), cv2.CAP_FFMPEG, code, 1000.0, size, options)
    for time in times:
        read, packet = reader.read()
        assert read
        writer.set(cv2.VIDEOWRITER_PROP_PTS, int(time))
        writer.set(cv2.VIDEOWRITER_PROP_KEY_FLAG, int(reader.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME)))
        writer.write(packet)
    writer.release()
    reader.release()


def places_at(seconds):
    """Where the faces of the clip are, as (number of the person, x, y), nearest last.

    Two cross in the middle after 3 seconds; the second leaves from 6.0 to 7.5, returns, and stays.
    """
    places = [(0, 30 + 180 * min(seconds, 6) / 6, 45)]
    if not 6.0 <= seconds < 7.5:
        places.append((1, 210 - 180 * min(seconds, 6) / 6, 55))
    return places


@functools.cache
def _ground():
    return ground()


def picture_at(seconds, faces, place_of=places_at, *, scale=1):
    """A frame of the clip; detectors need it larger."""
    picture = _ground().copy()
    for person, x, y in place_of(seconds):
        picture.paste(faces[person].convert("RGB"), (round(x), round(y)))
    return picture.resize((SIZE[0] * scale, SIZE[1] * scale), Image.Resampling.BICUBIC)


def finder(times, *, place_of=places_at, noise=1.0, hide=0.4):
    """A detector for the clip that knows where its faces are -> a function like ``photos.faces_of``.

    It is some pixels off, and misses a face of which more than ``hide`` is covered. It is called for each
    frame in order.
    """
    left, draw = iter(times), np.random.default_rng(5)

    def find(picture):
        places = place_of(next(left) / 1000)
        boxes = []
        for order, (_, x, y) in enumerate(places):
            nearer = places[order + 1 :]
            hidden = max((_covered(x - a, y - b) for _, a, b in nearer), default=0)
            if hidden <= hide:
                dx, dy = draw.normal(0, noise, 2)
                boxes.append(Box(x + dx, y + dy, SIDE, SIDE))
        boxes.sort()
        return boxes, crop_faces(picture, boxes)

    return find


def _covered(dx, dy):
    """Which share of a square another covers that is so far off."""
    return max(0, SIDE - abs(dx)) * max(0, SIDE - abs(dy)) / SIDE**2
