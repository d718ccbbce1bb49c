"""Makes docs/predictions.png: built-in faces, what ``best`` says of them, and Grad-CAM.

python docs/make_pictures.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax import plots, run_evaluate, shipped
from fer_jax.data.synthetic import draw_faces
from fer_jax.explain import make_grad_cam
from fer_jax.labels import LABELS
from fer_jax.models import create_model
from fer_jax.platform import configure_process
from fer_jax.run_explain import two_of_each


def main() -> None:
    weights, record, _ = shipped.load("best")
    config = record.config
    faces = draw_faces(70, seed=0)
    # The first of each class, whatever the network says of it.
    images = faces.images[two_of_each(faces.labels)[::2]]
    chances = run_evaluate.probabilities(weights, config, images, views="flip")
    model = create_model(config["model"], config[config["model"]])
    grad_cam = jax.jit(make_grad_cam(model=model, normalize_kind=config["normalize"]))
    predicted = jnp.asarray(chances.argmax(1), jnp.int32)
    heat = np.asarray(grad_cam(weights.variables, weights.normalization, images, predicted))
    figure, axes = plots.subplots(2, len(images), figsize=(1.6 * len(images), 3.7))
    for column, (image, row) in enumerate(zip(images[..., 0], chances, strict=True)):
        for axis in axes[:, column]:
            axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            axis.axis("off")
        axes[0, column].set_title(f"{LABELS[row.argmax()]} {100 * row.max():.0f} %", fontsize=11)
        axes[1, column].imshow(heat[column], cmap="cividis", vmin=0, vmax=1, alpha=0.55)
    plots.save_figure(figure, Path(__file__).parent / "predictions.png")


if __name__ == "__main__":
    configure_process()
    main()
