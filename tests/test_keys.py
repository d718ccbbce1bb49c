"""No two uses of randomness share a key: within a step, between steps, and with the order of the faces."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from commands import nightly
from fer_jax.train.batches import Batch, epoch_order
from fer_jax.train.examples import make_prepare
from fer_jax.train.state import create_state
from fer_jax.train.step import make_train_step
from fer_jax.transforms.normalize import fit_normalization

DRAWS = ("bernoulli", "beta", "bits", "choice", "normal", "permutation", "randint", "uniform")
"""What draws numbers from a key."""
STEPS = 4 if nightly else 2  # each by itself, uncompiled
AUGMENTATION = {
    "rotation_range": 10.0,
    "horizontal_flip": True,
    "brightness_range": 0.2,
    "contrast_range": 0.2,
    "erasing_probability": 0.5,
}


class WithDropout(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dropout(0.5, deterministic=not train)(x[:, ::16, ::16].reshape(len(x), -1))
        return nn.Dense(7)(x)


@pytest.fixture
def used(monkeypatch):
    """The keys that numbers were drawn from, and those that were split: lists of their bits."""
    drawn, parted = [], []

    def noted(function, keys):
        def call(key, *args, **options):
            if depth[0] == 0:
                keys.append(tuple(np.asarray(jax.random.key_data(key)).ravel().tolist()))
            depth[0] += 1
            try:
                return function(key, *args, **options)
            finally:
                depth[0] -= 1

        return call

    depth = [0]
    for name in DRAWS:
        monkeypatch.setattr(jax.random, name, noted(getattr(jax.random, name), drawn))
    monkeypatch.setattr(jax.random, "split", noted(jax.random.split, parted))
    return drawn, parted


@pytest.mark.parametrize("mixing", [pytest.param("mixup_alpha", marks=pytest.mark.nightly), "cutmix_alpha"])
def test_each_key_has_one_use(used, mixing):
    drawn, parted = used
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48, 1), np.uint8)
    batch = Batch(jnp.asarray(images), jnp.arange(6, dtype=jnp.int32))
    model, optimizer = WithDropout(), optax.sgd(0.1)
    step = make_train_step(
        model=model,
        optimizer=optimizer,
        normalization=fit_normalization(images, kind="global"),
        normalize_kind="global",
        prepare=make_prepare(num_classes=7, augmentation=AUGMENTATION, **{mixing: 0.4}),
    )
    _, order_key, step_key = jax.random.split(jax.random.key(0), 3)
    state = create_state(jax.random.key(1), model=model, optimizer=optimizer, ema=False)
    drawn.clear(), parted.clear()
    with jax.disable_jit():
        for number in range(STEPS):
            epoch_order(order_key, batch.labels, number, batch_size=2)
            at = state.replace(step=jnp.asarray(number, jnp.int32))
            step(at, batch, step_key)
    assert len(drawn) >= STEPS * (1 + 4 + 2 + 5 + 2 + 1)  # order, warp, light, erasing, mixing, dropout
    for first, second in itertools.combinations([*drawn, *set(parted)], 2):
        assert first != second
