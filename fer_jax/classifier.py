"""A trained network as one object: what every mode except training works with."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from fer_jax.checkpoints.weights import Record, Weights
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.models import count_parameters, create_model
from fer_jax.models.forward import make_forward, predict_probabilities
from fer_jax.transforms.views import VIEWS


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """A network with its weights and preprocessing; made by ``fer_jax.load``.

    Attributes:
      weights: variables and normalization statistics.
      record: of the run that trained it: its config, the names of its classes, its data, and its rows of
        metrics.jsonl up to these weights.
      source: where the weights come from: the run's folder, or the file that comes with fer_jax.
      config: of the run, with the values that a command changes for evaluation; the run's own if empty.
    """

    weights: Weights
    record: Record
    source: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", self.config or self.record.config)

    def __repr__(self) -> str:
        return f"Classifier({self.source!r}, {self.num_parameters:,} parameters, {len(self.labels)} classes)"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(self.record.labels)

    @property
    def row(self) -> dict[str, Any]:
        """The row of metrics.jsonl of these weights."""
        return self.record.rows[-1]

    @property
    def num_parameters(self) -> int:
        return count_parameters(self.weights.variables["params"])

    @property
    def title(self) -> str:
        """One line that says which weights these are."""
        return f"{self.source}, epoch {self.row['epoch']}, trained on {self.record.config['dataset']}"

    @property
    def model(self) -> nn.Module:
        return create_model(self.config["model"], self.config[self.config["model"]])

    def predict(self, images: np.ndarray, *, views: str = "one") -> np.ndarray:
        """Predict the probabilities float32 (N, 7) of faces.

        The compiled network is kept for the next call. A few images go in a small batch.

        Args:
          images: uint8 (N, 48, 48, 1) or (N, 48, 48), 0 black to 255 white, cropped as FER2013 crops them.
          views: test-time views to average over: ``one``, ``flip``, ``zoom`` or ``ten_crop``.

        Raises:
          UserError: another shape or dtype, or unknown views.
        """
        images = np.asarray(images)
        if images.ndim == 3:
            images = images[..., None]
        if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE, 1):
            raise UserError(f"images are {images.dtype} {images.shape}; expected uint8 (N, 48, 48, 1)")
        if views not in VIEWS:
            raise UserError(f"views={views!r} is unknown; choose one of {', '.join(VIEWS)}")
        return predict_probabilities(
            _compiled_forward(self._network(), views, self.weights.temperature(views)),
            self.weights.variables,
            self.weights.normalization,
            images,
            batch_size=_batch_size(len(images), self.config["batch_size"]),
        )

    def forward(self, views: str) -> Callable:
        """Make the pure function of ``make_forward`` for this network, with its temperature for the views."""
        return _make_forward(self._network(), views, self.weights.temperature(views))

    def on_device(self) -> "Classifier":
        """The same network, with its arrays moved to the device once instead of at each call."""
        variables, normalization = jax.device_put((self.weights.variables, self.weights.normalization))
        weights = self.weights._replace(variables=variables, normalization=normalization)
        return dataclasses.replace(self, weights=weights)

    def _network(self) -> str:
        """The fields that shape the network, as JSON, since a dict cannot be the key of a cache."""
        names = ("model", self.config["model"], "normalize")
        return json.dumps({name: self.config[name] for name in names}, sort_keys=True)


@functools.lru_cache(maxsize=16)
def _compiled_forward(network: str, views: str, temperature: float) -> Callable:
    return jax.jit(_make_forward(network, views, temperature))


def _make_forward(network: str, views: str, temperature: float) -> Callable:
    config = json.loads(network)
    model = create_model(config["model"], config[config["model"]])
    return make_forward(model=model, normalize_kind=config["normalize"], views=views, temperature=temperature)


def _batch_size(count: int, most: int) -> int:
    """The least power of four from ``count`` on, at most ``most``: few sizes, since each is compiled."""
    size = 1
    while size < min(count, most):
        size *= 4
    return min(size, most)
