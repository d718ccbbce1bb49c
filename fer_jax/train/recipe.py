"""What a run trains with, made from its config and its data; nothing is printed or written here."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from fer_jax.checkpoints.restore import Record
from fer_jax.checkpoints.save import Weights
from fer_jax.data.faces import Faces, Splits
from fer_jax.evaluate import run as run_evaluate
from fer_jax.evaluate import step as evaluate
from fer_jax.evaluate.metrics import accuracy
from fer_jax.models import count_parameters, create_model
from fer_jax.train.optimizer import create_optimizer, learning_rate_schedule
from fer_jax.train.state import TrainState, create_state
from fer_jax.train.step import make_loop_step, make_train_step
from fer_jax.transforms.normalize import Normalization, class_weights, fit_normalization


class Pieces(NamedTuple):
    """``state`` is fresh; the rest is as ``train.fit`` takes it."""

    state: TrainState
    normalization: Normalization
    schedule: Callable[[jax.Array], jax.Array]
    loop_step: Callable
    validate: Callable[[TrainState], tuple[float, float]]
    key: jax.Array
    teaching: float


def make_pieces(
    config: ConfigDict,
    splits: Splits,
    mesh: Mesh,
    *,
    teachers: Sequence[tuple[Weights, Record]] = (),
    initial: dict[str, Any] | None = None,
) -> Pieces:
    """All of them.

    Args:
      config: of the run.
      splits: its data.
      mesh: the devices that train.
      teachers: the networks that ``config.teacher`` names.
      initial: ``params`` and ``batch_stats`` to start from; random ones if None.
    """
    model = create_model(config.model, config[config.model].to_dict())
    normalization = fit_normalization(splits.train.images, kind=config.normalize)
    schedule = make_schedule(config, len(splits.train))
    optimizer = create_optimizer(
        schedule,
        name=config.optimizer,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
    )
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    train_step = make_train_step(
        model=model,
        optimizer=optimizer,
        normalization=normalization,
        normalize_kind=config.normalize,
        augmentation=config.augmentation.to_dict() if config.augment else None,
        class_weights=class_weights(splits.train.labels) if config.balance == "weights" else None,
        label_smoothing=config.label_smoothing,
        mixup_alpha=config.mixup_alpha,
        cutmix_alpha=config.cutmix_alpha,
        ema_decay=config.ema_decay,
        teacher=mean_probabilities(teachers) if teachers else None,
        teacher_share=config.teacher_share,
        skip_nonfinite=config.nonfinite == "skip",
    )
    forward = evaluate.make_forward(model=model, normalize_kind=config.normalize)
    state = create_state(
        init_key, model=model, optimizer=optimizer, ema=config.ema_decay > 0, initial=initial
    )
    return Pieces(
        state=state,
        normalization=normalization,
        schedule=schedule,
        loop_step=make_loop_step(train_step, mesh),
        validate=_make_validate(
            forward,
            normalization,
            splits.validation,
            mesh,
            batch_size=batch_size_of(config, len(splits.train)),
        ),
        key=run_key,
        teaching=cost_of_teaching([weights for weights, _ in teachers], state.params),
    )


def cost_of_teaching(teachers: Sequence[Weights], params: dict[str, Any]) -> float:
    """What the teachers' look at a face costs against a training step on it, roughly.

    Arithmetic goes with the parameters, and a step is three passes: forward, and two sorts of gradients.
    """
    looked = sum(count_parameters(teacher.variables["params"]) for teacher in teachers)
    return looked / (3 * count_parameters(params))


def batch_size_of(config: ConfigDict, num_train: int) -> int:
    """No more faces than there are."""
    return min(config.batch_size, num_train)


def make_schedule(config: ConfigDict, num_train: int) -> Callable[[jax.Array], jax.Array]:
    """The learning rate over the whole run: step -> rate."""
    steps_per_epoch = num_train // batch_size_of(config, num_train)
    return learning_rate_schedule(
        peak=config.learning_rate,
        warmup_steps=round(config.warmup_epochs * steps_per_epoch),
        total_steps=config.epochs * steps_per_epoch,
        name=config.schedule,
    )


def _make_validate(
    forward: Callable, normalization: Normalization, faces: Faces, mesh: Mesh, *, batch_size: int
) -> Callable[[TrainState], tuple[float, float]]:
    """State -> (loss, accuracy) on ``faces``, each counted once."""
    eval_step = evaluate.make_eval_step(forward, mesh)

    def validate(state: TrainState) -> tuple[float, float]:
        result = evaluate.evaluate(
            eval_step,
            state.variables(),
            normalization,
            faces.images,
            faces.labels,
            batch_size=batch_size,
            mesh=mesh,
        )
        return result.loss, accuracy(result.confusion)

    return validate


def mean_probabilities(networks: Sequence[tuple[Weights, Record]]) -> Callable[[jax.Array], jax.Array]:
    """Faces float32 (N, 48, 48, 1) -> probabilities (N, 7), the mean of trained networks."""
    forwards: list[Any] = [run_evaluate.make_forward(w, record.config, views="one") for w, record in networks]

    def probabilities(images: jax.Array) -> jax.Array:
        logs = (
            forward(weights.variables, weights.normalization, images)
            for forward, (weights, _) in zip(forwards, networks, strict=True)
        )
        return sum(jnp.exp(log) for log in logs) / len(forwards)

    return probabilities
