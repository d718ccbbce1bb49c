"""The drawn split against brute force."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.data.split import rows_shared, stratified_split
from fer_jax.errors import UserError


def pictures(numbers):
    """One 2 x 2 picture for each number; equal numbers, equal pictures."""
    return np.repeat(np.array(numbers, np.uint8), 4).reshape(-1, 2, 2, 1)


def test_fractions_and_duplicates():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5000, 48, 48, 1), np.uint8)
    labels = rng.choice(7, 5000, p=[0.3, 0.01, 0.09, 0.2, 0.1, 0.15, 0.15]).astype(np.int32)
    images[1000:1300] = images[:300]  # copies, most with another label
    labels[1000:1200] = labels[:200]
    train, validation = stratified_split(images, labels, fraction=0.1, seed=0)
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(5000))
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(validation) > 0)
    assert not {images[i].tobytes() for i in train} & {images[i].tobytes() for i in validation}
    share = np.bincount(labels[validation], minlength=7) / np.bincount(labels, minlength=7)
    np.testing.assert_allclose(share, 0.1, atol=0.02)
    assert abs(len(validation) - 500) < 10


def test_seed():
    images, labels = pictures(range(200)), np.arange(200) % 7
    first, again, other = (stratified_split(images, labels, fraction=0.2, seed=s)[1] for s in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()
    stratified_split(images, labels, fraction=0.2, seed=-5)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6)), min_size=1, max_size=40),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(-10, 10),
)
def test_laws(rows, fraction, seed):
    numbers, labels = map(np.array, zip(*rows, strict=True))
    different = [set(numbers[labels == label]) for label in range(7)]
    if all(len(seen) < 2 for seen in different):
        with pytest.raises(UserError, match="two different pictures"):
            stratified_split(pictures(numbers), labels, fraction=fraction, seed=seed)
        return
    train, validation = stratified_split(pictures(numbers), labels, fraction=fraction, seed=seed)
    assert sorted([*train, *validation]) == list(range(len(rows)))
    assert len(train) > 0
    assert not set(numbers[train]) & set(numbers[validation])
    for label, seen in enumerate(different):
        if len(seen) >= 2:
            assert label in labels[validation]


@pytest.mark.parametrize("numbers", [[], [1], [1, 1, 1]])
def test_impossible(numbers):
    with pytest.raises(UserError, match=f"from {len(numbers)} faces"):
        stratified_split(pictures(numbers), np.zeros(len(numbers), np.int32), fraction=0.1, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_bad_fraction(fraction):
    with pytest.raises(UserError, match="validation_fraction"):
        stratified_split(pictures([1, 2]), np.zeros(2, np.int32), fraction=fraction, seed=0)


def test_shared():
    images, others = pictures([1, 2, 2, 3, 4]), pictures([2, 4, 5, 2])
    brute = [any(np.array_equal(a, b) for b in others) for a in images]
    assert rows_shared(images, others).tolist() == brute
    assert rows_shared(images, others).dtype == bool
    assert sum(brute) == 3
    assert rows_shared(pictures([]), others).tolist() == []
    assert rows_shared(images, pictures([])).tolist() == [False] * 5


def test_is_fast():
    images = np.random.default_rng(0).integers(0, 256, (28_000, 2304), np.uint8)
    start = time.perf_counter()
    stratified_split(images, np.arange(28_000) % 7, fraction=0.1, seed=0)
    assert time.perf_counter() - start < 5  # 0.1 s, on a machine that has nothing else to do
