"""A trained network as one object with one method, for use from Python."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_jax.checkpoints import save as checkpoint
from fer_jax.checkpoints.choose import by_path_or_name
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.labels import LABELS, SIDE


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network with its weights and preprocessing; made by ``fer_jax.load``.

    Attributes:
      weights: variables and normalization statistics.
      config: of the run that trained it.
      labels: names of the classes, in the order of the probabilities.
    """

    weights: checkpoint.Weights
    config: dict[str, Any]
    labels: tuple[str, ...] = LABELS

    def predict(self, images: np.ndarray, *, views: str = "one") -> np.ndarray:
        """Probabilities float32 (N, 7) of faces uint8 (N, 48, 48, 1) or (N, 48, 48), 0 black to 255 white.

        Args:
          images: faces, cropped as FER2013 crops them.
          views: test-time views to average over: ``one``, ``flip``, ``zoom`` or ``ten_crop``.

        Raises:
          UserError: another shape or dtype, or unknown views.
        """
        images = np.asarray(images)
        if images.ndim == 3:
            images = images[..., None]
        if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE, 1):
            raise UserError(
                f"images are {images.dtype} {images.shape}; uint8 (N, {SIDE}, {SIDE}, 1) was expected"
            )
        return run_evaluate.probabilities(self.weights, self.config, images, views=views)


def load(workdir_or_name: str | Path) -> Classifier:
    """The best checkpoint of a run, or weights that come with the package, by name.

    Raises UserError if there are none.
    """
    weights, record = by_path_or_name(workdir_or_name)
    # Once, not with each call.
    variables, normalization = jax.device_put((weights.variables, weights.normalization))
    return Classifier(checkpoint.Weights(variables, normalization, weights.temperatures), record.config)
