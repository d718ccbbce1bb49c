"""Draw and save pictures. Matplotlib is imported when one is drawn, so that nothing else waits for it."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.runtime.files import replacing
from fer_jax.runtime.marks import MARK

# From Okabe and Ito's "Color Universal Design" (2008), which colour-blind people can tell apart too.
ORANGE, BLUE = "#E69F00", "#0072B2"
_CLASS_COLOURS = ("#D55E00", "#009E73", "#CC79A7", ORANGE, BLUE, "#56B4E9", "#808080", "#F0E442")


def class_colour(label: int) -> str:
    """The colour of a class wherever several are drawn; it comes again after eight."""
    return _CLASS_COLOURS[label % len(_CLASS_COLOURS)]


def subplots(*grid: int, figsize: tuple[float, float], **options: Any):
    """Make a figure of ``figsize`` inches, and its axes by ``Figure.subplots(*grid, **options)``."""
    # The object interface: pyplot would keep state, and may look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained")
    return figure, figure.subplots(*grid, **options)


def save_figure(figure: Any, path: str | os.PathLike) -> None:
    """Write a PNG, atomically."""
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": MARK})


def save_contact_sheet(path: str | os.PathLike, images: np.ndarray, *, columns: int) -> None:
    """Write a PNG of faces in a grid, row by row, at twice their size.

    ``images``: uint8 or float (N, 48, 48, 1), grey levels.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    images = np.clip(np.round(images[..., 0]), 0, 255).astype(np.uint8)
    cell = images.shape[1] + 2
    sheet = np.full((-(-len(images) // columns) * cell, columns * cell), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * cell + 1, number % columns * cell + 1
        sheet[top : top + cell - 2, left : left + cell - 2] = image
    picture = Image.fromarray(sheet)
    picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST)
    mark = PngInfo()
    mark.add_text("Software", MARK)
    with replacing(Path(path)) as temporary:
        picture.save(temporary, format="png", pnginfo=mark)
