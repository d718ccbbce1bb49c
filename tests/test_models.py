"""Layers against Flax's own; the networks' shapes and sizes."""

import itertools
import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from configs import cnn, mlp, tiny
from fer_jax.models import count_parameters, create_model, init_variables, layers, parameter_table

TINY = {
    "cnn": {"widths": (3, 5), "blocks": (1, 2), "dropout": 0.5, "dtype": "float32"},
    "mlp": {"hidden": (6, 4), "dropout": 0.5},
}
NETWORKS = pytest.mark.parametrize("name", list(TINY))


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_max_pool_values_and_gradients():
    x, weights = normal(0, 3, 6, 8, 2), normal(1, 3, 3, 4, 2)
    ours, our_pullback = jax.vjp(layers.max_pool_2x2, x)
    flax, flax_pullback = jax.vjp(lambda x: nn.max_pool(x, (2, 2), (2, 2)), x)
    assert np.array_equal(ours, flax)
    assert np.array_equal(our_pullback(weights)[0], flax_pullback(weights)[0])


def test_bfloat16_computes_about_the_same():
    names = {"widths": (8, 8), "blocks": (1, 1), "dropout": 0.0}
    x = normal(5, 16, 48, 48, 1)
    exact = create_model("cnn", names | {"dtype": "float32"})
    model = create_model("cnn", names | {"dtype": "bfloat16"})
    variables = init_variables(exact, jax.random.key(0))

    @partial(jax.jit, static_argnums=0)
    def apply(model):
        return model.apply(variables, x, train=True, mutable=["batch_stats"])

    (coarse, stats), (fine, _) = apply(model), apply(exact)
    assert coarse.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(stats)} == {jnp.dtype("float32")}
    assert not np.array_equal(coarse, fine)
    np.testing.assert_allclose(coarse, fine, atol=0.05 * np.abs(fine).max())


@pytest.mark.parametrize("shape", [(3, 2, 2, 4), (3, 1, 1, 4), (3, 2, 1, 4), (3, 3, 2, 4)])
def test_conv_of_tiny_images_is_flaxs(shape):
    """Values and gradients, by the same parameters."""
    ours = layers.conv(5, 3)
    flax = nn.Conv(5, (3, 3), use_bias=False)
    x, kernel = normal(0, *shape), {"params": {"kernel": normal(1, 3, 3, 4, 5)}}
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(0), x)) == jax.tree.map(jnp.shape, kernel)
    np.testing.assert_allclose(ours.apply(kernel, x), flax.apply(kernel, x), atol=1e-5)

    def gradients(layer):
        weights = normal(2, *shape[:3], 5)
        return jax.grad(lambda v, x: jnp.sum(weights * layer.apply(v, x) ** 2), argnums=(0, 1))(kernel, x)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), gradients(ours), gradients(flax)
    )


def batch_norms(*, train):
    """Ours and Flax's; both take the same variables."""
    options = {"use_running_average": not train, "momentum": 0.8, "epsilon": 1e-3}
    return layers.BatchNorm(**options), nn.BatchNorm(**options)


def batch_norm_variables():
    return {
        "params": {"scale": normal(2, 5), "bias": normal(3, 5)},
        "batch_stats": {"mean": normal(4, 5), "var": jnp.exp(normal(5, 5))},
    }


def assert_trees_close(ours, flax):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, flax)


BATCH_NORM_INPUTS = pytest.mark.parametrize("shape", [(16, 5), (4, 3, 6, 5)])


def test_batch_norm_starts_as_flaxs():
    x = normal(6, 4, 3, 3, 5)
    ours, flax = (module.init(jax.random.key(0), x) for module in batch_norms(train=True))
    assert jax.tree.structure(ours) == jax.tree.structure(flax)
    jax.tree.map(np.testing.assert_array_equal, ours, flax)


@BATCH_NORM_INPUTS
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_outputs_and_running_statistics(shape, train):
    x, variables = normal(7, *shape) * 2 + 0.7, batch_norm_variables()
    ours, flax = (module.apply(variables, x, mutable=["batch_stats"]) for module in batch_norms(train=train))
    assert_trees_close(ours, flax)
    changed = not np.array_equal(ours[1]["batch_stats"]["mean"], variables["batch_stats"]["mean"])
    assert changed == train


