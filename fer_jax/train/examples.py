"""Make from a batch what a step learns from: augmented faces, targets, and the weight of each."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax.labels import SIDE
from fer_jax.train.batches import Batch
from fer_jax.transforms.augment import augment
from fer_jax.transforms.mixing import cutmix, mixup

_TINY = 1e-8
"""Is added to probabilities, so that their logarithms are finite."""


class Examples(NamedTuple):
    """The examples that a step learns from.

    Attributes:
      images: float32 (B, S, S, 1), grey levels.
      targets: float32 (B, K), a distribution over the classes.
      weights: float32 (B,), the factors of the losses.
    """

    images: jax.Array
    targets: jax.Array
    weights: jax.Array


def make_prepare(
    *,
    num_classes: int,
    augmentation: Mapping[str, Any] | None = None,
    class_weights: np.ndarray | None = None,
    label_smoothing: float = 0.0,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
    teacher: Callable[[jax.Array], jax.Array] | None = None,
    teacher_share: float = 0.0,
    votes_share: float = 0.0,
) -> Callable[[jax.Array, jax.Array, Batch, int], Examples]:
    """Make a pure ``(augment_key, mixing_key, batch, image_size) -> Examples``.

    Args:
      num_classes: K.
      augmentation: arguments of ``augment.augment``; None for no augmentation.
      class_weights: float32 (K,), weights of examples by class; a blended example gets their mean.
      label_smoothing: share of the target spread evenly over the classes (Szegedy et al., 2016).
      mixup_alpha, cutmix_alpha: see ``mixing.mixup`` and ``mixing.cutmix``; 0 for none.
      teacher: maps the augmented faces, in grey levels and full size, to probabilities (B, K) (Hinton et
        al., "Distilling the Knowledge in a Neural Network", 2015). It sees the same augmented faces as the
        network (Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", 2022).
      teacher_share: share of the teacher's probabilities in the targets, 0 to 1.
      votes_share: of the batch's probabilities by votes in what a teacher says, 0 to 1; see ``said``.
    """
    by_class = jnp.asarray(np.ones(num_classes) if class_weights is None else class_weights, jnp.float32)
    options = {"augmentation": augmentation, "mixup_alpha": mixup_alpha, "cutmix_alpha": cutmix_alpha}
    options |= {"num_classes": num_classes}

    def prepare(augment_key, mixing_key, batch, image_size):
        images, targets = _augmented(augment_key, mixing_key, batch, image_size, **options)
        targets, by_votes = jnp.split(targets, [num_classes], 1)
        weights = targets @ by_class
        targets = optax.smooth_labels(targets, label_smoothing)
        if teacher is not None or by_votes.size:
            # The same keys give the same faces, here at the teacher's size.
            full_size, _ = _augmented(augment_key, mixing_key, batch, SIDE, **options)
            seen = teacher and jax.lax.stop_gradient(teacher(full_size))
            taught = said(seen, by_votes, votes_share)
            targets = (1 - teacher_share) * targets + teacher_share * taught
        return Examples(images, targets, weights)

    return prepare


def said(seen: jax.Array | None, by_votes: jax.Array, share: float) -> jax.Array:
    """What a teacher says who may know more of a face than it shows: its votes.

    Lopez-Paz et al., "Unifying distillation and privileged information", 2016.

    Args:
      seen: float32 (B, K), probabilities by what the face shows; None where nobody looked.
      by_votes: float32 (B, K), probabilities by the votes, or (B, 0) without votes.
      share: of the latter in the weighted geometric mean of both, which is scaled to sum to 1.
    """
    if seen is None or not by_votes.size:
        return by_votes if seen is None else seen
    return jax.nn.softmax((1 - share) * jnp.log(seen + _TINY) + share * jnp.log(by_votes + _TINY))


def _augmented(
    augment_key: jax.Array,
    mixing_key: jax.Array,
    batch: Batch,
    image_size: int,
    *,
    num_classes: int,
    augmentation: Mapping[str, Any] | None,
    mixup_alpha: float,
    cutmix_alpha: float,
) -> tuple[jax.Array, jax.Array]:
    """Augmented and mixed images float32 (B, S, S, 1), and their targets float32 (B, K).

    Probabilities by votes are mixed alike, and stand behind the targets, in (B, 2 K), where there are some.
    """
    targets = jax.nn.one_hot(batch.labels, num_classes) if batch.targets is None else batch.targets
    if batch.by_votes is not None:
        targets = jnp.concatenate([targets, batch.by_votes], 1)
    # Without augmentation, and at 48 pixels, this leaves the images as they are.
    images = augment(augment_key, batch.images, size=(image_size, image_size), **(augmentation or {}))
    if mixup_alpha:
        images, targets = mixup(mixing_key, images, targets, alpha=mixup_alpha)
    if cutmix_alpha:
        images, targets = cutmix(mixing_key, images, targets, alpha=cutmix_alpha)
    return images, targets
