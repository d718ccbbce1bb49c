"""How well faces are found in larger pictures, and told as in the original crop, by detector and crop.

python benchmarks/photos.py --csv=fer2013.csv [--detector=mtcnn,haar] [--weights=best] [--views=zoom]
    [--faces=N] [--output=DIR]

Each picture holds one validation face, 80 to 400 pixels a side, somewhere on a ground of smooth noise. A face
counts as found where a square that the network sees has its centre within a quarter of the face's side of the
face's centre, and half to twice its side. The stricter rule, an intersection over union above 0.5, is printed
too. A box is elsewhere where its centre is not on the face. With --output some of the pictures are saved with
what was found.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import fer_jax
from fer_jax.checkpoints.choose import views_of_photos
from fer_jax.classifier import Classifier
from fer_jax.data import photos
from fer_jax.data.detectors import Crop, Detector, crop_box, make_detector
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_splits
from fer_jax.errors import UserError
from fer_jax.predict.photos import likeliest
from fer_jax.runtime.startup import configure_process
from fer_jax.transforms.views import VIEWS

_STEPS = [(0, 0, 0), *((0, 0, s) for s in (-0.08, -0.04, 0.04, 0.08))]
_STEPS += [*((r, 0, 0) for r in (-0.03, 0.03)), *((0, d, 0) for d in (-0.03, 0.03))]
"""What is added to a detector's own crop: right, down, side."""


class Score(NamedTuple):
    """What a detector found: of each face found its row, and its crops; counts; and the seconds it took."""

    rows: list[int]
    crops: list[np.ndarray]
    covered: int
    elsewhere: int
    seconds: float


