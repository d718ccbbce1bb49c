"""The picture of a video's faces over time: a panel for each, a line for each class."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_jax.runtime.figures import class_colour, save_figure, subplots
from fer_jax.runtime.progress import duration

_POINTS = 1000
"""Of a face, kept at most: the picture is as many pixels wide. Beyond that every second one is dropped."""
_FACES, _PANELS, _LINES = 32, 8, 8
"""Most faces kept, faces drawn, and classes drawn: more are no longer legible."""
_LASTING = 3
"""Frames: what is seen in fewer is seldom a face, and gets no panel while others have one."""
_STYLES = ("-", "--", ":", "-.")


class Curve(NamedTuple):
    """The probabilities of one face, thinned.

    Attributes:
      times: in seconds, N of them.
      rows: the probabilities then, N arrays (classes,).
      first, last: when it was seen.
      every: one of so many sightings is kept.
      sightings: how many there were.
    """

    times: list[float]
    rows: list[np.ndarray]
    first: float
    last: float
    every: int = 1
    sightings: int = 0


Curves = dict[int, Curve]
"""Number of a face -> its curve."""


def with_sightings(
    curves: Curves, numbers: Sequence[int], probabilities: np.ndarray, time: float, *, longest_gap: float
) -> Curves:
    """The curves with the faces of one more frame.

    Takes up a bounded space however long the video: of each face at most 1,000 points, of all faces those in
    the frame and the 32 that were seen longest. The lists of ``curves`` are changed.

    Args:
      curves: of the frames before.
      numbers: of the N faces in the frame.
      probabilities: float (N, classes).
      time: of the frame in seconds.
      longest_gap: after so many seconds without the face its lines are broken.
    """
    curves = dict(curves)
    for number, row in zip(numbers, probabilities, strict=True):
        curve = curves.get(number) or Curve([], [], time, time)
        if time - curve.last > longest_gap:
            curve.times.append(time)
            curve.rows.append(np.full(len(row), np.nan, np.float32))
        if curve.sightings % curve.every == 0:
            curve.times.append(time)
            curve.rows.append(row.astype(np.float32))
        curve = curve._replace(last=time, sightings=curve.sightings + 1)
        if len(curve.times) > _POINTS:
            curve = curve._replace(times=curve.times[::2], rows=curve.rows[::2], every=2 * curve.every)
        curves[number] = curve
    if len(curves) > 2 * _FACES:
        kept = {*longest(curves, _FACES), *numbers}
        curves = {number: curve for number, curve in curves.items() if number in kept}
    return curves


def longest(curves: Curves, most: int) -> list[int]:
    """The numbers of the faces that were seen over the longest time, in order, at most ``most``."""
    by_length = sorted(curves, key=lambda n: (curves[n].first - curves[n].last, n))
    return sorted(by_length[:most])


def save_timeline(path: Path, curves: Curves, labels: Sequence[str], *, title: str, faces: int) -> None:
    """Write a PNG with a panel for each face, the eight that were seen longest.

    Of more than eight classes, those with the highest mean probability are drawn.

    Args:
      path: the file.
      curves: by ``with_sightings``; at least one.
      labels: names of the classes.
      title: above the panels.
      faces: how many there were in the video.
    """
    lasting = {number: curve for number, curve in curves.items() if curve.sightings >= _LASTING}
    shown = longest(lasting or curves, _PANELS)
    mean = np.mean([np.nanmean(curves[number].rows, axis=0) for number in shown], axis=0)
    classes = sorted(np.argsort(-mean, kind="stable")[:_LINES].tolist())
    figure, axes = subplots(
        len(shown), 1, figsize=(10, 1.2 + 1.5 * len(shown)), sharex=True, sharey=True, squeeze=False
    )
    for axis, number in zip(axes[:, 0], shown, strict=True):
        _draw_panel(axis, curves[number], classes, labels)
        span = f"{_clock(curves[number].first)} to {_clock(curves[number].last)}"
        axis.set_title(f"face {number}, {span}", loc="left", fontsize=10)
    first, last = min(curves[n].first for n in shown), max(curves[n].last for n in shown)
    axes[0, 0].set_xlim(first, max(last, first + 0.1))
    axes[0, 0].set_ylim(0, 1)
    axes[-1, 0].xaxis.set_major_formatter(lambda seconds, _: _clock(seconds))
    axes[-1, 0].set_xlabel("time")
    figure.supylabel("probability", fontsize=10)
    more = f"; the {len(shown)} of {faces:,} faces that were seen longest" if faces > len(shown) else ""
    figure.suptitle(_plain(title) + more, fontsize=11)
    lines, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(classes), frameon=False, fontsize=10)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of names in other scripts
        save_figure(figure, path)


def _plain(text: str) -> str:
    """The text as it is: Matplotlib takes dollars for formulas."""
    return text.replace("$", r"\$")


def _draw_panel(axis, curve: Curve, classes: Sequence[int], labels: Sequence[str]) -> None:
    rows = np.array(curve.rows)
    for label in classes:
        axis.plot(
            curve.times,
            rows[:, label],
            color=class_colour(label),
            linestyle=_STYLES[label // 8 % len(_STYLES)],
            linewidth=1.6,
            marker="." if len(rows) == 1 else None,
            label=_plain(labels[label]),
        )
    axis.grid(alpha=0.3)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _clock(seconds: float) -> str:
    """The seconds for people: ``4.2 s`` below a minute, then ``1:04 min``."""
    return f"{seconds:.3g} s" if seconds < 59.5 else duration(seconds)
