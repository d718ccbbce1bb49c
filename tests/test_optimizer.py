"""Learning rate and optimizer against closed forms and Adam written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.train.optimizer import create_optimizer, learning_rate_schedule


def rates(steps, **options):
    schedule = learning_rate_schedule(**options)
    with jax.numpy_dtype_promotion("standard"):
        return np.array([schedule(jnp.asarray(step)) for step in steps])


def by_hand_rate(step, *, peak, warmup_steps, total_steps):
    if step < warmup_steps:
        return peak * step / warmup_steps
    share = min((step - warmup_steps) / (total_steps - warmup_steps), 1)
    return peak * (1 + np.cos(np.pi * share)) / 2


def test_one_cycle_landmarks():
    """A 25th of the peak, the peak after three tenths, half-way in the middle of each half cosine."""
    options = {"peak": 0.5, "warmup_steps": 7, "total_steps": 100, "name": "one_cycle"}
    start, end = 0.5 / 25, 0.5 / 25e4
    expected = [start, (start + 0.5) / 2, 0.5, (0.5 + end) / 2, end, end]
    np.testing.assert_allclose(rates([0, 15, 30, 65, 100, 120], **options), expected, rtol=1e-4)
    with pytest.raises(ValueError, match=r"schedule='step'.*cosine, one_cycle"):
        learning_rate_schedule(peak=1.0, warmup_steps=0, total_steps=9, name="step")


def test_schedule_landmarks():
    found = rates([0, 5, 10, 60, 110, 500], peak=0.4, warmup_steps=10, total_steps=110)
    np.testing.assert_allclose(found, [0, 0.2, 0.4, 0.2, 0, 0], atol=1e-7)


def test_schedule_without_warmup():
    found = rates([0, 50, 100, 101], peak=0.4, warmup_steps=0, total_steps=100)
    np.testing.assert_allclose(found, [0.4, 0.2, 0, 0], atol=1e-7)


@pytest.mark.parametrize("warmup_steps", [0, 1, 7, 19])
def test_schedule_in_closed_form(warmup_steps):
    options = {"peak": 3e-3, "warmup_steps": warmup_steps, "total_steps": 20}
    expected = [by_hand_rate(step, **options) for step in range(22)]
    np.testing.assert_allclose(rates(range(22), **options), expected, rtol=1e-5, atol=1e-9)


def test_warmup_longer_than_the_run_peaks_at_the_last_step():
    np.testing.assert_allclose(rates([0, 2, 4], peak=1.0, warmup_steps=50, total_steps=5), [0, 0.5, 1])


@pytest.mark.parametrize("warmup_steps", [0, 3])
def test_a_run_of_one_step_learns(warmup_steps):
    assert rates([0], peak=1.0, warmup_steps=warmup_steps, total_steps=1) == [1]


def parameters():
    rng = np.random.default_rng(0)
    shapes = {
        "conv": {"kernel": (3, 3, 1, 2)},
        "dense": {"kernel": (4, 3), "bias": (3,)},
        "norm": {"scale": (3,)},
    }
    return {
        layer: {name: rng.normal(size=shape).astype(np.float32) for name, shape in leaves.items()}
        for layer, leaves in shapes.items()
    }


def some_gradients(step):
    """Of very different lengths from step to step."""
    rng = np.random.default_rng(100 + step)
    return jax.tree.map(
        lambda p: (10.0 ** (step % 3 - 1) * rng.normal(size=p.shape)).astype(np.float32), parameters()
    )


def trajectory(steps, schedule, **options):
    """Parameters after each of ``steps`` updates."""
    optimizer = create_optimizer(schedule, **options)
    params = parameters()
    state, after = optimizer.init(params), []
    with jax.numpy_dtype_promotion("standard"):
        for step in range(steps):
            updates, state = optimizer.update(some_gradients(step), state, params)
            params = jax.tree.map(np.add, params, updates)
            after.append(params)
    return after


def by_hand_trajectory(steps, schedule, *, weight_decay, clip_norm):
    """AdamW of the paper, in float64."""
    params, structure = jax.tree.flatten(parameters())
    params = [p.astype(float) for p in params]
    first, second = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    after = []
    for step in range(steps):
        gradients = [g.astype(float) for g in jax.tree.leaves(some_gradients(step))]
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        scale = min(1, clip_norm / norm) if clip_norm else 1
        for i, gradient in enumerate(gradients):
            first[i] = 0.9 * first[i] + 0.1 * scale * gradient
            second[i] = 0.999 * second[i] + 0.001 * (scale * gradient) ** 2
            unbiased = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
            decay = weight_decay * params[i] if params[i].ndim > 1 else 0
            params[i] = params[i] - schedule(step) * (unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8) + decay)
        after.append(structure.unflatten([p.copy() for p in params]))
    return after


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_optimizer_is_adam_by_hand(weight_decay, clip_norm):
    def schedule(step):
        return 0.1 / (1 + step)

    options = {"weight_decay": weight_decay, "clip_norm": clip_norm}
    found, expected = trajectory(5, schedule, **options), by_hand_trajectory(5, schedule, **options)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


def test_weight_decay_leaves_biases_and_scales_alone():
    optimizer = create_optimizer(lambda step: 0.1, weight_decay=0.5)
    params = parameters()
    nothing = jax.tree.map(np.zeros_like, params)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(nothing, optimizer.init(params), params)
    for layer in ("conv", "dense"):
        np.testing.assert_allclose(updates[layer]["kernel"], -0.1 * 0.5 * params[layer]["kernel"], rtol=1e-5)
    assert np.all(updates["dense"]["bias"] == 0)
    assert np.all(updates["norm"]["scale"] == 0)


def test_clipping_leaves_short_gradients_alone():
    found = trajectory(3, lambda step: 0.1, clip_norm=1e6)
    jax.tree.map(np.testing.assert_array_equal, found, trajectory(3, lambda step: 0.1))


def sgd_by_hand(steps, schedule, *, momentum, weight_decay):
    """Nesterov's momentum in the form of Sutskever et al. that PyTorch documents, in float64."""
    params, structure = jax.tree.flatten(parameters())
    params = [p.astype(float) for p in params]
    velocity = [np.zeros_like(p) for p in params]
    for step in range(steps):
        for i, gradient in enumerate(jax.tree.leaves(some_gradients(step))):
            decay = weight_decay * params[i] if params[i].ndim > 1 else 0
            gradient = gradient.astype(float) + decay
            velocity[i] = momentum * velocity[i] + gradient
            params[i] = params[i] - schedule(step) * (gradient + momentum * velocity[i])
    return structure.unflatten(params)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_sgd_by_hand(weight_decay, momentum):
    def schedule(step):
        return 0.1 / (1 + step)

    options = {"momentum": momentum, "weight_decay": weight_decay}
    found = trajectory(5, schedule, name="sgd", **options)[-1]
    expected = sgd_by_hand(5, schedule, **options)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