def paste(face: np.ndarray, draw: np.random.Generator) -> tuple[Image.Image, photos.Box]:
    """A face uint8 (48, 48) in a larger grey picture, and where it is."""
    side = int(draw.integers(80, 401))
    height, width = (int(n) for n in draw.integers(480, 1201, 2))
    coarse = draw.uniform(30, 225, (height // 60 + 2, width // 60 + 2)).astype(np.float32)
    ground = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(ground) + draw.normal(0, 4, (height, width))
    picture = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    x, y = int(draw.integers(0, width - side + 1)), int(draw.integers(0, height - side + 1))
    picture.paste(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC), (x, y))
    return picture, photos.Box(x, y, side, side)


def overlap(a: photos.Box, b: photos.Box) -> float:
    """Intersection over union."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0) * max(height, 0)
    return shared / (a.width * a.height + b.width * b.height - shared)


def distance(a: photos.Box, b: photos.Box) -> float:
    """How far apart two centres are, horizontally or vertically, in sides of ``b``."""
    across = a.x + a.width / 2 - b.x - b.width / 2
    down = a.y + a.height / 2 - b.y - b.height / 2
    return max(abs(across), abs(down)) / b.width


def is_found(square: photos.Box, place: photos.Box) -> bool:
    """Whether a square is where the face is, and of about its size."""
    return distance(square, place) < 0.25 and 0.5 < square.width / place.width < 2


def moved(crop: Crop, step: tuple[float, float, float]) -> Crop:
    return Crop(*(value + more for value, more in zip(crop, step, strict=True)))


def scored(score: Score, row: int, picture: Image.Image, place: photos.Box, detector: Detector) -> Score:
    """The score with one more picture; the ``row`` of the face is noted."""
    started = time.perf_counter()
    boxes = detector.find(picture)
    seconds = time.perf_counter() - started
    squares = [crop_box(box, detector.crop) for box in boxes]
    right = [n for n, square in enumerate(squares) if is_found(square, place)]
    rows, crops = list(score.rows), list(score.crops)
    if right:
        best = boxes[max(right, key=lambda n: overlap(squares[n], place))]
        rows.append(row)
        crops.append(
            photos.crop_faces(picture, [crop_box(best, moved(detector.crop, step)) for step in _STEPS])
        )
    covered = any(overlap(square, place) > 0.5 for square in squares)
    elsewhere = sum(distance(square, place) > 0.5 for square in squares)
    return Score(rows, crops, score.covered + covered, score.elsewhere + elsewhere, score.seconds + seconds)


def print_score(
    name: str, crop: Crop, score: Score, faces: Faces, classifier: Classifier, views: str
) -> None:
    """Print how many faces were found, and what the network says of each crop of them."""
    found, count = faces.take(np.array(score.rows, int)), len(faces)
    original = classifier.predict(found.images, views=views).argmax(1)
    print(f"\n{name}: {1000 * score.seconds / count:.0f} ms a picture")
    print(f"  {len(score.rows) / count:.1%} of {count:,} faces found")
    print(f"  {score.covered / count:.1%} found by the stricter rule")
    print(f"  {1000 * score.elsewhere / count:.1f} boxes elsewhere per 1,000 pictures")
    print(f"  accuracy on the original crops of those found: {np.mean(original == found.labels):.1%}")
    print(f"  {'right':>7}{'down':>8}{'side':>7}{'same answer':>13}{'x found':>9}{'accuracy':>10}")
    for number, step in enumerate(_STEPS):
        crops = np.array([faces_[number] for faces_ in score.crops])
        predicted = classifier.predict(crops, views=views).argmax(1)
        same, right = predicted == original, np.mean(predicted == found.labels)
        places = "{:>7.3f}{:>8.3f}{:>7.2f}".format(*moved(crop, step))
        print(f"  {places}{np.mean(same):>13.1%}{same.sum() / count:>9.1%}{right:>10.1%}")


def available(names: Sequence[str]) -> list[Detector]:
    """Make the detectors that are installed, and name the others. Raises UserError if none is."""
    detectors, errors = [], []
    for name in names:
        try:
            detectors.append(make_detector(name))
        except UserError as error:
            errors.append(error)
            print(f"left out: {error}")
    if not detectors:
        raise errors[0]
    return detectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", required=True, help="the data set: a CSV file or folder with labels")
    parser.add_argument("--detector", default="mtcnn,haar", help="names as of config.detector, with commas")
    parser.add_argument("--weights", default="best", help="a workdir, or weights that come with fer_jax")
    parser.add_argument("--views", choices=VIEWS, help="test-time views; by default those of --mode=predict")
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--output", type=Path, help="folder for some of the pictures")
    options = parser.parse_args()
    detectors = available(options.detector.split(","))
    classifier = fer_jax.load(options.weights)
    faces = load_splits(options.csv, validation_fraction=0.1, seed=0).validation
    draw = np.random.default_rng(0)
    faces = faces.take(draw.permutation(len(faces))[: options.faces])
    scores = {detector.name: Score([], [], 0, 0, 0.0) for detector in detectors}
    for row, image in enumerate(faces.images[..., 0]):
        picture, place = paste(image, draw)
        # Alternately, so that a busy machine slows all alike.
        for detector in detectors if row % 2 else detectors[::-1]:
            scores[detector.name] = scored(scores[detector.name], row, picture, place, detector)
            if options.output and row < 12:
                name = f"{row}-{Path(detector.name).stem}.png"
                squares = photos.find_faces(picture, detector=detector.name)
                save(options.output / name, picture, squares, classifier)
    views = options.views or views_of_photos(classifier.config)
    print(f"{options.weights}, views: {views}")
    for detector in detectors:
        print_score(detector.name, detector.crop, scores[detector.name], faces, classifier, views)


def save(path: Path, picture: Image.Image, boxes: list[photos.Box], classifier: Classifier) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    probabilities = classifier.predict(photos.crop_faces(picture, boxes)) if boxes else []
    names = [likeliest(row, classifier.labels) for row in probabilities]
    photos.annotate(picture, boxes, names).save(path)


if __name__ == "__main__":
    configure_process()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
