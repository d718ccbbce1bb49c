"""Draw the sheets of ``--mode=explain``, PNG files, in colours that colour-blind people can read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_jax.runtime.figures import save_figure, subplots

_GREYS = {"cmap": "gray", "vmin": 0, "vmax": 255}
_HEAT, _SIGNED = "cividis", "PuOr_r"

GRADIENT, SMOOTH_GRAD, GRAD_CAM, MASKED = "gradient x input", "SmoothGrad", "Grad-CAM", "masked face"
"""Titles of the maps that ``save_saliency`` draws in different ways."""


def save_saliency(
    path: Path, faces: np.ndarray, names: Sequence[str], maps: Mapping[str, np.ndarray]
) -> None:
    """Draw one row for each face and one column for each kind of map.

    Args:
      path: of the PNG.
      faces: grey levels (N, 48, 48).
      names: captions of the faces, one or two lines each.
      maps: title -> (N, 48, 48): signed values (``GRADIENT``), values from 0 to 1 to lay over the face
        (``GRAD_CAM``), grey levels (``MASKED``), otherwise values from 0 up.
    """
    columns = 1 + len(maps)
    figure, axes = subplots(len(faces), columns, figsize=(1.7 * columns + 1, 1.7 * len(faces)), squeeze=False)
    for row, (face, name) in enumerate(zip(faces, names, strict=True)):
        axes[row, 0].imshow(face, **_GREYS)
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
        for axis, (title, values) in zip(axes[row, 1:], maps.items(), strict=True):
            _draw_map(axis, title, values[row], face)
    keys = {GRADIENT: "orange for, purple against", GRAD_CAM: "yellow for"}
    for axis, title in zip(axes[0], ["face", *maps], strict=True):
        axis.set_title(f"{title}\n{keys.get(title, '')}", fontsize=10)
    _finish(figure, axes, path, "What the predicted class depends on")


def _draw_map(axis, title: str, values: np.ndarray, face: np.ndarray) -> None:
    if title == GRADIENT:
        # The limit is no maximum: a few extreme pixels would make all others pale.
        limit = max(np.quantile(np.abs(values), 0.99), 1e-12)
        axis.imshow(values, cmap=_SIGNED, vmin=-limit, vmax=limit)
    elif title == GRAD_CAM:
        axis.imshow(face, **_GREYS)
        axis.imshow(values, cmap=_HEAT, vmin=0, vmax=1, alpha=0.55)
    elif title == MASKED:
        axis.imshow(values, **_GREYS)
    else:
        axis.imshow(values, cmap=_HEAT, vmin=0, vmax=max(np.quantile(values, 0.995), 1e-12))


def save_filters(path: Path, kernels: np.ndarray, ascents: Mapping[str, np.ndarray]) -> None:
    """Draw first-layer kernels (K, H, W), and below them images (16, 48, 48) for filters of each layer."""
    kernel_rows = -(-len(kernels) // 16)
    heights = [max(kernel_rows, 1), *([2.2] * len(ascents))]
    size = (11, 0.85 * sum(heights) + 1)
    figure, axes = subplots(len(heights), 1, figsize=size, height_ratios=heights, squeeze=False)
    limit = np.abs(kernels).max()
    axes[0, 0].imshow(_grid(kernels, columns=16, fill=np.nan), cmap=_SIGNED, vmin=-limit, vmax=limit)
    title = f"first layer: {len(kernels)} kernels of {'x'.join(map(str, kernels.shape[1:]))}"
    axes[0, 0].set_title(f"{title}, orange above 0, purple below", fontsize=11)
    for axis, (layer, images) in zip(axes[1:, 0], ascents.items(), strict=True):
        axis.imshow(_grid(_stretched(images), columns=8, fill=255), **_GREYS)
        axis.set_title(f"{layer}: what excites {len(images)} of its filters most", fontsize=11)
    _finish(figure, axes, path, "What the filters look for")


def save_expressions(path: Path, images: np.ndarray, names: Sequence[str]) -> None:
    """Draw the images (K, 48, 48) that excite each class most, eight in a row."""
    rows, columns = -(-len(images) // 8), min(8, len(images))
    figure, axes = subplots(rows, columns, figsize=(1.8 * columns, 2.1 * rows + 0.5), squeeze=False)
    for axis in axes.flat[len(images) :]:
        axis.axis("off")
    for axis, image, name in zip(axes.flat, _stretched(images), names, strict=False):
        axis.imshow(image, **_GREYS)
        axis.set_title(name, fontsize=10)
    _finish(figure, axes, path, "What excites a class most")


def save_errors(path: Path, faces: np.ndarray, names: Sequence[str]) -> None:
    """Draw wrongly predicted faces (N, 48, 48), seven in a row, each with its caption below."""
    rows = -(-len(faces) // 7)
    figure, axes = subplots(rows, 7, figsize=(13, 2.25 * rows + 0.5), squeeze=False)
    for axis in axes.flat[len(faces) :]:
        axis.axis("off")
    for axis, face, name in zip(axes.flat, faces, names, strict=False):
        axis.imshow(face, **_GREYS)
        axis.set_xlabel(name, fontsize=8.5)
    _finish(figure, axes, path, "The most confident mistakes")


def _stretched(images: np.ndarray) -> np.ndarray:
    """Stretch the contrast of each image (K, 48, 48) to the full range, except its extreme hundredths."""
    low, high = np.quantile(images, (0.01, 0.99), axis=(1, 2), keepdims=True)
    return np.clip(255 * (images - low) / np.maximum(high - low, 1e-6), 0, 255)


def _grid(images: np.ndarray, *, columns: int, fill: float) -> np.ndarray:
    """Put images (K, H, W) side by side, with a gap of one or two pixels."""
    count, height, width = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    gap = 1 if height < 16 else 2
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), fill, np.float32)
    for number, image in enumerate(images):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _finish(figure, axes: np.ndarray, path: Path, title: str) -> None:
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        for side in axis.spines.values():
            side.set_visible(False)
    figure.suptitle(title, fontsize=13)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
