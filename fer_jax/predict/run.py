"""``--mode=predict``: write the labels of the faces in a CSV file, a picture or a folder of pictures."""

from pathlib import Path

import numpy as np

from fer_jax.checkpoints.choose import choose_all, views_in_pictures
from fer_jax.data.load import is_pictures, load_unlabelled
from fer_jax.data.read_pictures import picture_paths
from fer_jax.errors import UserError
from fer_jax.predict.photos import predict_photos
from fer_jax.predict.table import predictions_table
from fer_jax.runtime.command import Command
from fer_jax.runtime.files import write_text


def run(command: Command) -> None:
    """Write ``id,label`` for every face of the input to the output, atomically.

    Add ``x,y,width,height`` for faces found in photos: see ``photos.predict_photos``. If the workdir holds
    runs of several seeds, average their probabilities.

    Raises:
      UserError: no checkpoint, no input or output, or bad input.
    """
    source, output = _check_paths(command)
    pictures = is_pictures(source)
    networks = [
        (c, views_in_pictures(c.config, command.overrides) if pictures else c.config["views"])
        for c in choose_all(command)
    ]

    def predict(images: np.ndarray) -> np.ndarray:
        return np.mean([classifier.predict(images, views=views) for classifier, views in networks], axis=0)

    if pictures:
        predict_photos(source, predict, output, with_probabilities=command.probabilities)
        return
    faces = load_unlabelled(source)
    table = predictions_table(faces.ids, predict(faces.images), with_probabilities=command.probabilities)
    write_text(output, table)
    print(f"written: {output}, {len(faces):,} rows")


def _check_paths(command: Command) -> tuple[str, Path]:
    """Return input and output. Raise UserError if one is not given or the output cannot be written."""
    if command.input is None or command.output is None:
        raise UserError("--mode=predict needs --input=PATH and --output=OUT.csv")
    source, output = Path(command.input), Path(command.output)
    if output.is_dir():
        raise UserError(f"--output={output}: is a folder; a CSV file to write was expected")
    if output.exists() and source.exists():
        read = picture_paths(source) if source.is_dir() else [source]
        if any(output.samefile(path) for path in read):
            raise UserError(f"--output={output}: is a file that --input={source} reads; give it another name")
    return command.input, output
