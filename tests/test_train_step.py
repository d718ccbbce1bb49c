"""The train step against gradients written out in NumPy; the loop around it."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from fer_jax.runtime.sharding import make_mesh, place_state, replicate
from fer_jax.train.batches import Batch, class_weights, epoch_order
from fer_jax.train.epochs import Epochs, EpochTotals, epochs_left, image_size_of, unpack_totals
from fer_jax.train.examples import make_prepare
from fer_jax.train.state import TrainState, create_state
from fer_jax.train.step import make_loop_step, make_train_step
from fer_jax.transforms.normalize import fit_normalization

KEY = jax.random.key(5)
WEIGHTS = np.array([0.5, 1.0, 1.5, 2.0, 0.7, 0.0, 3.0], np.float32)


class Small(nn.Module):
    """BatchNorm and a dense layer on nine of the pixels."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        x = x[:, ::16, ::16].reshape(x.shape[0], -1)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(7)(x)


@functools.cache
def data(count=12):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 48, 48, 1), np.uint8)
    return Batch(jnp.asarray(images), jnp.asarray(rng.integers(0, 7, count, np.int32)))


def fresh_state(*, optimizer=None, dropout=0.0, ema=False):
    """At step 0, scale and bias of BatchNorm away from 1 and 0."""
    state = create_state(KEY, model=Small(dropout), optimizer=optimizer or optax.sgd(0.1), ema=ema)
    bumped = jax.tree.map(lambda p: p + jnp.linspace(-0.3, 0.4, p.size).reshape(p.shape), state.params)
    return state.replace(params=bumped)


def step_of(*, model=None, optimizer=None, dropout=0.0, ema_decay=0.0, skip_nonfinite=False, **options):
    """A train step, of the small network if no other is given, not compiled."""
    return make_train_step(
        model=model or Small(dropout),
        optimizer=optimizer or optax.sgd(0.1),
        normalization=fit_normalization(np.asarray(data().images), kind="global"),
        normalize_kind="global",
        prepare=make_prepare(num_classes=7, **options),
        ema_decay=ema_decay,
        skip_nonfinite=skip_nonfinite,
    )


def looped(train_step):
    """A round of the loop: (state, totals, data, order, row, key, *, image_size) -> (state, totals).

    The totals are those of ``EpochTotals.packed``.
    """
    mesh, compiled = make_mesh(1), None

    def loop_step(state, totals, data, order, row, key, **options):
        nonlocal compiled
        compiled = compiled or make_loop_step(train_step, mesh, state)
        state = place_state(mesh, state)
        totals, data, order, key = replicate(mesh, (totals, data, order, key))
        return compiled(state, totals, data, order, row, key, **options)

    return loop_step


def empty_totals():
    return EpochTotals().packed()


def by_hand(params, *, smoothing, weights):
    """Loss, logits, gradients and batch moments in float64, by the chain rule."""
    images, labels = np.asarray(data().images, float), np.asarray(data().labels)
    params = jax.tree.map(lambda p: np.asarray(p, float), params)
    norm, dense = params["BatchNorm_0"], params["Dense_0"]
    x = ((images - images.mean()) / images.std())[:, ::16, ::16].reshape(len(images), -1)
    mean, var = x.mean(0), x.var(0)
    standardized = (x - mean) / np.sqrt(var + 1e-5)
    hidden = standardized * norm["scale"] + norm["bias"]
    logits = hidden @ dense["kernel"] + dense["bias"]
    targets = (1 - smoothing) * np.eye(7)[labels] + smoothing / 7
    losses = -np.sum(targets * scipy.special.log_softmax(logits, -1), -1) * weights[labels]
    to_logits = (scipy.special.softmax(logits, -1) - targets) * weights[labels][:, None] / len(labels)
    to_hidden = to_logits @ dense["kernel"].T
    gradients = {
        "BatchNorm_0": {"scale": (to_hidden * standardized).sum(0), "bias": to_hidden.sum(0)},
        "Dense_0": {"kernel": hidden.T @ to_logits, "bias": to_logits.sum(0)},
    }
    return losses.mean(), logits, gradients, (mean, var)


def assert_trees_close(found, expected, **tolerance):
    tolerance = tolerance or {"rtol": 1e-4, "atol": 1e-6}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), found, expected)


