"""RAF-DB as its authors give it: a list of labels beside the aligned faces (Li, Deng and Du, 2017)."""

import os
from pathlib import Path

from fer_jax.data.class_names import NUMBERINGS
from fer_jax.data.layouts.names import is_number
from fer_jax.data.layouts.samples import Found, Options, Sample
from fer_jax.data.layouts.text import numbered_lines, safe_path, shown
from fer_jax.data.parts import part_of
from fer_jax.errors import UserError

_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
"""The first is how the authors spell it."""
_FOLDERS = ("Image/aligned", "Image/aligned/aligned", "aligned", "Image")


def recognizes(folder: Path) -> bool:
    """Whether ``EmoLabel/list_patition_label.txt`` is there."""
    return _list_in(folder) is not None


def _list_in(folder: Path) -> Path | None:
    paths = (folder / "EmoLabel" / name for name in _LISTS)
    return next((path for path in paths if path.is_file()), None)


def read(root: Path, options: Options) -> Found:
    """List the aligned faces. Raises UserError if a line cannot be read or there are no aligned faces."""
    listed, samples, folder = _list_in(root), {}, None
    for number, line in numbered_lines(listed):
        where = f"{listed}, line {number}"
        name, _, label = line.strip().rpartition(" ")
        expression = NUMBERINGS["rafdb"].get(int(label)) if is_number(label) and len(label) < 5 else None
        part = part_of(name.partition("_")[0])
        if expression is None or part is None:
            raise UserError(f"{where}: {shown(line)}; expected a line as 'train_00001.jpg 5', labels 1 to 7")
        folder = folder or _folder_of(root, name.strip(), listed)
        picture = Path(name.strip())
        aligned = picture.with_name(f"{picture.stem}{folder[1]}{picture.suffix}")
        samples.setdefault(part, []).append(Sample(expression, safe_path(folder[0], str(aligned), where)))
    return Found("RAF-DB folders", samples)


def _folder_of(root: Path, name: str, listed: Path) -> tuple[Path, str]:
    """The folder that has the first face of the list, and what is added to its name there."""
    picture = Path(name)
    for folder in _FOLDERS:
        for end in ("_aligned", ""):
            if os.path.isfile(root / folder / f"{picture.stem}{end}{picture.suffix}"):
                return root / folder, end
    raise UserError(
        f"{listed}: its first face, {name}, is not in {root}; expected "
        f"Image/aligned/{picture.stem}_aligned{picture.suffix}; unpack aligned.zip there"
    )
