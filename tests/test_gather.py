"""Arrays gathered in one, and the train step that a GPU has by them, computed here on a CPU."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.models import create_model
from fer_jax.train.batches import Batch
from fer_jax.train.examples import make_prepare
from fer_jax.train.gather import gather
from fer_jax.train.optimizer import create_optimizer
from fer_jax.train.state import create_state
from fer_jax.train.step import _gathered, _with_norm, make_train_step
from fer_jax.transforms.normalize import fit_normalization


def tree():
    draw = np.random.default_rng(0)
    shapes = {"a": (3, 3, 2, 4), "b": {"c": (5,), "d": (1, 7)}, "e": ()}
    is_shape = lambda leaf: isinstance(leaf, tuple)  # noqa: E731
    return jax.tree.map(lambda s: jnp.asarray(draw.normal(size=s), jnp.float32), shapes, is_leaf=is_shape)


def test_gather_changes_nothing():
    gathered, flat = jax.jit(gather)(tree())
    jax.tree.map(np.testing.assert_array_equal, gathered, tree())
    assert flat.shape == (3 * 3 * 2 * 4 + 5 + 7 + 1,)


def test_norm_of_gathered_gradients():
    (plain, norm), (gathered, same) = _with_norm(tree()), _gathered(tree())
    jax.tree.map(np.testing.assert_array_equal, gathered, plain)
    np.testing.assert_allclose(same, norm, rtol=1e-6)


def as_on_a_gpu(*args, default, cuda=None, **_):
    return (cuda or default)(*args)


@pytest.mark.parametrize("optimizer", [pytest.param("adam", marks=pytest.mark.nightly), "muon"])
def test_a_step_as_a_gpu_has_it(optimizer, monkeypatch):
    """The branches that are not a CPU's give the same step, to the accuracy of float32."""
    draw = np.random.default_rng(1)
    batch = Batch(
        jnp.asarray(draw.integers(0, 256, (16, 48, 48, 1), np.uint8)),
        jnp.asarray(draw.integers(0, 7, 16, np.int32)),
    )
    options = {"widths": (4, 8), "blocks": (1, 1), "dropout": 0.0, "activation": "silu"}
    model, chosen = create_model("cnn", options), create_optimizer(lambda step: 1e-3, name=optimizer)
    state = create_state(jax.random.key(0), model=model, optimizer=chosen, ema=True)
    step = make_train_step(
        model=model,
        optimizer=chosen,
        normalization=fit_normalization(np.asarray(batch.images), kind="global"),
        normalize_kind="global",
        prepare=make_prepare(num_classes=7),
        ema_decay=0.9,
    )
    expected, metrics = jax.jit(step)(state, batch, jax.random.key(1))
    monkeypatch.setattr(jax.lax, "platform_dependent", as_on_a_gpu)
    found, same = jax.jit(lambda *args: step(*args))(state, batch, jax.random.key(1))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3)
    jax.tree.map(functools.partial(close, atol=1e-5), same, metrics)
    # Adam's first step goes by the sign, also of gradients that are rounding alone.
    atol = 2.1e-3 if optimizer == "adam" else 1e-4
    jax.tree.map(functools.partial(close, atol=atol), found.variables(), expected.variables())
    jax.tree.map(functools.partial(close, atol=2e-3), found.opt_state, expected.opt_state)