def test_unknown_optimizer_is_named():
    with pytest.raises(ValueError, match="optimizer='rmsprop' is unknown; choose one of adam, sgd"):
        create_optimizer(lambda step: 0.1, name="rmsprop")


def orthogonal(gradient):
    """U V^T of the singular value decomposition of a kernel as a matrix of inputs by outputs."""
    u, _, vt = np.linalg.svd(gradient.reshape(-1, gradient.shape[-1]), full_matrices=False)
    return (u @ vt).reshape(gradient.shape)


def test_muon_moves_kernels_along_orthogonal_matrices():
    """To the accuracy of five Newton-Schulz steps, which leave singular values between about 0.7 and 1.2."""
    params = {name: np.zeros((3, 3, 4, 8), np.float32) for name in ("first", "second")}
    gradients = jax.tree.map(lambda p: np.random.default_rng(1).normal(size=p.shape).astype(p.dtype), params)
    optimizer = create_optimizer(lambda step: 0.1, name="muon")
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    for name, update in updates.items():
        moved = np.asarray(update).reshape(36, 8) / -0.1
        expected = orthogonal(gradients[name]).reshape(36, 8)
        # Of the same singular vectors: the product is symmetric, its eigenvalues are the singular values.
        product = expected.T @ moved
        np.testing.assert_allclose(product, product.T, atol=0.02)
        values = np.linalg.eigvalsh((product + product.T) / 2)
        assert 0.6 < values.min() <= values.max() < 1.3
        np.testing.assert_allclose(expected @ product, moved, atol=0.02)


def test_muon_leaves_the_rest_to_adam():
    """The first step of Adam with Nesterov's momentum goes by the sign, with its share of the rate.

    The rest: biases, scales and the output layer, which is the last one and not that of 7 outputs.
    """
    params = {
        "Dense_0": {"kernel": np.ones((4, 7), np.float32)},
        "Dense_10": {"kernel": np.ones((4, 5), np.float32), "bias": np.ones(5, np.float32)},
        "Dense_9": {"kernel": np.ones((4, 3), np.float32)},
        "norm": {"scale": np.ones(3, np.float32)},
    }
    gradients = jax.tree.map(lambda p: np.random.default_rng(1).normal(size=p.shape).astype(p.dtype), params)
    optimizer = create_optimizer(lambda step: 0.1, name="muon", weight_decay=0.5)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    for name in ("Dense_0", "Dense_9"):
        # Without the decay of 0.5, which these kernels of ones have.
        moved, gradient = updates.pop(name)["kernel"] + 0.1 * 0.5, gradients.pop(name)["kernel"]
        # Singular values between 0.6 and 1.3, as of no sign pattern times one number.
        scale = np.sqrt(max(1, moved.shape[1] / moved.shape[0]))
        values = np.linalg.svd(np.asarray(moved) / (0.1 * scale), compute_uv=False)
        assert 0.6 < values.min() <= values.max() < 1.3
        assert np.sum(moved * gradient) < 0
    ahead = 0.9 * (1 - 0.9) / (1 - 0.9**2) + 1
    jax.tree.map(
        lambda u, g: np.testing.assert_allclose(u, -0.15 * 0.1 * ahead * np.sign(g), rtol=1e-3),
        updates,
        gradients,
    )
