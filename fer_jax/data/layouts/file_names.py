"""Data sets whose pictures have the expression in their names: JAFFE (Lyons et al., 1998), KDEF (Lundqvist et
al., 1998).
"""

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fer_jax.data.find_pictures import find_pictures, is_hidden
from fer_jax.data.kinds import SUFFIXES
from fer_jax.data.layouts.names import is_known, subfolders
from fer_jax.data.layouts.samples import Found, Options, Sample
from fer_jax.data.parts import part_of
from fer_jax.runtime.words import number_of, some

_CODES = {
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "AF": "fear",
    "HA": "happy",
    "SA": "sad",
    "SU": "surprise",
    "NE": "neutral",
}
_JAFFE = re.compile(r"[A-Z]{2}\.(AN|DI|FE|HA|SA|SU|NE)\d+\.\d+\.\w+", re.IGNORECASE)
_KDEF = re.compile(r"[AB][FM]\d{2}(AN|DI|AF|HA|SA|SU|NE)(?:FL|HL|S|HR|FR)\.\w+", re.IGNORECASE)
_LOOKED_AT = 40
"""Pictures by which a folder is recognized."""


class _Set(NamedTuple):
    kind: str
    pattern: re.Pattern


_SETS = (_Set("JAFFE pictures", _JAFFE), _Set("KDEF pictures", _KDEF))


def recognizes(folder: Path) -> bool:
    """Whether most names of pictures, in ``folder`` or a folder in it, are as in one of the sets."""
    return _set_in(folder) is not None


def _set_in(folder: Path) -> _Set | None:
    if any(is_known(path.name) or part_of(path.name) for path in subfolders(folder)):
        return None
    names = list(itertools.islice(_names(folder), _LOOKED_AT))
    for one in _SETS:
        if names and sum(bool(one.pattern.fullmatch(name)) for name in names) > len(names) / 2:
            return one
    return None


def _names(folder: Path) -> Iterator[str]:
    """Names of pictures in a folder and in those in it."""
    for path in (folder, *subfolders(folder)):
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if not is_hidden(entry.name) and entry.name.lower().endswith(SUFFIXES):
                        yield entry.name
        except OSError:
            continue


def read(root: Path, options: Options) -> Found:
    """List the pictures at any depth by their names; others are left out, counted and named."""
    kind, pattern = _set_in(root)
    found = find_pictures(root)
    samples, unnamed = [], []
    for path in found.paths:
        if match := pattern.fullmatch(path.name):
            samples.append(Sample(_CODES[match[1].upper()], path))
        else:
            unnamed.append(str(path))
    notes = ["the same people are in training and validation, so accuracy is higher than on other people"]
    if unnamed:
        notes.append(f"left out: {number_of(len(unnamed), 'picture')} not named as in it: {some(unnamed)}")
    return Found(kind, {"all": samples}, tuple(notes), tuple(found.others))
