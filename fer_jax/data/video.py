"""Read the frames of a video or a camera with their times, by OpenCV and its FFmpeg.

OpenCV is imported on first use, and kept from printing: what is wrong with a file is said in our own line.
"""

import dataclasses
import math
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from PIL import Image

from fer_jax.data.find_pictures import special_kind
from fer_jax.data.opencv import import_quiet_opencv
from fer_jax.errors import UserError
from fer_jax.runtime.files import os_reason

_HIGHEST_RATE = 120.0
"""Frames per second. Files whose frames come at no fixed rate give the ticks of their clock, as 1,000."""

_UNKNOWN_RATE, _CAMERA_RATE = 30.0, 10.0


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
      number: in the video, from 0.
      time: in seconds, by the clock of the file; of a camera since its first frame.
      picture: upright, RGB.
    """

    number: int
    time: float
    picture: Image.Image


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """An open video; ``read_frames`` reads it and closes it.

    Attributes:
      name: for messages.
      rate: frames per second, a guess where they come at no fixed rate.
      duration: in seconds by the file's header; None if unknown, as of a camera.
      frames: how many there are by the header; None if unknown.
      nothing: what to say if it has not one frame.
      capture: OpenCV's object.
      clock: gives the time in seconds of the frame that was grabbed last.
    """

    name: str
    rate: float
    duration: float | None
    frames: int | None
    nothing: str
    capture: Any
    clock: Callable[[], float]


def open_video(path: str | os.PathLike) -> Video:
    """Open a video file. Raises UserError if there is none, or OpenCV is not installed."""
    name = os.fspath(path)
    _check_content(name)
    if not is_utf8(name):
        raise _unreadable(name, "its name is not in UTF-8, which OpenCV needs: rename it")
    cv2 = import_quiet_opencv()
    # With its full path, since FFmpeg takes a name like "concat:a" for a protocol.
    capture = cv2.VideoCapture(os.path.abspath(name), ffmpeg(cv2))
    if not capture.isOpened():
        raise _unreadable(name, "it is damaged, or of a kind that OpenCV cannot read")
    given, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    duration = count / given if given > 0 and 0 < count < 1e9 else None
    is_rate = 0 < given <= _HIGHEST_RATE
    return Video(
        name,
        rate=given if is_rate else _UNKNOWN_RATE,
        duration=duration,
        frames=round(count) if duration and is_rate else None,
        nothing=str(_unreadable(name, "it has no frames")),
        capture=capture,
        clock=lambda: capture.get(cv2.CAP_PROP_POS_MSEC) / 1000,
    )


def open_camera(number: int) -> Video:
    """Open a camera of this computer, from 0. Raises UserError if it cannot be used."""
    cv2 = import_quiet_opencv()
    name = f"camera:{number}"
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise UserError(
            f"{name}: cannot be opened: there is none of that number, another program uses it, or this one "
            "may not; a camera that is free was expected"
        )
    # Otherwise frames wait in a queue, and are shown late.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    started: list[float] = []

    def clock() -> float:
        now = time.monotonic()
        started[:] = started or [now]
        return now - started[0]

    return Video(name, _CAMERA_RATE, None, None, f"{name}: gives no pictures", capture, clock)


def expected_frames(video: Video, frames_per_second: float) -> int | None:
    """How many frames ``read_frames`` will yield, as far as the header tells; None if it does not."""
    if not frames_per_second:
        return video.frames
    if video.duration is None:
        return None
    return max(1, min(video.frames or sys.maxsize, round(video.duration * frames_per_second)))


def read_frames(video: Video, *, frames_per_second: float = 0.0) -> Iterator[Frame]:
    """Yield the frames as they come, and close the video at the end.

    A frame whose time is missing, or not after that of the frame before, is taken to follow it at the video's
    rate.

    Args:
      video: from ``open_video`` or ``open_camera``.
      frames_per_second: how many of them to yield, those that come nearest to even steps; 0 for all.

    Raises UserError if there is not one frame that can be read.
    """
    import cv2

    number, last, steps = -1, -math.inf, _steps(frames_per_second, video.rate)
    try:
        while video.capture.grab():
            number += 1
            given = video.clock()
            last = given if given > last and math.isfinite(given) else max(last, 0) + 1 / video.rate
            if steps(last):
                read, pixels = video.capture.retrieve()
                if read and pixels is not None:
                    picture = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
                    yield Frame(number, last, picture)
        if number < 0:
            raise UserError(video.nothing)
    finally:
        video.capture.release()


def _steps(frames_per_second: float, rate: float) -> Callable[[float], bool]:
    """Make a function that tells, of the times of all frames in their order, which to look at."""
    due = -math.inf

    def is_due(at: float) -> bool:
        nonlocal due
        if not frames_per_second:
            return True
        if due == -math.inf:
            due = at
        reached = at + 0.5 / rate
        if reached < due:
            return False
        due += (math.floor((reached - due) * frames_per_second) + 1) / frames_per_second
        return True

    return is_due


def _check_content(name: str) -> None:
    """Raise UserError for what is certainly no video: FFmpeg would take some texts for lists of files."""
    try:
        mode = os.stat(name).st_mode
        if not stat.S_ISREG(mode):
            raise UserError(f"{name}: is a {special_kind(mode)}; a plain file was expected")
        with open(name, "rb") as file:
            head = file.read(256)
    except OSError as error:
        raise UserError(f"{name}: {os_reason(error)}; a video was expected") from error
    if not head:
        raise _unreadable(name, "an empty file")
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head) and not head.startswith(b"YUV4MPEG2"):
        raise _unreadable(name, "it holds text")


def is_utf8(name: str) -> bool:
    """Whether the name of a file is in UTF-8: OpenCV takes no other."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(name: str, reason: str) -> UserError:
    return UserError(f"{name}: cannot be read as a video ({reason}); a complete video was expected")


def ffmpeg(cv2: Any) -> int:
    """FFmpeg where this OpenCV has it: others take ``a%d.mp4`` for a row of files."""
    registry = cv2.videoio_registry
    return cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in registry.getStreamBackends() else cv2.CAP_ANY
