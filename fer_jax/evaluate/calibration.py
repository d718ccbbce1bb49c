"""How far probabilities can be taken at their word: bins of confidence, their error, and temperature."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

NUM_BINS = 15


class Bins(NamedTuple):
    """Sums over the predictions whose confidence, the largest probability, falls in each equal bin of 0-1.

    Attributes:
      count: float32 (15,), predictions.
      confidence: float32 (15,), summed.
      correct: float32 (15,), how many were right.
    """

    count: ArrayLike
    confidence: ArrayLike
    correct: ArrayLike


def empty_bins() -> Bins:
    """Bins before the first prediction."""
    return Bins(*(jnp.zeros(NUM_BINS),) * 3)


def add_to_bins(bins: Bins, probabilities: jax.Array, labels: jax.Array, mask: jax.Array) -> Bins:
    """Adds probabilities float32 (N, 7) with labels int32 (N,), where ``mask`` bool (N,) is True."""
    confidence = jnp.max(probabilities, -1)
    correct = jnp.argmax(probabilities, -1) == labels
    number = jnp.clip((confidence * NUM_BINS).astype(jnp.int32), 0, NUM_BINS - 1)
    counted = mask.astype(jnp.float32)
    return Bins(
        bins.count.at[number].add(counted),
        bins.confidence.at[number].add(counted * confidence),
        bins.correct.at[number].add(counted * correct.astype(jnp.float32)),
    )


def expected_calibration_error(bins: Bins) -> float:
    """Mean distance of confidence and accuracy over the bins, weighted by their counts (Guo et al., 2017)."""
    count, confidence, correct = (np.asarray(part, np.float64) for part in bins)
    return float(np.abs(confidence - correct).sum() / max(count.sum(), 1))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that divides the logits for the smallest cross-entropy.

    Guo et al., "On Calibration of Modern Neural Networks", 2017. Faces that were not trained on are wanted.

    Args:
      logits: float32 (V, N, 7), of V test-time views, whose probabilities are averaged.
      labels: int32 (N,).

    Returns:
      A number from 0.1 to 10; above 1 if the network was too sure of itself.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax, logsumexp

    def loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=-1)
        mean = logsumexp(log_probabilities, axis=0) - np.log(len(logits))
        return float(-np.take_along_axis(mean, labels[:, None], -1).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.1), np.log(10)), method="bounded")
    return float(np.exp(found.x))
