"""``--mode=predict``: write the labels of the faces in a CSV file, a picture or a folder of pictures."""

import contextlib
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.checkpoints import digests
from fer_jax.checkpoints.choose import choose_all, views_of_photos
from fer_jax.classifier import Classifier
from fer_jax.data.find_pictures import Found
from fer_jax.data.kinds import SUFFIXES
from fer_jax.data.load import find_input
from fer_jax.errors import UserError
from fer_jax.predict.faces import predict_csv
from fer_jax.predict.photos import predict_photos
from fer_jax.runtime.command import Command
from fer_jax.runtime.files import is_standard_output, is_stream, os_reason

_NO_TABLE = (*SUFFIXES, ".mp4", ".mov", ".avi", ".pdf", ".xlsx", ".xls", ".ods", ".json", ".parquet", ".npz")
_NO_TABLE += (".gz", ".xz", ".zip")
"""Ends of names that promise something different from a CSV file."""


def run(command: Command) -> None:
    """Write ``id,label`` for every face of the input to the output.

    Add ``x,y,width,height`` for faces found in photos: see ``photos.predict_photos``. If the workdir holds
    runs of several seeds, average their probabilities. Where the rows go to standard output, messages go to
    standard error. A command that was stopped goes on where it ended: see ``rows.appended_rows``.

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
    found = find_input(source)
    if found and output.exists() and any(output.samefile(path) for path in found.paths if path.exists()):
        raise _reads(output, source)
    classifiers = choose_all(command)
    networks = [
        (c.on_device(), views_of_photos(c.config, command.overrides) if found else c.config["views"])
        for c in classifiers
    ]

    def predict(images: np.ndarray) -> np.ndarray:
        return np.mean([classifier.predict(images, views=views) for classifier, views in networks], axis=0)

    finding = {"detector": command.config["detector"], "whole": command.config["faces"] == "whole"}
    options = {
        "labels": classifiers[0].labels,
        "with_probabilities": command.probabilities,
        "key": _key(source, found, networks, [command.probabilities, finding]),
    }
    if found:
        predict_photos(source, predict, output, found=found, **finding, **options)
    else:
        classes = classifiers[0].config.get("classes", "")
        predict_csv(source, predict, output, classes=classes, **options)


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
    source: str, found: Found | None, networks: Sequence[tuple[Classifier, str]], options: list[Any]
) -> str | None:
    """A digest of all that the rows depend on; None for an input that cannot be read twice, as a pipe."""
    paths = found.paths if found else [Path(source)]
    files = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            files.append([str(path)])
            continue
        if not stat.S_ISREG(status.st_mode) and not found:
            return None
        files.append([str(path), status.st_size, status.st_mtime_ns, status.st_ino])
    weights = [
        [digests.content(c.weights[:2]), c.weights.temperature(views), views, digests.text(c.config)]
        for c, views in networks
    ]
    return digests.text([os.path.abspath(source), files, weights, options])