def assert_trees_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_step_by_hand(smoothing, weights):
    before = fresh_state()
    step = jax.jit(step_of(label_smoothing=smoothing, class_weights=weights))
    after, metrics = step(before, data(), KEY)
    loss, logits, gradients, (mean, var) = by_hand(
        before.params, smoothing=smoothing, weights=np.ones(7) if weights is None else weights
    )
    assert float(metrics["loss"]) == pytest.approx(loss, rel=1e-5)
    assert int(metrics["correct"]) == np.sum(logits.argmax(-1) == np.asarray(data().labels))
    norm = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(gradients)))
    assert float(metrics["grad_norm"]) == pytest.approx(norm, rel=1e-4)
    expected = jax.tree.map(lambda p, g: np.asarray(p) - 0.1 * g, before.params, gradients)
    assert_trees_close(after.params, expected)
    running = {"BatchNorm_0": {"mean": 0.1 * mean, "var": 0.9 + 0.1 * var}}
    assert_trees_close(after.batch_stats, running)
    assert int(after.step) == 1
    assert after.ema == {}


def test_metrics_have_the_documented_types():
    _, metrics = jax.eval_shape(step_of(), fresh_state(), data(), KEY)
    assert {name: (m.shape, str(m.dtype)) for name, m in metrics.items()} == {
        "loss": ((), "float32"),
        "grad_norm": ((), "float32"),
        "correct": ((), "int32"),
    }


