"""OpenCV, imported on first use: faces of 48 x 48 do not need it."""

from typing import Any

from fer_jax.errors import UserError

INSTALL = "pip install -r requirements-photos.txt"
REINSTALL = "pip install --force-reinstall -r requirements-photos.txt"


def import_opencv() -> Any:
    """Import cv2. Raises UserError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UserError(f"finding faces needs OpenCV: {INSTALL}") from error
    return cv2
