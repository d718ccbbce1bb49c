"""fer_jax: its own step, loop, augmentation and evaluation, set up as main.py sets them up."""

from fer_jax.runtime.startup import configure_process

configure_process()

import flax.linen as nn  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from configs import cnn  # noqa: E402
from fer_jax.evaluate import step as evaluate  # noqa: E402
from fer_jax.models import create_model, layers  # noqa: E402
from fer_jax.runtime.progress import EpochProgress  # noqa: E402
from fer_jax.train.loop import run_epoch  # noqa: E402
from fer_jax.train.optimizer import create_optimizer  # noqa: E402
from fer_jax.train.state import create_state  # noqa: E402
from fer_jax.train.step import Batch, empty_totals, epoch_order, make_loop_step, make_train_step  # noqa: E402
from fer_jax.transforms.augment import augment  # noqa: E402
from fer_jax.transforms.normalize import fit_normalization  # noqa: E402
from stacks import (  # noqa: E402
    BATCH_SIZE,
    REFERENCE_HIDDEN,
    REFERENCE_POOL_AFTER,
    REFERENCE_WIDTHS,
    Work,
    random_faces,
)

_EPOCH_STEPS = 24


class Reference(nn.Module):
    """The network of the comparison, made of the package's layers."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, *, train):
        for index, width in enumerate(REFERENCE_WIDTHS):
            x = layers.conv(width, 3, dtype=self.dtype)(x)
            x = nn.relu(layers.BatchNorm(use_running_average=not train)(x))
            if index in REFERENCE_POOL_AFTER:
                x = layers.max_pool_2x2(x)
        x = nn.relu(nn.Dense(REFERENCE_HIDDEN, dtype=self.dtype)(x.reshape(x.shape[0], -1)))
        return nn.Dense(7)(x.astype(jnp.float32))


def prepare(benchmark: str, network: str, stack: str) -> Work:
    config = cnn.get_config()
    dtype = "bfloat16" if stack.endswith("bfloat16") else "float32"
    images, labels = random_faces()
    if benchmark == "augment":
        return _augment(config.augmentation.to_dict(), images)
    if network == "reference":
        model = Reference(jnp.dtype(dtype))
    else:
        model = create_model("cnn", config.cnn.to_dict() | {"dtype": dtype})
    if benchmark == "evaluate":
        return _evaluate(model, images, labels)
    if benchmark == "loop_share":
        images, labels = random_faces(_EPOCH_STEPS * BATCH_SIZE)
    setup = _setup(model, config, images, labels, augmented=stack == "fer_jax-augmented")
    if benchmark == "loop_share":
        return _epochs(*setup, by_loop=stack == "fer_jax-loop")
    return Work(_steps(*setup), BATCH_SIZE)


def _setup(model, config, images, labels, *, augmented: bool):
    """Compiled step, state, data and the order of their batches."""
    optimizer = create_optimizer(lambda _: config.learning_rate, weight_decay=config.weight_decay)
    step = make_train_step(
        model=model,
        optimizer=optimizer,
        normalization=fit_normalization(images, kind=config.normalize),
        normalize_kind=config.normalize,
        augmentation=config.augmentation.to_dict() if augmented else None,
        label_smoothing=config.label_smoothing,
        ema_decay=config.ema_decay,
    )
    state = create_state(jax.random.key(0), model=model, optimizer=optimizer, ema=True)
    data = Batch(jnp.asarray(images), jnp.asarray(labels))
    order = epoch_order(jax.random.key(1), data.labels, epoch=1, batch_size=BATCH_SIZE)
    return make_loop_step(step), state, data, order


def _steps(loop_step, state, data, order):
    """Steps one after the other, waiting for the last alone."""
    key = jax.random.key(1)

    def run(calls):
        nonlocal state
        totals = empty_totals()
        for call in range(calls):
            row = jnp.asarray(call % len(order), jnp.int32)
            state, totals = loop_step(state, totals, data, order, row, key)
        jax.block_until_ready(totals)

    return run


def _epochs(loop_step, state, data, order, *, by_loop: bool) -> Work:
    """A call is an epoch: by the loop of main.py with its progress and its watch on the loss, or bare."""
    steps = len(order)
    bare, key = _steps(loop_step, state, data, order), jax.random.key(1)

    def run(calls):
        nonlocal state
        for epoch in range(1, calls + 1):
            if not by_loop:
                bare(steps)
                continue
            progress = EpochProgress(
                epoch=epoch, epochs=calls, steps=steps, batch_size=BATCH_SIZE, epochs_left=calls - epoch
            )
            state, *_ = run_epoch(state, loop_step, data, order, key, progress)

    return Work(run, steps * BATCH_SIZE)


def _augment(ranges, images) -> Work:
    warp = jax.jit(lambda key, images: augment(key, images, **ranges))
    batch = jnp.asarray(images[:BATCH_SIZE])

    def run(calls):
        jax.block_until_ready([warp(jax.random.key(call), batch) for call in range(calls)])

    return Work(run, BATCH_SIZE)


def _evaluate(model, images, labels) -> Work:
    state = create_state(jax.random.key(0), model=model, optimizer=create_optimizer(lambda _: 0.0), ema=False)
    normalization = fit_normalization(images, kind="global")
    eval_step = evaluate.make_eval_step(evaluate.make_forward(model=model, normalize_kind="global"))

    def run(calls):
        for _ in range(calls):
            evaluate.evaluate(
                eval_step, state.variables(), normalization, images, labels, batch_size=BATCH_SIZE
            )

    return Work(run, len(images))
