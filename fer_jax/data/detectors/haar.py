"""The detector ``haar``: the cascade that comes with OpenCV 4."""

import functools
import os
import threading
from typing import Any

from PIL import Image

from fer_jax.data.detectors.boxes import Box, Crop, Detector
from fer_jax.data.detectors.sizes import scaled, shrunk
from fer_jax.data.opencv import REINSTALL, import_opencv
from fer_jax.errors import UserError
from fer_jax.runtime.files import os_reason

_CROP = Crop(right=0.0, down=0.0, side=1.05)
_LONGEST_SIDE = 1280
"""Larger pictures are shrunk to this before the search; a face of a 30th of their width is still found."""
_SEARCH = {"scaleFactor": 1.1, "minNeighbors": 3, "minSize": (40, 40)}

_detecting = threading.Lock()
"""Held while searching: the cascade has state, and all threads share it."""


def is_available() -> bool:
    """Whether this OpenCV has cascades; OpenCV 5 has none. Raises UserError without OpenCV."""
    cv2 = import_opencv()
    return hasattr(cv2, "CascadeClassifier") and hasattr(cv2, "data")


def make_haar() -> Detector:
    """Make the detector of Viola and Jones.

    "Rapid Object Detection using a Boosted Cascade of Simple Features", 2001; Lienhart et al., 2003.
    FER2013's faces were cropped with this kind of detector. It finds upright faces seen from the front, from
    40 pixels on. Raises UserError if OpenCV or its cascade is missing or damaged.
    """
    if not is_available():
        cv2 = import_opencv()
        raise UserError(
            f"the detector 'haar' needs OpenCV 4, found {cv2.__version__}; "
            "leave out --config.detector for the one that is installed"
        )
    return Detector("haar", functools.partial(_find, _load_cascade()), _CROP)


def _find(cascade: Any, picture: Image.Image) -> list[Box]:
    grey, scale = shrunk(picture, "L", _LONGEST_SIDE)
    with _detecting:
        found = cascade.detectMultiScale(grey, **_SEARCH)
    return [scaled(box, scale) for box in found]


def _load_cascade() -> Any:
    import cv2

    path = os.path.join(cv2.data.haarcascades, "haarcascade_frontalface_alt2.xml")
    cascade = cv2.CascadeClassifier()
    try:
        # Read here, since OpenCV cannot open a path with letters beyond ASCII on Windows.
        with open(path, encoding="utf-8") as file:
            storage = cv2.FileStorage(file.read(), cv2.FileStorage_READ | cv2.FileStorage_MEMORY)
        cascade.read(storage.getFirstTopLevelNode())
        reason = "damaged" if cascade.empty() else ""
    except OSError as error:
        reason = os_reason(error)
    except (cv2.error, UnicodeDecodeError):
        reason = "damaged"
    if reason:
        raise UserError(
            f"{path}: {reason}; the face detector of OpenCV was expected there; install it again: {REINSTALL}"
        )
    return cascade
