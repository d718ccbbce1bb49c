"""fer_jax: facial expression recognition in JAX and Flax.

``fer_jax.load("best").predict(images)`` is what a trained network is used by; importing the package
is cheap, since JAX is imported when it is first needed.
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
    """The best network of the run in a workdir, or one that comes with fer_jax by its name.

    See ``fer_jax.classifier.Classifier``.

    Raises:
      UserError: no checkpoint is there.
    """
    from fer_jax import classifier

    return classifier.load(workdir_or_name)
