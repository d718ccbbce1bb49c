"""How well faces are found in larger pictures, and told as in the original crop, by the margin around a box.

python benchmarks/photos.py --csv=fer2013.csv [--weights=best] [--views=zoom] [--faces=N]
    [--margins=0,0.05] [--output=DIR]

Each picture holds one validation face, 80 to 400 pixels a side, somewhere on a ground of smooth noise. With
--output some of them are saved with what was found. A face counts as found where a box covers it by more than
half (intersection over union).
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import fer_jax
from fer_jax.checkpoints.choose import views_in_pictures
from fer_jax.classifier import Classifier
from fer_jax.data import photos
from fer_jax.data.detectors import Crop, crop_box, make_detector
from fer_jax.data.load import load_splits
from fer_jax.errors import UserError
from fer_jax.predict.photos import likeliest
from fer_jax.runtime.startup import configure_process
from fer_jax.transforms.views import VIEWS


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", required=True, help="the data set: a CSV file or folder with labels")
    parser.add_argument("--weights", default="best", help="a workdir, or weights that come with fer_jax")
    parser.add_argument("--views", choices=VIEWS, help="test-time views; by default those of --mode=predict")
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--margins", default="-0.025,0,0.025,0.05,0.075,0.1")
    parser.add_argument("--output", type=Path, help="folder for some of the pictures")
    options = parser.parse_args()
    classifier = fer_jax.load(options.weights)
    faces = load_splits(options.csv, validation_fraction=0.1, seed=0).validation
    draw = np.random.default_rng(0)
    faces = faces.take(draw.permutation(len(faces))[: options.faces])
    margins = [float(margin) for margin in options.margins.split(",")]
    detector = make_detector()
    rows, crops, others, seconds = [], {margin: [] for margin in margins}, 0, 0.0
    for row, image in enumerate(faces.images[..., 0]):
        picture, place = paste(image, draw)
        started = time.perf_counter()
        boxes = detector.find(picture)
        seconds += time.perf_counter() - started
        right = [box for box in boxes if overlap(box, place) > 0.5]
        others += len(boxes) - len(right)
        if right:
            rows.append(row)
            best = max(right, key=lambda box: overlap(box, place))
            for margin in margins:
                crops[margin].append(
                    photos.crop_faces(picture, [crop_box(best, Crop(0, 0, 1 + 2 * margin))])[0]
                )
        if options.output and row < 12:
            save(
                options.output / f"{row}.png",
                picture,
                [crop_box(box, detector.crop) for box in boxes],
                classifier,
            )
    found = faces.take(np.array(rows, int))
    views = options.views or views_in_pictures(classifier.config)
    original = classifier.predict(found.images, views=views).argmax(1)
    print(
        f"{len(rows) / len(faces):.1%} of {len(faces):,} faces found, {others:,} boxes elsewhere, "
        f"{1000 * seconds / len(faces):.0f} ms a picture to find them"
    )
    print(f"views: {views}; accuracy on the original crops: {np.mean(original == found.labels):.1%}")
    print(f"{'margin':>8}{'same answer':>13}{'accuracy':>10}")
    for margin in margins:
        predicted = classifier.predict(np.array(crops[margin]), views=views).argmax(1)
        same, right = np.mean(predicted == original), np.mean(predicted == found.labels)
        print(f"{margin:>8}{same:>13.1%}{right:>10.1%}")


def save(path: Path, picture: Image.Image, boxes: list[photos.Box], classifier: Classifier) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chances = classifier.predict(photos.crop_faces(picture, boxes)) if boxes else []
    photos.annotate(picture, boxes, [likeliest(row, classifier.labels) for row in chances]).save(path)


if __name__ == "__main__":
    configure_process()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
