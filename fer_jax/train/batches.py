"""Choose the faces that each step trains on, and how much each class counts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Batch(NamedTuple):
    """``images`` uint8 (B, 48, 48, 1), ``labels`` int32 (B,), ``targets`` and ``by_votes`` float32 (B, K).

    The last two may be None. Targets are distributions over the K classes, to learn from instead of the
    labels. ``by_votes`` are those that a teacher expects by what people said of the faces.
    """

    images: jax.Array
    labels: jax.Array
    targets: jax.Array | None = None
    by_votes: jax.Array | None = None


def epoch_order(
    key: jax.Array,
    labels: jax.Array,
    epoch: int,
    *,
    batch_size: int,
    sampling_weights: np.ndarray | None = None,
) -> jax.Array:
    """Draw the examples of an epoch's batches, int32 (steps, batch_size), from ``key`` and ``epoch`` alone.

    Args:
      key: for the order of all epochs.
      labels: int32 (N,).
      epoch: from 1.
      batch_size: at most N; the remainder of an epoch is left to the shuffles of later epochs.
      sampling_weights: float32 (K,), draws with replacement so that classes come in these proportions
        to their counts (``balance=sampling``); None takes each example at most once.
    """
    key = jax.random.fold_in(key, epoch)
    steps = len(labels) // batch_size
    if sampling_weights is None:
        order = jax.random.permutation(key, len(labels))
    else:
        probabilities = jnp.asarray(sampling_weights)[labels]
        order = jax.random.choice(key, len(labels), (len(labels),), p=probabilities / jnp.sum(probabilities))
    return order[: steps * batch_size].reshape(steps, batch_size).astype(jnp.int32)


def take_batch(data: Batch, order: jax.Array, row: jax.Array) -> Batch:
    """Take the examples in ``row`` of ``order``, int32 (steps, B), from the whole training set."""
    rows = order[row]
    return jax.tree.map(lambda values: values[rows], data)


def class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Weights float32 (K,) that give each class the same total: N / (classes present x count).

    scikit-learn's ``balanced`` (King and Zeng, 2001). A class without examples gets 0.
    """
    from sklearn.utils.class_weight import compute_class_weight

    present = np.unique(labels)
    weights = np.zeros(num_classes, np.float32)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return weights
