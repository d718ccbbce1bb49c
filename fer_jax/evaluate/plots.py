"""Pictures of a run. Matplotlib is imported when one is drawn, so that nothing else waits for it."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.data.compressed import replacing
from fer_jax.evaluate.calibration import Bins, expected_calibration_error
from fer_jax.labels import LABELS

# Okabe and Ito's colours ("Color Universal Design", 2008), told apart by colour-blind people too.
_TRAINING, _VALIDATION = "#E69F00", "#0072B2"


def save_curves(path: str | os.PathLike, rows: list[dict[str, Any]]) -> None:
    """Loss and accuracy over the epochs, training and validation, from the rows of metrics.jsonl."""
    figure, axes = subplots(1, 2, figsize=(10, 4))
    epochs = [row["epoch"] for row in rows]
    for axis, name, scale in zip(axes, ("loss", "accuracy"), (1, 100), strict=True):
        for part, label, colour in (("train", "training", _TRAINING), ("val", "validation", _VALIDATION)):
            values = [scale * row[f"{part}_{name}"] for row in rows]
            axis.plot(epochs, values, color=colour, label=label, marker="o", markersize=3)
        axis.set_xlabel("epoch")
        axis.set_ylabel(name if scale == 1 else f"{name} (%)")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    save_figure(figure, path)


def save_confusion_matrix(path: str | os.PathLike, confusion: np.ndarray, *, title: str) -> None:
    """Counts and row percentages of ``confusion``, int (7, 7), rows true, columns predicted."""
    figure, axis = subplots(figsize=(7.5, 6.5))
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    picture = axis.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(confusion.shape):
        share = shares[row, column]
        axis.text(
            column,
            row,
            f"{confusion[row, column]:,}\n{share:.0%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
            fontsize=9,
        )
    axis.set_xticks(range(len(LABELS)), LABELS, rotation=30)
    axis.set_yticks(range(len(LABELS)), LABELS)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(title)
    figure.colorbar(picture, label="% of the true class", shrink=0.8)
    save_figure(figure, path)


def save_reliability(path: str | os.PathLike, bins: Bins, *, title: str) -> None:
    """Reliability diagram: accuracy over confidence, and below it how many faces had that confidence."""
    figure, (upper, lower) = subplots(2, 1, figsize=(5.5, 6.5), height_ratios=(3, 1), sharex=True)
    count, confidence, correct = (np.asarray(part) for part in bins)
    centres = (np.arange(len(count)) + 0.5) / len(count)
    filled = count > 0
    upper.plot([0, 100], [0, 100], color="black", linestyle="--", linewidth=1, label="perfectly calibrated")
    upper.plot(
        100 * confidence[filled] / count[filled],
        100 * correct[filled] / count[filled],
        color=_VALIDATION,
        marker="o",
        label=f"expected calibration error {expected_calibration_error(bins):.1%}",
    )
    upper.set(ylabel="accuracy (%)", xlim=(0, 100), ylim=(0, 100), title=title)
    upper.grid(alpha=0.3)
    upper.legend(loc="upper left")
    lower.bar(100 * centres, count, width=90 / len(count), color=_VALIDATION)
    lower.set(xlabel="confidence: the largest probability (%)", ylabel="faces")
    save_figure(figure, path)


def save_contact_sheet(path: str | os.PathLike, images: np.ndarray, *, columns: int, scale: int = 2) -> None:
    """Faces in a grid, row by row. ``images``: uint8 or float (N, 48, 48, 1), grey levels."""
    from PIL import Image

    images = np.clip(np.round(images[..., 0]), 0, 255).astype(np.uint8)
    side = images.shape[1] + 2
    rows = -(-len(images) // columns)
    sheet = np.full((rows * side, columns * side), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * side + 1, number % columns * side + 1
        sheet[top : top + side - 2, left : left + side - 2] = image
    picture = Image.fromarray(sheet)
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    with replacing(Path(path)) as temporary:
        picture.save(temporary, format="png")


def subplots(*grid: int, figsize: tuple[float, float], **options: Any):
    """A figure of ``figsize`` inches, and its axes; ``options`` are those of ``Figure.subplots``."""
    # The object interface: pyplot would keep state, and may look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained")
    return figure, figure.subplots(*grid, **options)


def save_figure(figure: Any, path: str | os.PathLike) -> None:
    """Writes a PNG, atomically."""
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
