"""Makes docs/predictions.png: drawn faces, what ``best`` says of them, and Grad-CAM.

python docs/make_pictures.py [--output=DIR]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.checkpoints import shipped
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.explain.saliency import make_grad_cam
from fer_jax.labels import LABELS
from fer_jax.runtime.figures import save_figure, subplots
from fer_jax.runtime.startup import configure_process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder of the picture")
    options = parser.parse_args()
    best = shipped.read("best")
    weights, config = best.weights, best.config
    faces = draw_faces(700, seed=0)
    chances = best.predict(faces.images, views=config["views"])
    print(f"{np.mean(chances.argmax(1) == faces.labels):.1%} of {len(faces)} drawn faces named rightly")
    # Of each expression the face that is named rightly with most confidence.
    rows = np.array([np.argmax(chances[:, c] * (faces.labels == c)) for c in range(len(LABELS))])
    images, chances = faces.images[rows], chances[rows]
    grad_cam = jax.jit(make_grad_cam(model=best.model, normalize_kind=config["normalize"]))
    predicted = jnp.asarray(chances.argmax(1), jnp.int32)
    heat = np.asarray(grad_cam(weights.variables, weights.normalization, images, predicted))
    figure, axes = subplots(2, len(images), figsize=(1.6 * len(images), 3.7))
    for column, (image, row) in enumerate(zip(images[..., 0], chances, strict=True)):
        for axis in axes[:, column]:
            axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            axis.axis("off")
        axes[0, column].set_title(f"{LABELS[row.argmax()]} {100 * row.max():.0f} %", fontsize=11)
        axes[1, column].imshow(heat[column], cmap="cividis", vmin=0, vmax=1, alpha=0.55)
    save_figure(figure, options.output / "predictions.png")


if __name__ == "__main__":
    configure_process()
    main()
