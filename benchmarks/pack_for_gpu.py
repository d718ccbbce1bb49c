"""Packs FER2013 and the wheels that a machine with a card may lack into a small folder, and unpacks it there.

python benchmarks/pack_for_gpu.py --csv=fer2013.csv [--output=for-gpu] [--python=3.12] [--wheels=flax,optax]
    writes the faces as lossless JPEG 2000 mosaics, each different face once, their labels, and wheels; prints
    the size of each part, and the command to run there. PrivateTest stays at home. Over 60 MB is an error.
python benchmarks/pack_for_gpu.py --unpack=for-gpu --csv=fer2013.csv
    writes Kaggle's CSV file again: the same faces, labels and split.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from configs import default
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_dataset
from fer_jax.errors import UserError
from fer_jax.labels import LABELS, SIDE
from fer_jax.runtime.command import plain

MOST_BYTES = 60_000_000
_ACROSS = 64
"""Faces in a row of a mosaic, and rows."""
_PARTS = ("Training", "PublicTest")
_WHEELS = "ml_collections,flax,optax,orbax-checkpoint"
_LINUX = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")
_THERE = """\
Copy this repository and {folder} to the machine. There, in the repository's root, with WORK as a folder:
  python3 -m pip install -q --no-index --no-deps --target=$WORK/site {folder}/wheels/*.whl
  export PYTHONPATH=$WORK/site
  python3 benchmarks/pack_for_gpu.py --unpack={folder} --csv=$WORK/fer2013.csv
  python3 benchmarks/gpu.py --csv=$WORK/fer2013.csv --minutes=12 --output=$WORK/results --runs=$WORK/runs
Bring back the files of $WORK/results. Where only small ones may come back, split the weights there
(split -b 10M best.npz best.npz.), and join them here (cat best.npz.* > best.npz)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", type=Path, required=True, help="the data set to pack, or to write")
    parser.add_argument("--output", type=Path, default=Path("for-gpu"), help="folder to write")
    parser.add_argument("--unpack", type=Path, default=None, help="folder to unpack")
    parser.add_argument("--python", default="3.12", help="version of Python there")
    parser.add_argument("--wheels", default=_WHEELS, help="packages that may be missing there; '' for none")
    options = parser.parse_args()
    if options.unpack:
        unpack(options.unpack, options.csv)
        return
    if options.output.exists() and any(options.output.iterdir()):
        raise UserError(f"{options.output}: is not empty; give another --output")
    pack_faces(options.csv, options.output)
    if options.wheels:
        download(options.wheels.split(","), options.output / "wheels", options.python)
    check_size(options.output)
    print(_THERE.format(folder=options.output))


def pack_faces(csv: Path, folder: Path) -> None:
    """Write the training and validation faces of a data set, and their labels, into ``folder``.

    Raises UserError if it cannot be read, or has other classes than FER2013.
    """
    splits = load_dataset(plain(default.get_config()) | {"dataset": str(csv)})
    if tuple(splits.labels) != tuple(LABELS):
        raise UserError(f"{csv}: has the classes {', '.join(splits.labels)}; expected FER2013's seven")
    parts = splits.train, splits.validation
    images = np.concatenate([part.images[..., 0] for part in parts])
    different, rows = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True)
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(different), _ACROSS**2)):
        tiles = mosaic(different[start : start + _ACROSS**2].reshape(-1, SIDE, SIDE))
        Image.fromarray(tiles).save(folder / f"faces-{number:02}.jp2", irreversible=False)
        print(
            f"{min(start + _ACROSS**2, len(different)):,} of {len(different):,} different faces", flush=True
        )
    np.savez_compressed(
        folder / "labels.npz",
        rows=rows.ravel().astype(np.int32),
        labels=np.concatenate([part.labels for part in parts]).astype(np.int8),
        sizes=np.array([len(part) for part in parts]),
    )


def mosaic(faces: np.ndarray) -> np.ndarray:
    """Put faces uint8 (N, 48, 48) side by side, 64 in a row, black where there are none left."""
    down = -(-len(faces) // _ACROSS)
    full = np.zeros((down * _ACROSS, SIDE, SIDE), np.uint8)
    full[: len(faces)] = faces
    return full.reshape(down, _ACROSS, SIDE, SIDE).swapaxes(1, 2).reshape(down * SIDE, _ACROSS * SIDE)


def faces_of(tiles: np.ndarray) -> np.ndarray:
    """The inverse of ``mosaic``, with the black faces."""
    down = len(tiles) // SIDE
    return tiles.reshape(down, SIDE, _ACROSS, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)


def unpack(folder: Path, csv: Path) -> None:
    """Write Kaggle's CSV file from what ``pack_faces`` has written."""
    paths = sorted(folder.glob("faces-*.jp2"))
    if not paths or not (folder / "labels.npz").is_file():
        raise UserError(f"{folder}: has no faces-00.jp2 or labels.npz; expected a folder that was packed")
    different = np.concatenate([faces_of(np.asarray(Image.open(path))) for path in paths])
    with np.load(folder / "labels.npz", allow_pickle=False) as found:
        rows, labels, sizes = (found[name] for name in ("rows", "labels", "sizes"))
    images = different[rows][..., None]
    faces = Faces(images, labels.astype(np.int32), np.arange(len(images)).astype(str))
    write_kaggle_csv(csv, faces, np.repeat(_PARTS, sizes))
    print(f"written: {csv}, {len(images):,} faces")


def write_kaggle_csv(path: Path, faces: Faces, usages: np.ndarray) -> None:
    """Write ``emotion,pixels,Usage``, a line for each face."""
    levels = np.array([str(level) for level in range(256)], object)
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for image, label, usage in zip(faces.images, faces.labels, usages, strict=True):
            file.write(f"{label},{' '.join(levels[image.ravel()])},{usage}\n")


def download(packages: list[str], folder: Path, python: str) -> None:
    """Download wheels of packages, without what they need, for Linux on x86-64."""
    flags = [f"--platform={name}" for name in _LINUX]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += [f"--python-version={python}", "--implementation=cp", *flags, f"--dest={folder}", *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise UserError(f"pip could not download the wheels ({reason[0]}); --wheels= leaves them out")


def check_size(folder: Path) -> None:
    """Print the size of each part. Raises UserError if all are larger than 60 MB."""
    sizes = {path: path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, parts in (("faces", "*.jp2"), ("labels", "labels.npz"), ("wheels", "*.whl")):
        print(f"{name}: {sum(sizes[path] for path in folder.rglob(parts)) / 1e6:.1f} MB")
    if (total := sum(sizes.values())) > MOST_BYTES:
        raise UserError(f"{folder}: {total / 1e6:.1f} MB; expected at most {MOST_BYTES / 1e6:.0f} MB")
    print(f"{folder}: {total / 1e6:.1f} MB in all")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
