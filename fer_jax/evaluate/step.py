"""Evaluate a network on a split, each image exactly once: scores per batch, added up on the device."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fer_jax.data.batches import padded_batches
from fer_jax.evaluate.calibration import Bins, add_to_bins, empty_bins
from fer_jax.runtime.sharding import replicate, replicated, share_out
from fer_jax.transforms.normalize import Normalization


class Scores(NamedTuple):
    """Sums over faces whose probabilities are compared with their labels.

    Attributes:
      confusion: int32 (K, K) for K classes, rows true, columns predicted.
      loss: float32 (), sum of the cross-entropies.
      bins: see ``calibration.Bins``.
    """

    confusion: jax.Array
    loss: jax.Array
    bins: Bins


class Evaluation(NamedTuple):
    """The scores of a split on the host: ``confusion`` int64 (K, K), mean ``loss``, and ``bins``."""

    confusion: np.ndarray
    loss: float
    bins: Bins


def empty_scores(num_classes: int) -> Scores:
    """Return the scores before the first face."""
    return Scores(jnp.zeros((num_classes, num_classes), jnp.int32), jnp.zeros(()), empty_bins())


def add_scores(scores: Scores, log_probabilities: jax.Array, labels: jax.Array, mask: jax.Array) -> Scores:
    """Add log-probabilities float32 (N, K) of faces with labels int32 (N,) to the scores.

    ``mask`` bool (N,) is False on padding, which adds nothing.
    """
    predicted = jnp.argmax(log_probabilities, -1)
    losses = -jnp.take_along_axis(log_probabilities, labels[:, None], -1)[:, 0]
    return Scores(
        confusion=scores.confusion.at[labels, predicted].add(mask.astype(jnp.int32)),
        loss=scores.loss + jnp.sum(jnp.where(mask, losses, 0.0)),
        bins=add_to_bins(scores.bins, jnp.exp(log_probabilities), labels, mask),
    )


def score_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Score probabilities float (N, K) against labels int (N,)."""
    logs = jnp.log(jnp.maximum(jnp.asarray(probabilities, jnp.float32), 1e-30))
    mask, empty = jnp.ones(len(labels), bool), empty_scores(probabilities.shape[1])
    return _to_host(add_scores(empty, logs, jnp.asarray(labels, jnp.int32), mask), len(labels))


def make_eval_step(forward: Callable, mesh: Mesh | None = None) -> Callable:
    """Compile ``(scores, variables, normalization, images, labels, mask) -> scores``; see ``add_scores``.

    The devices of ``mesh`` share each batch; None for one device.
    """

    def eval_step(scores, variables, normalization, images, labels, mask):
        return add_scores(scores, forward(variables, normalization, images), labels, mask)

    return jax.jit(eval_step) if mesh is None else jax.jit(eval_step, out_shardings=replicated(mesh))


def evaluate(
    eval_step: Callable,
    variables: dict[str, Any],
    normalization: Normalization,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    num_classes: int,
    batch_size: int,
    mesh: Mesh | None = None,
) -> Evaluation:
    """Return the confusion matrix, the mean cross-entropy and the bins of confidence over all images.

    Args:
      eval_step: from ``make_eval_step``, with the same ``mesh``.
      variables, normalization: of the network.
      images: uint8 (N, 48, 48, 1).
      labels: int32 (N,).
      num_classes: of the network.
      batch_size: images at a time, a multiple of the devices; the figures do not depend on it.
      mesh: devices that share each batch; None for one device.
    """
    batches = placed_batches(images, labels, batch_size=batch_size, mesh=mesh)
    options = {"num_classes": num_classes, "mesh": mesh}
    return evaluate_batches(eval_step, variables, normalization, batches, len(images), **options)


def placed_batches(
    images: np.ndarray, labels: np.ndarray, *, batch_size: int, mesh: Mesh | None = None
) -> Iterator[tuple]:
    """Yield the batches of ``evaluate``: images, labels and mask; on the devices of ``mesh`` unless None."""
    for rows, mask in padded_batches(len(images), batch_size):
        batch = images[rows], labels[rows], mask
        yield batch if mesh is None else share_out(mesh, batch)


def evaluate_batches(
    eval_step: Callable,
    variables: dict[str, Any],
    normalization: Normalization,
    batches: Iterable[tuple],
    count: int,
    *,
    num_classes: int,
    mesh: Mesh | None = None,
) -> Evaluation:
    """Evaluate, as ``evaluate`` does, batches from ``placed_batches`` that hold ``count`` images in all."""
    scores = empty_scores(num_classes)
    if mesh is not None:
        scores, normalization = replicate(mesh, (scores, normalization))
    for batch in batches:
        scores = eval_step(scores, variables, normalization, *batch)
    return _to_host(scores, count)


def _to_host(scores: Scores, count: int) -> Evaluation:
    bins = Bins(*map(np.asarray, scores.bins))
    return Evaluation(np.asarray(scores.confusion, np.int64), float(scores.loss) / max(count, 1), bins)