@BATCH_NORM_INPUTS
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_gradients(shape, train):
    x, variables, weights = normal(8, *shape) * 2 + 0.7, batch_norm_variables(), normal(9, *shape)

    def gradients(module):
        def weighted_sum(params, x):
            y, _ = module.apply({**variables, "params": params}, x, mutable=["batch_stats"])
            return jnp.sum(y * weights)

        return jax.grad(weighted_sum, (0, 1))(variables["params"], x)

    ours, flax = map(gradients, batch_norms(train=train))
    assert_trees_close(ours, flax)


def test_batch_norm_of_a_constant_feature_is_finite():
    """The variance as a difference of means may round to below zero."""
    module = layers.BatchNorm(use_running_average=False, epsilon=1e-12)
    x = jnp.full((1000, 1), 1000.1, jnp.float32)
    y, _ = module.init_with_output(jax.random.key(0), x)
    assert np.all(np.isfinite(y))


@pytest.mark.parametrize(("stride", "sides"), [(1, [48, 24]), (2, [24, 12])])
def test_stem_stride_sets_the_sides_of_the_stages(stride, sides):
    model = create_model("cnn", TINY["cnn"] | {"stem_stride": stride})
    assert [model.stage_side(0), model.stage_side(1)] == sides
    shapes = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False, capture_intermediates=True),
        jnp.zeros((1, 48, 48, 1)),
    )[1]["intermediates"]
    blocks = [shapes[f"ResidualBlock_{number}"]["__call__"][0].shape for number in range(3)]
    (first, second), (few, many) = sides, TINY["cnn"]["widths"]
    assert blocks == [(1, first, first, few), *[(1, second, second, many)] * 2]


def test_a_larger_side_scales_faces_as_pillow_does():
    model = create_model("cnn", TINY["cnn"] | {"side": 64})
    variables = init_variables(model, jax.random.key(0))
    faces = np.asarray(normal(10, 3, 48, 48, 1))
    scaled = [Image.fromarray(face[..., 0]).resize((64, 64), Image.Resampling.BILINEAR) for face in faces]
    logits = model.apply(variables, faces, train=False)
    expected = model.apply(variables, np.stack(scaled)[..., None], train=False)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    smaller = create_model("cnn", TINY["cnn"]).apply(variables, faces, train=False)
    assert np.abs(logits - smaller).max() > 0.01
    assert [model.stage_side(0), model.stage_side(1)] == [32, 16]


@NETWORKS
def test_logits_shape_and_dtype(name):
    model = create_model(name, TINY[name])
    variables = init_variables(model, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}

    def apply(variables, x):
        return model.apply(variables, x, train=False)

    logits = jax.eval_shape(apply, variables, jax.ShapeDtypeStruct((5, 48, 48, 1), jnp.float32))
    assert logits.shape == (5, 7)
    assert logits.dtype == jnp.float32


@NETWORKS
def test_dropout_and_batch_statistics_only_in_training(name):
    model = create_model(name, TINY[name])
    variables = init_variables(model, jax.random.key(0))
    images = normal(10, 4, 48, 48, 1)

    def apply(train, seed):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(variables, images, train=train, rngs=rngs, mutable=["batch_stats"])

    first, stats = apply(True, 0)
    assert not np.array_equal(first, apply(True, 1)[0])
    assert not np.array_equal(jax.tree.leaves(stats)[0], jax.tree.leaves(variables["batch_stats"])[0])
    calm, stats = apply(False, 0)
    assert np.array_equal(calm, apply(False, 1)[0])
    jax.tree.map(np.testing.assert_array_equal, stats["batch_stats"], variables["batch_stats"])


def configured_parameters(config):
    model = create_model(config.model, config[config.model].to_dict())
    return jax.eval_shape(lambda key: init_variables(model, key), jax.random.key(0))["params"]


def test_networks_are_of_about_the_same_size():
    """So that the comparison is between architectures."""
    sizes = [count_parameters(configured_parameters(module.get_config())) for module in (cnn, mlp)]
    assert max(sizes) <= 1.05 * min(sizes)


