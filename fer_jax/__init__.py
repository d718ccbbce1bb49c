"""fer_jax: facial expression recognition in JAX and Flax.

``fer_jax.load("best").predict(images)`` uses a trained network. To import the package does not import JAX.
"""

from typing import TYPE_CHECKING

from fer_jax.errors import UserError
from fer_jax.labels import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from fer_jax.classifier import Classifier

__version__ = "0.1.0"
__all__ = ["LABELS", "UserError", "load"]


def load(workdir_or_name: "str | Path") -> "Classifier":
    """Load the best network of the run in a workdir, or a network that comes with fer_jax by its name.

    Raises:
      UserError: no such run or name, or no complete checkpoint.
    """
    from fer_jax.checkpoints import choose

    return choose.load(workdir_or_name).on_device()