def test_optimizer_state_is_carried():
    """Three steps of momentum, from the gradients by hand."""
    optimizer = optax.sgd(0.1, momentum=0.9)
    step, state = jax.jit(step_of(optimizer=optimizer)), fresh_state(optimizer=optimizer)
    params = jax.tree.map(lambda p: np.asarray(p, float), state.params)
    velocity = jax.tree.map(np.zeros_like, params)
    for _ in range(3):
        state, _ = step(state, data(), KEY)
        gradients = by_hand(params, smoothing=0.0, weights=np.ones(7))[2]
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradients)
        params = jax.tree.map(lambda p, v: p - 0.1 * v, params, velocity)
    assert int(state.step) == 3
    assert_trees_close(state.params, params, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("decay", [0.25, 0.9])
def test_averages_are_a_plain_loop(decay):
    """The decay grows as (1 + t) / (10 + t) up to its limit; 0.25 is reached at t = 2."""
    step, state = jax.jit(step_of(ema_decay=decay)), fresh_state(ema=True)
    average = jax.tree.map(lambda leaf: np.asarray(leaf, float), state.ema)
    for t in range(5):
        state, _ = step(state, data(), KEY)
        d = min(decay, (1 + t) / (10 + t))
        new = {"params": state.params, "batch_stats": state.batch_stats}
        average = jax.tree.map(lambda a, n, d=d: d * a + (1 - d) * np.asarray(n, float), average, new)
    assert_trees_close(state.ema, average)
    assert state.variables() is state.ema


def test_averages_do_not_change_training():
    with_averages, _ = jax.jit(step_of(ema_decay=0.9))(fresh_state(ema=True), data(), KEY)
    without, _ = jax.jit(step_of())(fresh_state(), data(), KEY)
    assert_trees_close(with_averages.params, without.params)
    assert_trees_equal(without.variables()["params"], without.params)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_of_blended_faces_by_hand(monkeypatch, smoothing):
    """Each face fully replaced by the next one, at a known share of the target."""

    def next_one(key, images, targets, *, alpha):
        return jnp.roll(images, 1, 0).astype(jnp.float32), 0.75 * targets + 0.25 * jnp.roll(targets, 1, 0)

    monkeypatch.setattr("fer_jax.train.examples.mixup", next_one)
    before = fresh_state()
    step = jax.jit(step_of(label_smoothing=smoothing, class_weights=WEIGHTS, mixup_alpha=0.4))
    _, metrics = step(before, data(), KEY)
    logits = np.roll(by_hand(before.params, smoothing=0.0, weights=np.ones(7))[1], 1, 0)
    labels = np.asarray(data().labels)
    one_hot = np.eye(7)[labels]
    soft = 0.75 * one_hot + 0.25 * np.roll(one_hot, 1, 0)
    weights = 0.75 * WEIGHTS[labels] + 0.25 * WEIGHTS[np.roll(labels, 1)]
    smoothed = (1 - smoothing) * soft + smoothing / 7
    losses = -np.sum(smoothed * scipy.special.log_softmax(logits, -1), -1) * weights
    assert float(metrics["loss"]) == pytest.approx(losses.mean(), rel=1e-5)
    assert int(metrics["correct"]) == np.sum(logits.argmax(-1) == labels)


def mean_loss(logits, targets):
    return -np.sum(targets * scipy.special.log_softmax(logits, -1), -1).mean()


def test_targets_of_a_teacher_by_hand():
    """Its share of its probabilities, the rest of the smoothed labels."""
    chances = np.random.default_rng(3).dirichlet(np.ones(7), 12).astype(np.float32)
    options = {"teacher": lambda images: jnp.asarray(chances), "label_smoothing": 0.2}
    before = fresh_state()
    logits = by_hand(before.params, smoothing=0.0, weights=np.ones(7))[1]
    labels = 0.8 * np.eye(7)[np.asarray(data().labels)] + 0.2 / 7
    for share in (0.0, 0.3, 1.0):
        _, metrics = jax.jit(step_of(teacher_share=share, **options))(before, data(), KEY)
        expected = mean_loss(logits, (1 - share) * labels + share * chances)
        assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_teacher_who_knows_votes_by_hand():
    """The geometric mean of what it says and of what the votes say; the latter alone without a teacher."""
    draw = np.random.default_rng(4)
    chances, by_votes = (draw.dirichlet(np.ones(7), 12).astype(np.float32) for _ in range(2))
    batch = data()._replace(by_votes=jnp.asarray(by_votes))
    before = fresh_state()
    logits = by_hand(before.params, smoothing=0.0, weights=np.ones(7))[1]
    labels = np.eye(7)[np.asarray(batch.labels)]
    for teacher, share in ((None, 0.3), (lambda images: jnp.asarray(chances), 0.3)):
        step = jax.jit(step_of(teacher_share=0.6, teacher=teacher, votes_share=share))
        _, metrics = step(before, batch, KEY)
        mean = chances ** (1 - share) * by_votes**share
        taught = mean / mean.sum(1, keepdims=True) if teacher else by_votes
        assert float(metrics["loss"]) == pytest.approx(
            mean_loss(logits, 0.4 * labels + 0.6 * taught), rel=1e-5
        )


def test_probabilities_by_votes_are_blended_as_labels_are():
    """A blend of two faces has the blend of both labels and of both votes, in the same shares."""
    labels = jnp.arange(7, dtype=jnp.int32)
    by_votes = jnp.eye(7)[::-1]
    batch = Batch(jnp.zeros((7, 48, 48, 1), jnp.uint8), labels, by_votes=by_votes)
    prepare = make_prepare(num_classes=7, mixup_alpha=1.0, teacher_share=0.5)
    targets = np.asarray(prepare(KEY, KEY, batch, 48).targets)
    label_part = np.asarray(
        make_prepare(num_classes=7, mixup_alpha=1.0)(KEY, KEY, batch._replace(by_votes=None), 48).targets
    )
    np.testing.assert_allclose(targets, (label_part + label_part[:, ::-1]) / 2, atol=1e-6)
    assert np.count_nonzero(label_part) > 7


class OfAnySize(nn.Module):
    """A dense layer on the mean grey level; passes on what it was called with."""

    watch: Callable

    @nn.compact
    def __call__(self, x, *, train):
        self.watch(x)
        return nn.Dense(7)(jnp.mean(x, (1, 2)))


@pytest.mark.nightly
def test_teacher_sees_the_networks_faces_unscaled():
    """Those that a network of 48 pixels would see; whatever the side of the network that learns."""
    options = {"augmentation": {"rotation_range": 20.0}, "cutmix_alpha": 1.0, "teacher_share": 0.5}
    statistics = fit_normalization(np.asarray(data().images), kind="global")

    def step(side):
        inputs, seen = [], []

        def teacher(images):
            seen.append(images)
            return jnp.full((12, 7), 1 / 7)

        model, optimizer = OfAnySize(inputs.append), optax.sgd(0.1)
        state = create_state(KEY, model=model, optimizer=optimizer, ema=False)
        inputs.clear()
        step = step_of(model=model, optimizer=optimizer, teacher=teacher, **options)
        step(state, data(), KEY, image_size=side)
        return np.asarray(inputs[0]) * statistics.std + statistics.mean, seen[0]

    full, taught = step(48)
    scaled, taught_of_scaled = step(32)
    assert scaled.shape == (12, 32, 32, 1)
    np.testing.assert_allclose(full, taught, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(taught, taught_of_scaled)


AUGMENTATION = {"brightness_range": 0.5}
RANDOM = pytest.mark.parametrize(
    "options", [{"dropout": 0.5}, {"augmentation": AUGMENTATION}, {"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}]
)


@RANDOM
def test_draws_depend_on_key_and_step_alone(options):
    step = jax.jit(step_of(**options))
    state = fresh_state(dropout=options.get("dropout", 0.0))
    losses = {
        "first": step(state, data(), KEY)[1]["loss"],
        "again": step(state, data(), jax.random.key(5))[1]["loss"],
        "another step": step(state.replace(step=jnp.asarray(1, jnp.int32)), data(), KEY)[1]["loss"],
        "another key": step(state, data(), jax.random.key(6))[1]["loss"],
    }
    losses = {name: float(loss) for name, loss in losses.items()}
    assert losses["first"] == losses["again"]
    assert len(set(losses.values())) == 3


def test_without_dropout_and_augmentation_nothing_is_drawn():
    step = jax.jit(step_of())
    first, other = (step(fresh_state(), data(), jax.random.key(seed))[0] for seed in (1, 2))
    assert_trees_equal(first.params, other.params)


def row(number):
    return jnp.asarray(number, jnp.int32)


def test_loop_step_traces_once_and_adds_up():
    traces = 0
    train_step = step_of(dropout=0.5)

    def counted(*args, **options):
        nonlocal traces
        traces += 1
        return train_step(*args, **options)

    order = jnp.asarray(np.random.default_rng(1).permutation(12).reshape(3, 4), jnp.int32)
    loop_step, alone = looped(counted), jax.jit(train_step)
    state, totals, expected_state = fresh_state(), empty_totals(), fresh_state()
    loss = correct = 0
    for number in [0, 1, 2, 1]:
        state, totals = loop_step(state, totals, data(), order, row(number), KEY)
        rows = np.asarray(order[number])
        batch = jax.tree.map(lambda leaf, rows=rows: leaf[rows], data())
        expected_state, metrics = alone(expected_state, batch, KEY)
        loss += 4 * float(metrics["loss"])
        correct += int(metrics["correct"])
    assert traces == 1
    assert totals.dtype == empty_totals().dtype
    totals = unpack_totals(totals)
    assert totals.loss == pytest.approx(loss, rel=1e-5)
    assert (totals.correct, totals.examples, totals.bad_step) == (correct, 16, -1)
    assert_trees_close(state.params, expected_state.params)
    assert int(state.step) == 4


def test_old_totals_stay_readable():
    """The loop looks at them while later steps run."""
    order = jnp.arange(12, dtype=jnp.int32).reshape(3, 4)
    loop_step, state, seen = looped(step_of()), fresh_state(), [empty_totals()]
    for number in range(3):
        state, totals = loop_step(state, seen[-1], data(), order, row(number), KEY)
        seen.append(totals)
    assert [unpack_totals(totals).examples for totals in seen] == [0, 4, 8, 12]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("metric", ["loss", "grad_norm"])
def test_first_bad_step_is_recorded(metric, bad):
    """A step that counts, whose metric is not finite at steps 12 and 14."""

    def fake_step(state, batch, key, image_size=48):
        is_bad = (state.step == 12) | (state.step == 14)
        metrics = {"loss": jnp.float32(1), "grad_norm": jnp.float32(1), "correct": jnp.int32(0)}
        metrics[metric] = jnp.where(is_bad, jnp.float32(bad), metrics[metric])
        return state.replace(step=state.step + 1), metrics

    state, totals = TrainState(row(10), {}, {}, (), {}), empty_totals()
    order, loop_step, recorded = jnp.zeros((1, 4), jnp.int32), looped(fake_step), []
    for _ in range(6):
        state, totals = loop_step(state, totals, data(), order, row(0), KEY)
        recorded.append(unpack_totals(totals).bad_step)
    assert recorded == [-1, -1, 12, 12, 12, 12]


def test_overflow_in_training_is_a_bad_step():
    optimizer = optax.sgd(1e38)
    loop_step, state = looped(step_of(optimizer=optimizer)), fresh_state(optimizer=optimizer)
    totals, order = empty_totals(), jnp.arange(12, dtype=jnp.int32).reshape(1, 12)
    recorded = []
    for _ in range(3):
        state, totals = loop_step(state, totals, data(), order, row(0), KEY)
        recorded.append(unpack_totals(totals).bad_step)
    assert recorded == [-1, 1, 1]


def test_epoch_takes_each_example_at_most_once():
    order = epoch_order(KEY, jnp.zeros(50, jnp.int32), 1, batch_size=8)
    assert order.shape == (6, 8)
    assert order.dtype == jnp.int32
    assert len(set(np.asarray(order).ravel())) == 48
    assert 0 <= int(order.min()) <= int(order.max()) < 50


def test_epoch_of_one_batch_takes_all():
    order = epoch_order(KEY, jnp.zeros(9, jnp.int32), 1, batch_size=9)
    assert sorted(np.asarray(order)[0]) == list(range(9))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_epoch_order_depends_on_key_and_epoch(weights):
    def order(seed, epoch):
        labels = jnp.arange(50, dtype=jnp.int32) % 7
        key = jax.random.key(seed)
        return np.asarray(epoch_order(key, labels, epoch, batch_size=10, sampling_weights=weights))

    assert np.array_equal(order(0, 1), order(0, 1))
    assert not np.array_equal(order(0, 1), order(0, 2))
    assert not np.array_equal(order(0, 1), order(1, 1))


def test_remainder_of_an_epoch_varies():
    """Every example is reached, though ten batches of four leave three out each time."""
    orders = [epoch_order(KEY, jnp.zeros(43, jnp.int32), e, batch_size=4) for e in range(1, 9)]
    assert set(np.concatenate(orders).ravel()) == set(range(43))


def test_sampling_balances_the_classes():
    rng = np.random.default_rng(0)
    labels = rng.choice(7, 7000, p=[0.3, 0.02, 0.1, 0.28, 0.1, 0.1, 0.1]).astype(np.int32)
    order = epoch_order(
        KEY, jnp.asarray(labels), 1, batch_size=100, sampling_weights=class_weights(labels, 7)
    )
    drawn = np.asarray(order).ravel()
    assert scipy.stats.chisquare(np.bincount(labels[drawn], minlength=7)).pvalue > 1e-3
    of_class = np.bincount(drawn, minlength=7000)[labels == 1]  # evenly within a class too
    assert scipy.stats.chisquare(of_class).pvalue > 1e-3


def test_sampling_never_draws_weight_zero():
    labels = np.arange(700, dtype=np.int32) % 7
    order = epoch_order(KEY, jnp.asarray(labels), 1, batch_size=100, sampling_weights=WEIGHTS)
    share = np.bincount(labels[np.asarray(order).ravel()], minlength=7) / 700
    assert share[5] == 0
    np.testing.assert_allclose(share, WEIGHTS / WEIGHTS.sum(), atol=0.06)


@pytest.mark.parametrize(
    ("epochs", "sides", "expected"),
    [
        (3, (48,), [48, 48, 48]),
        (8, (32, 32, 40, 48), [32, 32, 32, 32, 40, 40, 48, 48]),
        (5, (32, 48), [32, 32, 32, 48, 48]),
        (2, (24, 32, 48), [24, 32]),
    ],
)
def test_sides_have_equal_shares_of_the_run(epochs, sides, expected):
    found = [image_size_of(e, Epochs(epochs, image_sizes=sides)) for e in range(1, epochs + 1)]
    assert found == expected


def test_time_left_counts_pixels():
    """Twice the side is four times the work: after the first of 2, 2, 4 and 4 pixels, 1 + 4 + 4 like it."""
    left = [epochs_left(epoch, Epochs(4, image_sizes=(2, 4))) for epoch in (1, 2, 3, 4)]
    assert left == [9, 8, 1, 0]
    assert epochs_left(3, Epochs(20)) == 17


def test_time_left_counts_the_teacher_at_full_size():
    """It costs a third of a step of 48 pixels: epochs of 32 pixels are 4 / 9 + 1 / 3 as long, not 4 / 9."""
    left = epochs_left(1, Epochs(4, image_sizes=(32, 48)), teaching=1 / 3)
    assert left == pytest.approx(1 + 2 * (1 + 1 / 3) / (4 / 9 + 1 / 3))


class Mean(nn.Module):
    """A dense layer on the mean grey level and the side, which any number of pixels has."""

    @nn.compact
    def __call__(self, x, *, train):
        side = jnp.full((x.shape[0], 1), x.shape[1] / 48, jnp.float32)
        return nn.Dense(7)(jnp.concatenate([x.mean((1, 2)), side], -1))


def test_faces_are_scaled_to_the_side():
    """Each side once traced; one whose faces were scaled beforehand gives the same losses."""
    model, optimizer = Mean(), optax.sgd(0.1)
    normalization = fit_normalization(np.asarray(data().images), kind="none")
    step = make_train_step(
        model=model,
        optimizer=optimizer,
        normalization=normalization,
        normalize_kind="none",
        prepare=make_prepare(num_classes=7),
    )
    state, traced = create_state(KEY, model=model, optimizer=optimizer, ema=False), []

    def counted(*args, image_size):
        traced.append(image_size)
        return step(*args, image_size=image_size)

    loop_step, order = looped(counted), jnp.arange(12, dtype=jnp.int32)[None]
    for side in (24, 48, 24):
        before = jax.tree.map(np.array, state.params)["Dense_0"]
        state, totals = loop_step(state, empty_totals(), data(), order, jnp.int32(0), KEY, image_size=side)
        small = jax.image.resize(
            data().images.astype(jnp.float32), (12, side, side, 1), "linear", antialias=False
        )
        seen = np.concatenate([np.asarray(small).mean((1, 2)) / 255, np.full((12, 1), side / 48)], -1)
        logits = seen @ before["kernel"] + before["bias"]
        losses = -scipy.special.log_softmax(logits, -1)[np.arange(12), np.asarray(data().labels)]
        assert unpack_totals(totals).loss == pytest.approx(losses.sum(), rel=1e-4)
    assert traced == [24, 48]


HUGE_FOR_ONE_CLASS = np.array([1, 1, 1, 3.4e38, 1, 1, 1], np.float32)


def test_a_step_that_is_not_finite_changes_nothing_but_the_counter():
    """A batch with a face of class 3 has a loss that overflows."""
    optimizer = optax.adam(0.1)
    options = {"optimizer": optimizer, "class_weights": HUGE_FOR_ONE_CLASS, "ema_decay": 0.9}
    skip, stop = (jax.jit(step_of(skip_nonfinite=skip, **options)) for skip in (True, False))
    labels = np.asarray(data().labels)
    good, bad = (jnp.asarray(np.flatnonzero(mask)[:4]) for mask in (labels != 3, labels == 3))
    assert len(bad)
    batch_of = lambda rows: Batch(data().images[rows], data().labels[rows])  # noqa: E731
    state = fresh_state(optimizer=optimizer, ema=True)

    after, metrics = skip(state, batch_of(bad), KEY)
    assert int(metrics["skipped"]) == 1
    assert not np.isfinite(float(metrics["loss"]))
    assert int(after.step) == 1
    assert_trees_equal(after.replace(step=state.step), state)

    after, metrics = skip(state, batch_of(good), KEY)
    expected, without = stop(state, batch_of(good), KEY)
    assert int(metrics.pop("skipped")) == 0
    assert_trees_close((after, metrics), (expected, without), rtol=1e-6, atol=1e-7)
    assert not np.array_equal(after.params["Dense_0"]["kernel"], state.params["Dense_0"]["kernel"])


def test_skipped_steps_are_counted_and_left_out_of_the_sums():
    labels = np.asarray(data().labels)
    rows = [np.flatnonzero(labels != 3)[:2], np.flatnonzero(labels == 3)[:1].repeat(2)]
    order = jnp.asarray(np.stack([rows[i] for i in (0, 1, 0, 1, 1)]), jnp.int32)
    step = step_of(class_weights=HUGE_FOR_ONE_CLASS, skip_nonfinite=True)
    loop_step, state, totals = looped(step), fresh_state(), empty_totals()
    before, losses = fresh_state(), []
    for number in range(5):
        if number in (0, 2):
            at = before.replace(step=jnp.asarray(number, jnp.int32))
            before, metrics = jax.jit(step)(at, jax.tree.map(lambda part: part[rows[0]], data()), KEY)
            losses.append(float(metrics["loss"]))
        state, totals = loop_step(state, totals, data(), order, row(number), KEY)
    totals = unpack_totals(totals)
    assert (totals.skipped, totals.examples, totals.bad_step) == (3, 4, -1)
    assert totals.loss == pytest.approx(2 * sum(losses), rel=1e-5)
    assert int(state.step) == 5
    assert_trees_close(state.params, before.params)
