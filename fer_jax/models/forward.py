"""Turn grey levels into probabilities: preprocessing, test-time views, network and temperature."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from fer_jax.data.batches import padded_batches
from fer_jax.transforms.normalize import Normalization, normalize
from fer_jax.transforms.views import make_views, view_log_probabilities


def make_logits(
    *, model: nn.Module, normalize_kind: str, views: str = "one"
) -> Callable[[dict[str, Any], Normalization, jax.Array], jax.Array]:
    """Make a pure ``(variables, normalization, images) -> logits`` of each test-time view.

    Images uint8 (N, 48, 48, 1), logits float32 (V, N, K) for K classes.
    """

    def logits_of(variables, normalization, images):
        seen = make_views(images, views=views, side=getattr(model, "side", None))
        flat = seen.reshape(-1, *seen.shape[2:])
        logits = model.apply(variables, normalize(flat, normalization, kind=normalize_kind), train=False)
        return logits.reshape(*seen.shape[:2], -1)

    return logits_of


def make_forward(
    *, model: nn.Module, normalize_kind: str, views: str = "one", temperature: float = 1.0
) -> Callable[[dict[str, Any], Normalization, jax.Array], jax.Array]:
    """Make a pure ``(variables, normalization, images) -> log-probabilities`` float32 (N, K).

    Images uint8 (N, 48, 48, 1). The probabilities are the mean over the test-time ``views``, each from
    logits divided by the ``temperature``.
    """
    logits_of = make_logits(model=model, normalize_kind=normalize_kind, views=views)

    def forward(variables, normalization, images):
        return view_log_probabilities(logits_of(variables, normalization, images) / temperature)

    return forward


def predict_probabilities(
    forward: Callable,
    variables: dict[str, Any],
    normalization: Normalization,
    images: np.ndarray,
    *,
    batch_size: int,
    num_classes: int,
) -> np.ndarray:
    """Compute probabilities float32 (N, K) of images uint8 (N, 48, 48, 1); ``forward`` may be compiled."""
    parts = [np.zeros((0, num_classes), np.float32)]
    for rows, mask in padded_batches(len(images), batch_size):
        log_probabilities = forward(variables, normalization, images[rows])
        parts.append(np.exp(np.asarray(log_probabilities))[mask])
    return np.concatenate(parts)
