"""OpenCV, imported on first use: faces of 48 x 48 do not need it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from fer_jax.errors import UserError

INSTALL = "pip install -r requirements-photos.txt"
REINSTALL = "pip install --force-reinstall -r requirements-photos.txt"


def import_opencv(needs: str = "finding faces needs") -> Any:
    """Import cv2. Raises UserError, which begins with what ``needs`` it, if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UserError(f"{needs} OpenCV: {INSTALL}") from error
    return cv2


def import_quiet_opencv() -> Any:
    """Import cv2 for videos, and keep it and FFmpeg from printing. Raises UserError as ``import_opencv``."""
    # FFmpeg's level is read when the first file is opened; -8 is AV_LOG_QUIET.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    cv2 = import_opencv("videos need")
    if os.environ["OPENCV_LOG_LEVEL"] == "SILENT":
        # It may have been imported before the variable was set.
        _level_setter(cv2)(0)
    return cv2


@contextlib.contextmanager
def quiet(cv2: Any) -> Iterator[None]:
    """Keep OpenCV from printing within the block."""
    set_level = _level_setter(cv2)
    level = set_level(0)
    try:
        yield
    finally:
        set_level(level)


def _level_setter(cv2: Any) -> Callable[[int], int]:
    """The function that sets the level of OpenCV's own lines, 0 for none, and returns the one before."""
    # Where OpenCV 4.10 and 4.14 have it.
    return cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
