"""Makes docs/video_frame.png and docs/video_timeline.png: what predict writes of a drawn video.

python docs/make_video_pictures.py [--output=DIR]

Two drawn faces move over a picture, pass each other, and change their expression every three seconds.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from PIL import Image

from fer_jax.checkpoints import shipped
from fer_jax.classifier import Classifier
from fer_jax.data.opencv import import_quiet_opencv
from fer_jax.data.photos import faces_of
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.data.video import open_video, read_frames
from fer_jax.predict.video import predict_videos
from fer_jax.predict.watch import Settings
from fer_jax.runtime.startup import configure_process

SIZE, SIDE, RATE, SECONDS = (640, 380), 170, 12.5, 12
EXPRESSIONS = (("happy", "surprise", "sad", "happy"), ("sad", "sad", "surprise", "angry"))
"""Of each face, in turn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder of the pictures")
    options = parser.parse_args()
    best = shipped.read("best").on_device()

    def predict(images: np.ndarray) -> np.ndarray:
        return best.predict(images, views="flip")

    with tempfile.TemporaryDirectory() as folder:
        clip = draw_clip(Path(folder) / "video.avi", best)
        settings = Settings(predict, faces_of, best.labels)
        predict_videos(str(clip), [clip], settings=settings, output=Path(folder) / "out.csv")
        copies = Path(folder) / "out_pictures"
        shutil.copy(copies / "video_timeline.png", options.output / "video_timeline.png")
        frames = read_frames(open_video(copies / "video.webm"))
        picture = next(frame.picture for frame in frames if frame.time >= 2)
        picture.quantize(128).save(options.output / "video_frame.png", optimize=True)


def draw_clip(path: Path, network: Classifier) -> Path:
    """Draw the video with faces that the network names rightly, as a rule those that it is surest of."""
    faces = draw_faces(280, seed=0)
    sure = network.predict(faces.images, views="flip") * (np.eye(7)[faces.labels])
    people = [
        [
            Image.fromarray(faces.images[np.argsort(-sure[:, network.labels.index(name)])[place], ..., 0])
            for name in names
        ]
        for place, names in enumerate(EXPRESSIONS)
    ]
    people = [[face.resize((SIDE, SIDE), Image.Resampling.BICUBIC) for face in faces] for faces in people]
    cv2 = import_quiet_opencv()
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), RATE, SIZE)
    for number in range(int(SECONDS * RATE)):
        writer.write(np.asarray(draw_frame(number / RATE, people))[..., ::-1].copy())
    writer.release()
    return path


def draw_frame(seconds: float, people: list[list[Image.Image]]) -> Image.Image:
    coarse = np.random.default_rng(1).integers(120, 200, (4, 6, 3), np.uint8)
    picture = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    across = 380 * seconds / SECONDS
    for person, (x, y) in enumerate(((40 + across, 70), (430 - across, 90))):
        turn, part = divmod(seconds / 3, 1)
        faces = people[person]
        now, then = faces[int(turn)], faces[min(int(turn) + 1, len(faces) - 1)]
        blended = Image.blend(now, then, float(np.clip((part - 0.85) / 0.15, 0, 1)))
        picture.paste(blended.convert("RGB"), (round(x), y))
    return picture


if __name__ == "__main__":
    configure_process()
    main()
