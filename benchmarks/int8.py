"""What ways of writing a network in eight bits keep of its accuracy.

python benchmarks/int8.py --csv=fer2013.csv [--network=tiny] [--draws=3]

Prints a table for the data set's validation faces: accuracy, largest difference of a probability from
float32, kB, and milliseconds for one face on one thread (median). Each way is calibrated ``--draws`` times,
on other training faces each time, and once on the built-in drawn faces; given are lowest and highest of the
former, and the latter. Needs requirements-export.txt.
"""

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationMethod, QuantType

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_jax.checkpoints.choose import load
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_splits
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.export.files import onnx_predict
from fer_jax.export.int8 import CALIBRATION_FACES, quantize_onnx
from fer_jax.export.onnx import build_onnx

WAYS = {
    "ours: uint8 x int8 of 7 bits, a scale for each channel": {},
    "weights of 8 bits": {"reduce_range": False},
    "weights of 8 bits, ranges by percentile": {
        "reduce_range": False,
        "calibrate_method": CalibrationMethod.Percentile,
        "extra_options": {"CalibPercentile": 99.99},
    },
    "weights of 8 bits, one scale": {"reduce_range": False, "per_channel": False},
    "one scale": {"per_channel": False},
    "uint8 x uint8, one scale": {
        "reduce_range": False,
        "per_channel": False,
        "weight_type": QuantType.QUInt8,
    },
    "int8 x int8": {"reduce_range": False, "activation_type": QuantType.QInt8},
}
HEADER = "| way | accuracy | on drawn faces | largest difference | kB | ms |\n" + "| --- " * 6 + "|"


def chances_of(model: bytes, images: np.ndarray) -> np.ndarray:
    predict = onnx_predict(model)
    return np.concatenate([predict(images[start : start + 64]) for start in range(0, len(images), 64)])


def milliseconds(model: bytes, image: np.ndarray, calls: int = 300) -> float:
    """Median for one face on one thread."""
    predict = onnx_predict(model, threads=1)
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        predict(image)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken)) * 1e3


def row(
    name: str, quantize: Callable[[np.ndarray], bytes], drawn: list[np.ndarray], faces: Faces, whole
) -> str:
    """One line of the table; the last of ``drawn`` are the built-in faces, ``whole`` float32's chances."""
    with contextlib.redirect_stdout(io.StringIO()):  # onnxruntime tells of its histograms
        models = [quantize(images) for images in drawn]
    chances = [chances_of(model, faces.images) for model in models]
    *hits, built_in = [float(np.mean(c.argmax(1) == faces.labels)) for c in chances]
    difference = max(np.abs(c - whole).max() for c in chances[:-1])
    return (
        f"| {name} | {min(hits):.2%} to {max(hits):.2%} | {built_in:.2%} | {difference:.2f} "
        f"| {len(models[0]) / 1e3:.0f} | {milliseconds(models[0], faces.images[:1]):.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", required=True, help="the data set: a CSV file or folder with labels")
    parser.add_argument("--network", default="tiny", help="a run's folder, or weights that come with fer_jax")
    parser.add_argument("--draws", type=int, default=3, help="of training faces to calibrate on")
    options = parser.parse_args()
    splits = load_splits(options.csv, validation_fraction=0.1, seed=0)
    model = build_onnx(load(options.network)).SerializeToString()
    faces, train = splits.validation, splits.train.images
    whole = chances_of(model, faces.images)
    orders = [np.random.default_rng(seed).permutation(len(train)) for seed in range(options.draws)]
    drawn = [train[np.sort(order[:CALIBRATION_FACES])] for order in orders]
    drawn.append(draw_faces(CALIBRATION_FACES, seed=0).images)
    hits = np.mean(whole.argmax(1) == faces.labels)
    print(HEADER)
    print(
        f"| float32 | {hits:.2%} | | | {len(model) / 1e3:.0f} | {milliseconds(model, faces.images[:1]):.2f} |"
    )
    for name, changes in WAYS.items():
        print(row(name, lambda x, changes=changes: quantize_onnx(model, x, **changes), drawn, faces, whole))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
