"""AffectNet as its authors give it: numbered pictures, and an array with the label of each
(Mollahosseini, Hasani and Mahoor, 2019).
"""

import os
from pathlib import Path

import numpy as np

from fer_jax.data.class_names import NUMBERINGS
from fer_jax.data.compressed import DAMAGED_ARRAYS
from fer_jax.data.find_pictures import is_hidden
from fer_jax.data.kinds import SUFFIXES
from fer_jax.data.layouts.names import subfolders
from fer_jax.data.layouts.samples import Found, Options, Sample
from fer_jax.data.parts import part_of
from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line, os_reason
from fer_jax.runtime.progress import counted
from fer_jax.runtime.words import number_of, some

_NO_EXPRESSION = (8, 9, 10)
"""None, uncertain, no face."""


def recognizes(folder: Path) -> bool:
    """Whether ``train_set/`` or another split has ``images/`` and ``annotations/``."""
    return bool(_splits(folder))


def _splits(folder: Path) -> list[tuple[str, Path]]:
    pairs = ((part_of(path.name), path) for path in subfolders(folder))
    return [
        (p, path) for p, path in pairs if p and all((path / n).is_dir() for n in ("images", "annotations"))
    ]


def read(root: Path, options: Options) -> Found:
    """List the pictures of each split with the labels in ``annotations/NAME_exp.npy``.

    Pictures without an annotation, and those annotated as no expression, are left out and counted.

    Raises UserError if an annotation is no number, or no number of AffectNet.
    """
    samples, notes = {}, []
    for part, folder in _splits(root):
        unlabelled, without, broken = 0, 0, []
        for name in counted(_pictures(folder / "images"), unit="label"):
            path = folder / "annotations" / f"{Path(name).stem}_exp.npy"
            try:
                number = _label_in(path)
            except FileNotFoundError:
                unlabelled += 1
                continue
            except UserError as error:
                if not options.skip_broken:
                    raise UserError(f"{error}; to leave such out: --config.skip_broken=True") from error
                broken.append(str(path))
                continue
            if number in _NO_EXPRESSION:
                without += 1
                continue
            sample = Sample(NUMBERINGS["affectnet"][number], folder / "images" / name)
            samples.setdefault(part, []).append(sample)
        reasons = {
            f"without a label in {folder}/annotations": unlabelled,
            f"of {folder} that are labelled as no expression": without,
            f"whose labels cannot be read: {some(broken)}": len(broken),
        }
        notes += [f"left out: {number_of(n, 'picture')} {reason}" for reason, n in reasons.items() if n]
    return Found("AffectNet folders", samples, tuple(notes))


def _pictures(folder: Path) -> list[str]:
    """The names of the pictures in a folder, sorted as numbers are."""
    try:
        names = [
            name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES) and not is_hidden(name)
        ]
    except OSError as error:
        raise UserError(f"{folder}: {os_reason(error)}; a readable folder was expected") from error
    return sorted(names, key=lambda name: (len(name), name))


def _label_in(path: Path) -> int:
    """The number in an array of one element, itself a number or its digits.

    Raises UserError, and FileNotFoundError.
    """
    try:
        value = int(np.load(path, allow_pickle=False).item())
    except FileNotFoundError:
        raise
    except DAMAGED_ARRAYS as error:
        raise UserError(f"{path}: {one_line(error)}; an array with one number was expected") from error
    if value not in NUMBERINGS["affectnet"] and value not in _NO_EXPRESSION:
        raise UserError(f"{path}: {value} is no label; 0 to 7 were expected, or 8 to 10 for no expression")
    return value
