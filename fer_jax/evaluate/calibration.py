"""Compare confidence with accuracy: bins of confidence, their error, and the temperature that reduces it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

NUM_BINS = 15


class Bins(NamedTuple):
    """Sums over predictions, by confidence: 15 equal bins of the largest probability, from 0 to 1.

    Attributes:
      count: float32 (15,), number of predictions.
      confidence: float32 (15,), sum of their confidences.
      correct: float32 (15,), how many were right.
    """

    count: ArrayLike
    confidence: ArrayLike
    correct: ArrayLike


def empty_bins() -> Bins:
    """Return the bins before the first prediction."""
    return Bins(*(jnp.zeros(NUM_BINS),) * 3)


def add_to_bins(bins: Bins, probabilities: jax.Array, labels: jax.Array, mask: jax.Array) -> Bins:
    """Add probabilities float32 (N, K) with labels int32 (N,), where ``mask`` bool (N,) is True."""
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
    """Return the temperature, from 0.1 to 10, that divides the logits for the smallest cross-entropy.

    A network that is too confident gets one above 1. The faces should not be training faces. Source: Guo et
    al., "On Calibration of Modern Neural Networks", 2017.

    Args:
      logits: float32 (V, N, K); the probabilities of the V test-time views are averaged.
      labels: int32 (N,).
    """
    from scipy import optimize, special

    def loss(log_temperature: float) -> float:
        log_probabilities = special.log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=-1)
        mean = special.logsumexp(log_probabilities, axis=0) - np.log(len(logits))
        return float(-np.take_along_axis(mean, labels[:, None], -1).mean())

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.1), np.log(10)), method="bounded")
    return float(np.exp(found.x))
