"""Detectors of faces behind one interface: ``make_detector(name).find(picture)``."""

import functools

from fer_jax.data.detectors import haar
from fer_jax.data.detectors.boxes import Box, Crop, Detector, crop_box
from fer_jax.data.detectors.opencv import import_opencv
from fer_jax.errors import UserError

__all__ = ["Box", "Crop", "Detector", "crop_box", "make_detector"]


def make_detector(name: str = "") -> Detector:
    """Make the detector of a name, or the best that is installed if it is empty; made once, then kept.

    Raises UserError if the name is unknown, or what the detector needs is not installed.
    """
    import_opencv()
    return _make(name)


@functools.cache
def _make(name: str) -> Detector:
    if name in ("", "haar"):
        return haar.make_haar()
    raise UserError(f"config.detector is {name!r}; expected haar, or nothing for the best that is installed")