def test_tiny_is_tiny():
    assert count_parameters(configured_parameters(tiny.get_config())) <= 100_000


def test_mlp_parameters_in_closed_form():
    sizes = [48 * 48, *mlp.get_config().mlp.hidden]
    hidden = sum(a * b + 2 * b for a, b in itertools.pairwise(sizes))
    assert count_parameters(configured_parameters(mlp.get_config())) == hidden + sizes[-1] * 7 + 7


@NETWORKS
def test_parameter_table_adds_up(name):
    params = init_variables(create_model(name, TINY[name]), jax.random.key(0))["params"]
    *rows, total = parameter_table(params).splitlines()
    counts = [int(line.split()[-1].replace(",", "")) for line in rows]
    expected = sum(np.asarray(leaf).size for leaf in jax.tree.leaves(params))
    assert sum(counts) == int(total.split()[-1].replace(",", "")) == expected == count_parameters(params)
    last_width = {"cnn": 5, "mlp": 4}[name]
    dense = next(line for line in reversed(rows) if re.match(r" *Dense_\d", line))
    assert f"{last_width} x 7" in dense
    assert dense.split()[-1] == str(last_width * 7 + 7)


def test_parameter_table_by_block():
    """A line for each block, not for each of its layers; the same total."""
    params = init_variables(create_model("cnn", TINY["cnn"]), jax.random.key(0))["params"]
    *rows, total = parameter_table(params, by_block=True).splitlines()
    assert [row.split()[0] for row in rows] == sorted(params)
    assert [int(row.split()[-1].replace(",", "")) for row in rows] == [
        count_parameters(params[name]) for name in sorted(params)
    ]
    assert total.split() == parameter_table(params).splitlines()[-1].split()
    assert "3 x 3 x 1 x 3" in rows[[row.split()[0] for row in rows].index("Conv_0")]


def test_unknown_model():
    with pytest.raises(ValueError, match=r"model='resnet' is unknown; choose one of mlp, cnn"):
        create_model("resnet", {})


@BATCH_NORM_INPUTS
def test_batch_norm_in_few_kernels_is_the_same(shape):
    """What a GPU computes, here on a CPU: outputs and gradients of the sums in parts."""
    x, variables, weights = normal(8, *shape) * 2 + 0.7, batch_norm_variables()["params"], normal(9, *shape)
    arguments = x, variables["scale"], variables["bias"]
    (y, mean, var), moments = layers.norm_in_few_kernels(*arguments, 1e-3)
    gradients = layers.gradients_in_few_kernels(x, variables["scale"], moments, weights, 1e-3)

    def in_order(*arguments):
        return layers.norm_in_order(*arguments, 1e-3)

    expected, pull_back = jax.vjp(in_order, *arguments)
    assert_trees_close((y, mean, var), expected)
    assert_trees_close(gradients, pull_back((weights, jnp.zeros_like(mean), jnp.zeros_like(var))))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("gpu", [False, True])
def test_silu_with_its_slope_is_flaxs(gpu, dtype, monkeypatch):
    """On a CPU by every bit; as a GPU computes it to the accuracy of the type."""
    if gpu:
        monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cuda, **_: cuda(*args))
    x, weights = (5 * normal(1, 4, 50)).astype(dtype), normal(2, 4, 50).astype(dtype)
    found, pull_back = jax.vjp(layers.silu_with_slope, x)
    expected, flaxs = jax.vjp(nn.silu, x)
    np.testing.assert_array_equal(found, expected)
    found, expected = (np.asarray(back(weights)[0], np.float32) for back in (pull_back, flaxs))
    np.testing.assert_allclose(found, expected, atol=4 * float(jnp.finfo(dtype).eps) if gpu else 0)


def test_sums_in_parts_of_any_number_of_rows():
    """Rows that can be divided, that cannot, and too many for parts of the longest that a kernel sums."""
    for rows in (16, 48 * 7, 13, 2 * 3 * 5 * 4096):
        x = normal(1, rows, 3)
        for found, array in zip(layers._sums(x, x * x), (x, x * x), strict=True):
            np.testing.assert_allclose(found, np.sum(np.asarray(array, float), 0), rtol=1e-3, atol=1e-2)
