"""``--mode=predict``: write the labels of faces in a CSV file, in pictures, in videos, before a camera."""

import contextlib
import functools
import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.checkpoints import digests
from fer_jax.checkpoints.choose import choose_all, propose_for_photos, views_of_photos
from fer_jax.classifier import Classifier
from fer_jax.data.detectors import make_detector
from fer_jax.data.find_pictures import Found, describe
from fer_jax.data.inputs import find_input
from fer_jax.data.kinds import SUFFIXES, VIDEO_SUFFIXES
from fer_jax.data.photos import faces_of
from fer_jax.errors import UserError
from fer_jax.predict.faces import predict_csv
from fer_jax.predict.photos import predict_photos, raise_for_closed
from fer_jax.predict.rows import name_with
from fer_jax.predict.video import predict_camera, predict_videos
from fer_jax.predict.watch import Settings
from fer_jax.runtime.command import Command
from fer_jax.runtime.files import is_standard_output, is_stream, os_reason
from fer_jax.runtime.words import number_of

_NO_TABLE = (*SUFFIXES, *VIDEO_SUFFIXES, ".pdf", ".xlsx", ".xls", ".ods", ".json", ".parquet", ".npz")
_NO_TABLE += (".gz", ".xz", ".zip")
"""Ends of names that promise something different from a CSV file."""

_CAMERA = re.compile(r"camera:(\d{1,4})")


def run(command: Command) -> None:
    """Write ``id,label`` for every face of the input to the output.

    Add ``x,y,width,height`` for faces found in photos: see ``photos.predict_photos``. Videos and a camera
    have rows of their own: see ``video.predict_videos``. If the workdir holds runs of several seeds, average
    their probabilities. Where the rows go to standard output, messages go to standard error. A command that
    was stopped goes on where it ended: see ``rows.appended_rows``.

    Raises:
      UserError: no checkpoint, no input or output, or bad input.
    """
    if command.input is None or command.output is None:
        raise UserError("--mode=predict needs --input=PATH and --output=OUT.csv")
    output = Path(command.output)
    messages = sys.stderr if is_standard_output(output) else sys.stdout
    with contextlib.redirect_stdout(messages):
        _predict(command, command.input, output)


def _predict(command: Command, source: str, output: Path) -> None:
    _check_output(command.output, source)
    camera = None if os.path.exists(source) else _CAMERA.fullmatch(source)
    found = None if camera else find_input(source, videos=True)
    inputs = [*found.paths, *found.videos()] if found else []
    if output.exists() and any(output.samefile(path) for path in inputs if path.exists()):
        raise _reads(output, source)
    networks = _networks(command, pictures=bool(found or camera))
    labels = networks[0][0].labels

    def predict(images: np.ndarray) -> np.ndarray:
        return np.mean([classifier.predict(images, views=views) for classifier, views in networks], axis=0)

    finding = {"detector": command.config["detector"], "whole": command.config["faces"] == "whole"}
    fields = [command.probabilities, finding, command.config["video"]]
    key = _key(source, inputs if found else None, networks, fields)
    options = {"labels": labels, "with_probabilities": command.probabilities}
    settings = Settings(predict, functools.partial(faces_of, **finding), **command.config["video"], **options)
    if camera or (found and found.videos()):
        make_detector(finding["detector"])  # what it lacks is not said of each video
    if camera:
        predict_camera(int(camera[1]), settings, output)
    elif found is None:
        classes = networks[0][0].config.get("classes", "")
        predict_csv(source, predict, output, key=key, classes=classes, **options)
    else:
        photos = functools.partial(
            predict_photos, source, predict, found=found, key=key, **finding, **options
        )
        _predict_found(
            source, found, output, photos, functools.partial(predict_videos, settings=settings, key=key)
        )


def _networks(command: Command, *, pictures: bool) -> list[tuple[Classifier, str]]:
    """The networks to average, each with its test-time views."""
    classifiers = choose_all(command)
    if pictures:
        propose_for_photos(command)
    return [
        (c.on_device(), views_of_photos(c.config, command.overrides) if pictures else c.config["views"])
        for c in classifiers
    ]


def _predict_found(
    source: str, found: Found, output: Path, photos: Callable[..., None], videos: Callable[..., None]
) -> None:
    """Predict pictures, videos, or both: to two tables then, since their rows have other columns.

    ``photos`` and ``videos`` are the functions that do it. Raises UserError, of both at the end.
    """
    if not found.videos():
        photos(output=output)
        return
    if not found.paths:
        for line in describe(found.without_videos()):
            print(f"left out: {line}")
        videos(source, found.videos(), output=output)
        raise_for_closed(source, found, output)
        return
    errors = []
    try:
        photos(output=output, with_videos=True)
    except UserError as error:
        errors.append(str(error))
    if is_stream(output):
        count = number_of(len(found.videos()), "video")
        print(f"left out: {count}, whose rows have other columns: give --output the name of a file for both")
    else:
        table = output.with_name(name_with(output.stem, f"_videos{output.suffix}"))
        try:
            videos(source, found.videos(), output=table, beside=output)
        except UserError as error:
            errors.append(str(error))
    if errors:
        raise UserError("; ".join(errors))


def _check_output(given: str, source: str) -> None:
    """Raise UserError if the output is no place for a table, or cannot be written."""
    output = Path(given)
    if is_stream(output):
        return
    if output.is_dir() or given.endswith(("/", os.sep)):
        raise UserError(
            f"--output={given}: is a folder; a CSV file to write was expected, as {output / 'out.csv'}"
        )
    if given.lower().endswith(_NO_TABLE):
        suffix, name = output.suffix, output.with_suffix(".csv")
        raise UserError(
            f"--output={given}: a CSV file is written, and {suffix} promises something different; "
            f"give it another name, as {name}"
        )
    if output.exists() and os.path.exists(source) and output.samefile(source):
        raise _reads(output, source)
    try:
        place = next(parent for parent in Path(os.path.realpath(output)).parents if parent.exists())
        if not place.is_dir():
            raise UserError(f"--output={given}: {place} is a file; a folder to write in was expected")
    except OSError as error:
        raise UserError(f"--output={given}: {os_reason(error)}; a place to write to was expected") from error
    if not os.access(place, os.W_OK):
        raise UserError(f"--output={given}: {place}/ cannot be written to; give --output another place")


def _reads(output: Path, source: str) -> UserError:
    return UserError(f"--output={output}: is a file that --input={source} reads; give it another name")


def _key(
    source: str,
    inputs: Sequence[Path] | None,
    networks: Sequence[tuple[Classifier, str]],
    options: list[Any],
) -> str | None:
    """A digest of all that the rows depend on; None for an input that cannot be read twice, as a pipe.

    ``inputs`` are the pictures and videos; None if the source itself is read.
    """
    files = []
    for path in [Path(source)] if inputs is None else inputs:
        try:
            status = path.stat()
        except OSError:
            files.append([str(path)])
            continue
        if not stat.S_ISREG(status.st_mode) and inputs is None:
            return None
        files.append([str(path), status.st_size, status.st_mtime_ns, status.st_ino])
    weights = [
        [digests.content(c.weights[:2]), c.weights.temperature(views), views, digests.text(c.config)]
        for c, views in networks
    ]
    return digests.text([os.path.abspath(source), files, weights, options])
