"""Draw the pictures of ``eval/``: confusion matrix and reliability diagram."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_jax.data.kaggle import PREFIX
from fer_jax.evaluate.calibration import Bins, expected_calibration_error
from fer_jax.runtime.figures import BLUE, save_figure, subplots


def run_title(workdir: Path, dataset: str) -> str:
    """Name a run and its data in the title of a picture: ``runs/cnn, fer2013.csv``."""
    data = dataset if dataset.startswith(PREFIX) else Path(dataset).name
    data = "built-in faces" if dataset == "synthetic" else data
    return f"{'/'.join(workdir.resolve().parts[-2:])}, {data}"


def save_confusion_matrix(
    path: str | os.PathLike, confusion: np.ndarray, labels: Sequence[str], *, title: str
) -> None:
    """Draw counts and row percentages of ``confusion``, int (K, K), rows true, columns predicted.

    With more than 15 classes the cells have only colours: numbers would be too small to read.
    """
    count = len(labels)
    size = max(7.5, 0.85 * min(count, 15) + 1.5, 0.25 * count + 2)
    figure, axis = subplots(figsize=(size, size - 1))
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    picture = axis.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(confusion.shape) if count <= 15 else ():
        text = f"{confusion[row, column]:,}\n{shares[row, column]:.0%}"
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    slanted = {"rotation": 30} if count <= 8 else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(count), labels, **slanted)
    axis.set_yticks(range(count), labels)
    axis.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(picture, label="% of the true class", shrink=0.8)
    save_figure(figure, path)


def save_reliability(path: str | os.PathLike, bins: Bins, *, title: str) -> None:
    """Draw accuracy over confidence (a reliability diagram), and below it the faces by confidence."""
    figure, (upper, lower) = subplots(2, 1, figsize=(5.5, 6.5), height_ratios=(3, 1), sharex=True)
    count, confidence, correct = (np.asarray(part) for part in bins)
    centres = (np.arange(len(count)) + 0.5) / len(count)
    filled = count > 0
    means = [100 * part[filled] / count[filled] for part in (confidence, correct)]
    upper.plot([0, 100], [0, 100], color="black", linestyle="--", linewidth=1, label="perfectly calibrated")
    label = f"expected calibration error {expected_calibration_error(bins):.1%}"
    upper.plot(*means, color=BLUE, marker="o", label=label)
    upper.set(ylabel="accuracy (%)", xlim=(0, 100), ylim=(0, 100), title=title)
    upper.grid(alpha=0.3)
    upper.legend(loc="upper left")
    lower.bar(100 * centres, count, width=90 / len(count), color=BLUE)
    lower.set(xlabel="confidence: the largest probability (%)", ylabel="faces")
    save_figure(figure, path)
