"""Write a video that browsers play: .webm, by OpenCV's FFmpeg."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fer_jax.data.opencv import import_quiet_opencv
from fer_jax.data.video import ffmpeg, is_utf8
from fer_jax.runtime.marks import MARK_OF_VIDEO

UNFINISHED = ".incomplete.webm"
"""The end of the name of a file that is being written, or was when its process was killed."""

_CODECS = ("VP80", "VP90")
"""VP8 first: VP9 makes smaller files, and takes four times as long."""

_LONGEST_PAUSE = 10.0
"""Seconds that a frame is shown at most in a video that is written."""


class VideoWriter:
    """Writes pictures with their times to a .webm file of a constant rate.

    What is not finished is named ``NAME.incomplete.webm``. Each picture is shown until the next one's time,
    for at most ten seconds. Keeps one picture in memory.

    Attributes:
      path: the file.
      codec: VP80 or VP90; None if this OpenCV can write neither, and nothing is written then.
    """

    def __init__(self, path: Path, *, size: tuple[int, int], rate: float) -> None:
        """Begin the file.

        Args:
          path: ends in ``.webm``; its folder is made.
          size: width and height of the pictures; both even.
          rate: frames per second.
        """
        self.path, self._rate = path, rate
        self._unfinished = path.with_name(path.stem + UNFINISHED)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._cv2 = import_quiet_opencv()
        self._start: float | None = None
        self._written, self._last = 0, None
        self.codec: str | None = None
        for codec in _CODECS if is_utf8(str(path)) else ():
            code = self._cv2.VideoWriter_fourcc(*codec)
            with _standard_error_closed():  # it prints that this code has another name there
                self._writer = self._cv2.VideoWriter(
                    str(self._unfinished), ffmpeg(self._cv2), code, rate, size
                )
            if self._writer.isOpened():
                self.codec = codec
                return
        self._unfinished.unlink(missing_ok=True)

    def write(self, picture: Image.Image, at: float) -> None:
        """Add a picture (RGB) to be shown from the time ``at`` on, in seconds."""
        if self.codec is None:
            return
        self._start = at if self._start is None else self._start
        slot = round((at - self._start) * self._rate)
        if slot < self._written:
            return  # more pictures come than the rate has room for
        pause = slot - self._written
        longest = round(_LONGEST_PAUSE * self._rate)
        if pause > longest:
            self._start += (pause - longest) / self._rate
            pause = longest
        for _ in range(pause):
            self._writer.write(self._last)
        self._last = self._cv2.cvtColor(np.asarray(picture), self._cv2.COLOR_RGB2BGR)
        self._writer.write(self._last)
        self._written += pause + 1

    def finish(self) -> None:
        """Complete the file, and give it its name. Raises OSError if it could not be written."""
        if self.codec is None:
            return
        self._writer.release()
        check = self._cv2.VideoCapture(str(self._unfinished), ffmpeg(self._cv2))
        playable = check.isOpened() and check.grab()
        check.release()
        if not playable:
            self._unfinished.unlink(missing_ok=True)
            raise OSError(errno.EIO, "could not be written; is the disk full?", str(self.path))
        with open(self._unfinished, "ab") as file:
            file.write(MARK_OF_VIDEO)
        os.replace(self._unfinished, self.path)

    def discard(self) -> None:
        """Remove the file, if it is not finished."""
        if self.codec is not None:
            self._writer.release()
            self._unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _standard_error_closed() -> Iterator[None]:
    """Send to nowhere what C code prints on standard error within the block."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
