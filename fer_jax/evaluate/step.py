"""The eval step, and adding it up over a split so that each image counts exactly once."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fer_jax.evaluate.calibration import Bins, add_to_bins, empty_bins
from fer_jax.labels import NUM_CLASSES
from fer_jax.runtime.sharding import replicate, replicated, share_out
from fer_jax.transforms.normalize import Normalization, normalize
from fer_jax.transforms.views import make_views, view_log_probabilities


class EvalTotals(NamedTuple):
    """Sums over the faces of a split.

    Attributes:
      confusion: int32 (7, 7), rows true, columns predicted.
      loss: float32 (), cross-entropy.
      bins: see ``calibration.Bins``.
    """

    confusion: jax.Array
    loss: jax.Array
    bins: Bins


class Evaluation(NamedTuple):
    """``confusion`` int64 (7, 7), ``loss`` the mean cross-entropy, ``bins`` of confidence, on the host."""

    confusion: np.ndarray
    loss: float
    bins: Bins


def empty_totals() -> EvalTotals:
    """Totals before the first batch."""
    return EvalTotals(jnp.zeros((NUM_CLASSES, NUM_CLASSES), jnp.int32), jnp.zeros(()), empty_bins())


def make_logits(
    *, model: nn.Module, normalize_kind: str, views: str = "one"
) -> Callable[[dict[str, Any], Normalization, jax.Array], jax.Array]:
    """A pure ``(variables, normalization, images) -> logits`` float32 (V, N, 7), of each test-time view.

    Images uint8 (N, 48, 48, 1).
    """

    def logits_of(variables, normalization, images):
        seen = make_views(images, views=views)
        flat = seen.reshape(-1, *seen.shape[2:])
        logits = model.apply(variables, normalize(flat, normalization, kind=normalize_kind), train=False)
        return logits.reshape(*seen.shape[:2], -1)

    return logits_of


def make_forward(
    *, model: nn.Module, normalize_kind: str, views: str = "one", temperature: float = 1.0
) -> Callable[[dict[str, Any], Normalization, jax.Array], jax.Array]:
    """A pure ``(variables, normalization, images) -> log-probabilities`` float32 (N, 7).

    Images uint8 (N, 48, 48, 1); the probabilities are the mean over the test-time ``views``, each from
    logits divided by the ``temperature``.
    """
    logits_of = make_logits(model=model, normalize_kind=normalize_kind, views=views)

    def forward(variables, normalization, images):
        return view_log_probabilities(logits_of(variables, normalization, images) / temperature)

    return forward


def make_eval_step(forward: Callable, mesh: Mesh | None = None) -> Callable:
    """Compiles ``(totals, variables, normalization, images, labels, mask) -> totals``.

    ``mask`` bool (N,) is False on padding, which adds nothing. ``mesh`` is of the devices that share a batch,
    None for one device.
    """

    def eval_step(totals, variables, normalization, images, labels, mask):
        log_probabilities = forward(variables, normalization, images)
        predicted = jnp.argmax(log_probabilities, -1)
        losses = -jnp.take_along_axis(log_probabilities, labels[:, None], -1)[:, 0]
        return EvalTotals(
            confusion=totals.confusion.at[labels, predicted].add(mask.astype(jnp.int32)),
            loss=totals.loss + jnp.sum(jnp.where(mask, losses, 0.0)),
            bins=add_to_bins(totals.bins, jnp.exp(log_probabilities), labels, mask),
        )

    return jax.jit(eval_step) if mesh is None else jax.jit(eval_step, out_shardings=replicated(mesh))


def padded_batches(count: int, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows int32 (B,) and mask bool (B,) of batches that cover each row once; padding repeats row 0."""
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size, dtype=np.int32)
        mask = rows < count
        yield np.where(mask, rows, 0), mask


def evaluate(
    eval_step: Callable,
    variables: dict[str, Any],
    normalization: Normalization,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    mesh: Mesh | None = None,
) -> Evaluation:
    """Confusion matrix, mean cross-entropy and bins of confidence over all images.

    Args:
      eval_step: from ``make_eval_step``.
      variables, normalization: of the network.
      images: uint8 (N, 48, 48, 1).
      labels: int32 (N,).
      batch_size: images at a time, a multiple of the devices; the figures do not depend on it.
      mesh: that of ``eval_step``.
    """
    totals = empty_totals()
    if mesh is not None:
        totals, normalization = replicate(mesh, totals), replicate(mesh, normalization)
    for rows, mask in padded_batches(len(images), batch_size):
        batch = images[rows], labels[rows], mask
        if mesh is not None:
            batch = share_out(mesh, batch)
        totals = eval_step(totals, variables, normalization, *batch)
    return Evaluation(
        np.asarray(totals.confusion, np.int64),
        float(totals.loss) / max(len(images), 1),
        Bins(*map(np.asarray, totals.bins)),
    )


def predict_probabilities(
    forward: Callable,
    variables: dict[str, Any],
    normalization: Normalization,
    images: np.ndarray,
    *,
    batch_size: int,
) -> np.ndarray:
    """Probabilities float32 (N, 7) of images uint8 (N, 48, 48, 1); ``forward`` may be compiled."""
    parts = [np.zeros((0, NUM_CLASSES), np.float32)]
    for rows, mask in padded_batches(len(images), batch_size):
        log_probabilities = forward(variables, normalization, images[rows])
        parts.append(np.exp(np.asarray(log_probabilities))[mask])
    return np.concatenate(parts)
