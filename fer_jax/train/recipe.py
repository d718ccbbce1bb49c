"""Make all that a run trains with from its config and its data; nothing is printed or written here."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import optax
from jax.sharding import Mesh

from fer_jax.checkpoints.weights import weight_shapes
from fer_jax.classifier import Classifier
from fer_jax.data.faces import Faces, Splits
from fer_jax.errors import UserError
from fer_jax.evaluate.metrics import accuracy
from fer_jax.evaluate.step import evaluate_batches, make_eval_step, placed_batches
from fer_jax.models import count_parameters, create_model
from fer_jax.models.forward import make_forward
from fer_jax.runtime.command import Config, side_of_network
from fer_jax.runtime.memory import total_bytes
from fer_jax.train.batches import class_weights, epoch_order
from fer_jax.train.epochs import Epochs
from fer_jax.train.examples import make_prepare
from fer_jax.train.loop import Plan, Program
from fer_jax.train.optimizer import create_optimizer, learning_rate_schedule
from fer_jax.train.state import TrainState, create_state
from fer_jax.train.step import make_loop_step, make_train_step
from fer_jax.train.teachers import cost_of_teaching, mean_probabilities, variables_to_start_from
from fer_jax.transforms.normalize import Normalization, fit_normalization


class Recipe(NamedTuple):
    """All that a run trains with: a fresh state, the statistics of its faces, and arguments of ``fit``."""

    state: TrainState
    normalization: Normalization
    program: Program
    plan: Plan


def make_recipe(
    config: Config,
    splits: Splits,
    mesh: Mesh,
    *,
    teachers: Sequence[Classifier] = (),
    initial: Classifier | None = None,
) -> Recipe:
    """Make the recipe of a run on the devices of ``mesh``.

    ``teachers`` are the networks that ``config["teacher"]`` names. ``initial`` is the one to start from; None
    for random weights.
    """
    train, batch_size = splits.train, min(config["batch_size"], len(splits.train))
    num_classes = len(splits.labels)
    model = create_model(config["model"], config[config["model"]], num_classes)
    normalization = fit_normalization(train.images, kind=config["normalize"])
    schedule = make_schedule(config, len(train))
    options = {name: config[name] for name in ("momentum", "weight_decay", "clip_norm")}
    optimizer = create_optimizer(schedule, name=config["optimizer"], **options)
    init_key, order_key, step_key = jax.random.split(jax.random.key(config["seed"]), 3)
    ema = config["ema_decay"] > 0
    variables = initial and variables_to_start_from(initial, splits.labels, init_key)
    state = create_state(init_key, model=model, optimizer=optimizer, ema=ema, initial=variables)
    step = make_train_step(
        model=model,
        optimizer=optimizer,
        normalization=normalization,
        normalize_kind=config["normalize"],
        prepare=_make_prepare(config, train, teachers, num_classes),
        ema_decay=config["ema_decay"],
        skip_nonfinite=config["nonfinite"] == "skip",
    )
    validate = _make_validate(config, splits.validation, batch_size, model, normalization, mesh)
    weights = class_weights(train.labels, num_classes) if config["balance"] == "sampling" else None
    plan = Plan(
        epochs=epochs_of(config),
        batch_size=batch_size,
        order=functools.partial(epoch_order, order_key, batch_size=batch_size, sampling_weights=weights),
        step_key=step_key,
        teaching=cost_of_teaching(teachers, state.params),
        count_skipped=config["nonfinite"] == "skip",
    )
    program = Program(make_loop_step(step, mesh, state), validate, schedule, mesh)
    return Recipe(state, normalization, program, plan)


def check_memory(config: Config, num_classes: int) -> None:
    """Raise UserError if the state of a training on the CPU needs more memory than there is."""
    if jax.default_backend() != "cpu" or (memory := total_bytes()) is None:
        return
    parameters = count_parameters(weight_shapes(config, num_classes).variables["params"])
    # The weights, their gradients, the optimizer's two moments, and the averages.
    needed = 5 * 4 * parameters
    if needed > memory:
        field = "mlp.hidden" if config["model"] == "mlp" else "cnn.widths and config.cnn.blocks"
        raise UserError(
            f"the network has {parameters:,} parameters; to train it takes {needed / 1e9:,.0f} GB of memory "
            f"or more, and there are {memory / 1e9:,.0f} GB; make config.{field} smaller"
        )


def make_schedule(config: Config, num_train: int) -> optax.Schedule:
    """Make the learning-rate schedule of the whole run: step -> rate."""
    steps_per_epoch = num_train // min(config["batch_size"], num_train)
    return learning_rate_schedule(
        peak=config["learning_rate"],
        warmup_steps=round(config["warmup_epochs"] * steps_per_epoch),
        total_steps=config["epochs"] * steps_per_epoch,
        name=config["schedule"],
    )


def epochs_of(config: Config) -> Epochs:
    """The number of epochs, the patience and the image sizes of a config."""
    return Epochs(config["epochs"], config["patience"], tuple(config["train_sides"]))


def with_sides_for(config: Config, overrides: Sequence[str], platform: str) -> Config:
    """Return ``config`` as it trains on ``platform``: at one size on a GPU or TPU, unless a flag differs.

    These make a step in milliseconds, and compile for most of a minute for each size of faces.
    """
    if platform == "cpu" or "train_sides" in overrides:
        return config
    return config | {"train_sides": [side_of_network(config)]}


def _make_prepare(config: Config, train: Faces, teachers: Sequence[Classifier], num_classes: int) -> Callable:
    return make_prepare(
        num_classes=num_classes,
        augmentation=config["augmentation"] if config["augment"] else None,
        class_weights=class_weights(train.labels, num_classes) if config["balance"] == "weights" else None,
        label_smoothing=config["label_smoothing"],
        mixup_alpha=config["mixup_alpha"],
        cutmix_alpha=config["cutmix_alpha"],
        teacher=mean_probabilities(teachers) if teachers else None,
        teacher_share=config["teacher_share"],
        votes_share=config["teacher_votes_share"],
    )


def _make_validate(
    config: Config, faces: Faces, batch_size: int, model: nn.Module, normalization: Normalization, mesh: Mesh
) -> Callable[[TrainState], tuple[float, float]]:
    """Make a function: state -> (loss, accuracy) on the validation ``faces``, each counted once.

    The first call puts the faces on the devices, where they stay.
    """
    step = make_eval_step(make_forward(model=model, normalize_kind=config["normalize"]), mesh)
    options = {"num_classes": model.num_classes, "mesh": mesh}

    @functools.cache
    def batches() -> list[tuple]:
        return list(placed_batches(faces.images, faces.labels, batch_size=batch_size, mesh=mesh))

    def validate(state: TrainState) -> tuple[float, float]:
        variables = state.variables()
        result = evaluate_batches(step, variables, normalization, batches(), len(faces), **options)
        return result.loss, accuracy(result.confusion)

    return validate
