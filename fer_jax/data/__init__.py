"""Data sets: reading them, splitting them, drawing them."""

from collections.abc import Mapping
from typing import Any

from fer_jax.data.faces import Splits
from fer_jax.data.load import load_splits
from fer_jax.data.synthetic.faces import synthetic_splits


def load_dataset(config: Mapping[str, Any]) -> Splits:
    """The data set that a config names by ``dataset``, ``seed`` and the fields of configs/default.py.

    Raises:
      UserError: it cannot be read.
    """
    if config["dataset"] == "synthetic":
        return synthetic_splits(**config["synthetic"], seed=config["seed"])
    return load_splits(
        config["dataset"],
        validation_fraction=config["validation_fraction"],
        seed=config["seed"],
        cache=config["cache"],
    )
