"""fer_jax: its own step, loop, augmentation and evaluation, set up as main.py sets them up."""

from fer_jax.runtime.startup import configure_process

configure_process()

import functools  # noqa: E402
from typing import NamedTuple  # noqa: E402

import flax.linen as nn  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from configs import cnn  # noqa: E402
from fer_jax.evaluate.step import evaluate, make_eval_step  # noqa: E402
from fer_jax.models import create_model, layers  # noqa: E402
from fer_jax.models.forward import make_forward  # noqa: E402
from fer_jax.runtime.sharding import make_mesh, place_state, replicate  # noqa: E402
from fer_jax.train.batches import Batch, epoch_order  # noqa: E402
from fer_jax.train.epochs import Epochs, EpochTotals, Position  # noqa: E402
from fer_jax.train.examples import make_prepare  # noqa: E402
from fer_jax.train.loop import Hooks, Plan, Program, fit  # noqa: E402
from fer_jax.train.optimizer import create_optimizer  # noqa: E402
from fer_jax.train.state import TrainState, create_state  # noqa: E402
from fer_jax.train.step import make_loop_step, make_train_step  # noqa: E402
from fer_jax.transforms.augment import augment  # noqa: E402
from fer_jax.transforms.normalize import fit_normalization  # noqa: E402
from stacks import (  # noqa: E402
    BATCH_SIZE,
    REFERENCE_HIDDEN,
    REFERENCE_POOL_AFTER,
    REFERENCE_WIDTHS,
    Work,
    cnn_sizes,
    random_faces,
)

_EPOCH_STEPS = 24


class Setup(NamedTuple):
    """What trains, on the device. ``key`` draws the order of the faces and all that is random in a step."""

    program: Program
    state: TrainState
    data: Batch
    key: jax.Array


class Reference(nn.Module):
    """The network of the comparison, made of the package's layers."""

    dtype: jnp.dtype = jnp.float32
    num_classes: int = 7

    @nn.compact
    def __call__(self, x, *, train):
        for index, width in enumerate(REFERENCE_WIDTHS):
            x = layers.conv(width, 3, dtype=self.dtype)(x)
            x = nn.relu(layers.BatchNorm(use_running_average=not train)(x))
            if index in REFERENCE_POOL_AFTER:
                x = layers.max_pool_2x2(x)
        x = nn.relu(nn.Dense(REFERENCE_HIDDEN, dtype=self.dtype)(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.num_classes)(x.astype(jnp.float32))


def prepare(benchmark: str, network: str, stack: str) -> Work:
    config = cnn.get_config()
    dtype = "bfloat16" if stack.endswith("bfloat16") else "float32"
    images, labels = random_faces()
    if benchmark == "augment":
        return _augment(config.augmentation.to_dict(), images)
    if network == "reference":
        model = Reference(jnp.dtype(dtype))
    else:
        model = create_model("cnn", config.cnn.to_dict() | cnn_sizes(network) | {"dtype": dtype})
    if benchmark == "evaluate":
        return _evaluate(model, images, labels)
    if benchmark == "loop_share":
        images, labels = random_faces(_EPOCH_STEPS * BATCH_SIZE)
    setup = _setup(model, config, images, labels, augmented=stack == "fer_jax-augmented")
    if stack == "fer_jax-loop":
        return _loop(setup)
    steps = len(labels) // BATCH_SIZE if benchmark == "loop_share" else 1
    return _steps(setup, steps)


def _setup(model, config, images, labels, *, augmented: bool) -> Setup:
    optimizer = create_optimizer(lambda _: config.learning_rate, weight_decay=config.weight_decay)
    prepare = make_prepare(
        num_classes=7,
        augmentation=config.augmentation.to_dict() if augmented else None,
        label_smoothing=config.label_smoothing,
    )
    step = make_train_step(
        model=model,
        optimizer=optimizer,
        normalization=fit_normalization(images, kind=config.normalize),
        normalize_kind=config.normalize,
        prepare=prepare,
        ema_decay=config.ema_decay,
    )
    # One device, as the other stacks use.
    mesh = make_mesh(1)
    state = create_state(jax.random.key(0), model=model, optimizer=optimizer, ema=True)
    program = Program(
        make_loop_step(step, mesh, state),
        validate=lambda state: (0.0, 0.0),
        schedule=lambda step: config.learning_rate,
        mesh=mesh,
    )
    parts = Batch(images, labels), jax.random.key(1)
    return Setup(program, place_state(mesh, state), *(replicate(mesh, part) for part in parts))


def _steps(setup: Setup, steps: int) -> Work:
    """A call is so many steps one after the other; only the last of all calls is waited for."""
    program, state, data, key = setup
    order = epoch_order(key, data.labels, epoch=1, batch_size=BATCH_SIZE)
    order = replicate(program.mesh, order)

    def run(calls):
        nonlocal state
        totals = replicate(program.mesh, EpochTotals().packed())
        for number in range(calls * steps):
            row = np.int32(number % len(order))
            state, totals = program.step(state, totals, data, order, row, key)
        jax.block_until_ready(totals)

    return Work(run, steps * BATCH_SIZE)


def _loop(setup: Setup) -> Work:
    """A call is an epoch by the loop of main.py, with its progress and its watch on the loss."""
    program, state, data, key = setup
    order = functools.partial(epoch_order, key, batch_size=BATCH_SIZE)
    hooks = Hooks(on_epoch=lambda state, position: None)

    def run(calls):
        nonlocal state
        plan = Plan(Epochs(calls), BATCH_SIZE, order=order, step_key=key)
        position = Position([])
        state, _ = fit(state, data, program=program, plan=plan, hooks=hooks, position=position)

    return Work(run, len(data.labels) // BATCH_SIZE * BATCH_SIZE)


def _augment(ranges, images) -> Work:
    warp = jax.jit(lambda key, images: augment(key, images, **ranges))
    batch = jnp.asarray(images[:BATCH_SIZE])

    def run(calls):
        jax.block_until_ready([warp(jax.random.key(call), batch) for call in range(calls)])

    return Work(run, BATCH_SIZE)


def _evaluate(model, images, labels) -> Work:
    state = create_state(jax.random.key(0), model=model, optimizer=create_optimizer(lambda _: 0.0), ema=False)
    normalization = fit_normalization(images, kind="global")
    eval_step = make_eval_step(make_forward(model=model, normalize_kind="global"))

    def run(calls):
        for _ in range(calls):
            evaluate(
                eval_step,
                state.variables(),
                normalization,
                images,
                labels,
                num_classes=7,
                batch_size=BATCH_SIZE,
            )

    return Work(run, len(images))
