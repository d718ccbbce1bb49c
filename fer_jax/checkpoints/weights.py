"""What a checkpoint holds: weights to use, and a record of the run that made them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from fer_jax.models import create_model, init_variables
from fer_jax.transforms.normalize import Normalization, normalization_shape


class Weights(NamedTuple):
    """All arrays that inference needs.

    Attributes:
      variables: ``params`` and ``batch_stats``; the moving averages where the run kept them.
      normalization: statistics of the training set.
      temperatures: by test-time views, where one was fitted (see ``calibration.fit_temperature``).
    """

    variables: dict[str, Any]
    normalization: Normalization
    temperatures: dict[str, float] = {}  # noqa: RUF012

    def temperature(self, views: str) -> float:
        """The number that logits are divided by for these test-time views; 1 where none was fitted."""
        return self.temperatures.get(views, 1.0)


class Record(NamedTuple):
    """The part of a checkpoint that is not an array.

    Attributes:
      config: fields of the run.
      rows: of metrics.jsonl, up to the checkpoint.
      labels: names of the classes, in the order of the probabilities.
      data: digest and sizes of the data set.
      position: fields of the ``Position`` within the epoch after ``rows``; None at the end of an epoch.
      random_keys: how the run draws its random numbers; runs before 2026-11-26 have 1.
    """

    config: dict[str, Any]
    rows: list[dict[str, Any]]
    labels: list[str]
    data: dict[str, Any]
    position: dict[str, Any] | None = None
    random_keys: int = 1


RANDOM_KEYS = 2
"""How this version draws random numbers: the order of the faces and each step have separate keys."""


def weight_shapes(config: Mapping[str, Any], num_classes: int) -> Weights:
    """The shapes and dtypes of the weights that a config makes for so many classes."""
    model = create_model(config["model"], config[config["model"]], num_classes)
    variables = jax.eval_shape(lambda key: init_variables(model, key), jax.random.key(0))
    statistic = np.zeros(normalization_shape(config["normalize"]), np.float32)
    return Weights(variables, Normalization(statistic, statistic))


def as_tree(weights: Weights) -> dict[str, Any]:
    """The arrays as plain dicts, so that names on disk do not depend on our classes."""
    statistics = {name: jax.numpy.asarray(value) for name, value in weights.normalization._asdict().items()}
    return {"variables": weights.variables, "normalization": statistics}


def from_tree(tree: Mapping[str, Any], temperatures: Mapping[str, float] | None = None) -> Weights:
    """The inverse of ``as_tree``."""
    return Weights(tree["variables"], Normalization(**tree["normalization"]), dict(temperatures or {}))
