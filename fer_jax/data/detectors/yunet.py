"""A detector from a file: a YuNet network, run by OpenCV."""

import functools
import threading
from typing import Any

import numpy as np
from PIL import Image

from fer_jax.data.detectors.boxes import Box, Crop, Detector
from fer_jax.data.detectors.sizes import scaled, shrunk, smallest_face
from fer_jax.data.opencv import import_opencv, quiet
from fer_jax.errors import UserError
from fer_jax.runtime.files import expand_user, os_reason

_CROP = Crop(right=0.0, down=0.0, side=0.95)
_LONGEST_SIDE = 640
_SMALLEST_SEARCHED = 20
_SCORE, _OVERLAP, _MOST_BOXES = 0.6, 0.3, 5000
"""Least score, most intersection over union of two faces, and boxes before those that overlap are dropped."""


def make_yunet(path: str) -> Detector:
    """Make the detector of an ONNX file (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023).

    Raises UserError if the file is missing or no such network, or this OpenCV cannot run it.
    """
    cv2 = import_opencv()
    expected = "the ONNX file of a YuNet face detector was expected"
    if not hasattr(cv2, "FaceDetectorYN"):
        raise UserError(f"{path}: this OpenCV, {cv2.__version__}, has no FaceDetectorYN to run it")
    try:
        with open(expand_user(path), "rb") as file:  # OpenCV cannot open every path on Windows
            content = np.frombuffer(file.read(), np.uint8)
    except OSError as error:
        raise UserError(f"{path}: {os_reason(error)}; {expected}") from error
    try:
        with quiet(cv2):  # the message says what its lines would
            options = (320, 320), _SCORE, _OVERLAP, _MOST_BOXES
            network = cv2.FaceDetectorYN.create("onnx", content, np.zeros(0, np.uint8), *options)
            network.detect(np.zeros((320, 320, 3), np.uint8))
    except (cv2.error, SystemError) as error:
        raise UserError(f"{path}: OpenCV cannot use it to find faces; {expected}") from error
    return Detector(path, functools.partial(_find, network, threading.Lock()), _CROP)


def _find(network: Any, lock: threading.Lock, picture: Image.Image) -> list[Box]:
    pixels, scale = shrunk(picture, "RGB", _LONGEST_SIDE)
    least = smallest_face(scale, _SMALLEST_SEARCHED)
    blue_first = np.ascontiguousarray(pixels[..., ::-1])
    with lock:  # the network has state
        network.setInputSize(pixels.shape[1::-1])
        _, found = network.detect(blue_first)
    rows = [] if found is None else found
    return [scaled(row[:4], scale) for row in rows if max(row[2:4]) >= least]
