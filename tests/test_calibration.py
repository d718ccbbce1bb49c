"""Calibration against loops in NumPy, and temperatures that are known."""

import jax
import numpy as np
import pytest
from scipy.special import softmax

from fer_jax.evaluate import calibration
from fer_jax.evaluate.calibration import Bins


def drawn(count=500, scale=3.0, seed=0):
    """Logits float32 (count, 7) and labels drawn from their own softmax."""
    draw = np.random.default_rng(seed)
    logits = scale * draw.normal(size=(count, 7))
    labels = np.array([draw.choice(7, p=p) for p in softmax(logits, -1)], np.int32)
    return logits.astype(np.float32), labels


def test_bins_and_error_by_loops():
    logits, labels = drawn()
    probabilities = softmax(logits, -1)
    mask = np.arange(len(labels)) % 5 != 0
    bins = calibration.empty_bins()
    for half in (slice(0, 200), slice(200, None)):
        bins = jax.jit(calibration.add_to_bins)(bins, probabilities[half], labels[half], mask[half])
    bins = Bins(*map(np.asarray, bins))
    expected = 0.0
    for number in range(15):
        lower, upper = number / 15, (number + 1) / 15
        confidence = probabilities.max(-1)
        inside = mask & (lower <= confidence) & ((confidence < upper) | (number == 14))
        hits = probabilities.argmax(-1)[inside] == labels[inside]
        assert bins.count[number] == inside.sum()
        assert bins.correct[number] == hits.sum()
        assert float(bins.confidence[number]) == pytest.approx(confidence[inside].sum(), rel=1e-4)
        if inside.any():
            expected += inside.sum() / mask.sum() * abs(hits.mean() - confidence[inside].mean())
    assert calibration.expected_calibration_error(bins) == pytest.approx(expected, rel=1e-4)


def test_sure_and_right_is_no_error_sure_and_wrong_is_all():
    count = np.eye(15)[14]
    assert calibration.expected_calibration_error(Bins(count, count, count)) == 0
    assert calibration.expected_calibration_error(Bins(count, count, 0 * count)) == 1
    assert calibration.expected_calibration_error(calibration.empty_bins()) == 0


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_temperature_of_logits_that_were_multiplied(factor):
    logits, labels = drawn(4000)
    assert calibration.fit_temperature(factor * logits[None], labels) == pytest.approx(factor, rel=0.1)


def test_temperature_is_the_best_of_a_grid():
    """Of two views, whose probabilities are averaged after the division."""
    logits = np.stack([drawn(300)[0], drawn(300, seed=1)[0]])
    labels = drawn(300)[1]

    def loss(temperature):
        chances = softmax(logits / temperature, -1).mean(0)
        return -np.log(chances[np.arange(300), labels]).mean()

    found = calibration.fit_temperature(logits, labels)
    assert loss(found) <= min(loss(t) for t in np.geomspace(0.2, 9, 200)) + 1e-6
