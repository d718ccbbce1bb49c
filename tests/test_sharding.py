"""On this process's two CPU devices, as conftest.py makes them."""

import re

import jax
import numpy as np
import pytest

from configs import cnn
from fer_jax.data.load import load_dataset
from fer_jax.runtime.command import plain
from fer_jax.runtime.sharding import make_any_raised, make_mesh, replicate, share_out
from fer_jax.train.batches import Batch
from fer_jax.train.epochs import EpochTotals
from fer_jax.train.recipe import make_recipe


@pytest.mark.parametrize(("batch_size", "devices"), [(16, 2), (15, 1), (1, 1)])
def test_devices_that_share_a_batch_equally(batch_size, devices):
    assert jax.device_count() == 2
    assert make_mesh(batch_size).devices.tolist() == jax.devices()[:devices]


def test_copies_and_shares():
    mesh, array = make_mesh(4), np.arange(8).reshape(4, 2)
    tree = {"array": array, "key": jax.random.key(3)}
    copies = replicate(mesh, tree)
    for shard in copies["array"].addressable_shards:
        np.testing.assert_array_equal(shard.data, array)
    assert jax.random.bits(copies["key"]) == jax.random.bits(tree["key"])
    shares = share_out(mesh, array).addressable_shards
    assert [shard.device for shard in shares] == jax.devices()
    np.testing.assert_array_equal(np.stack([shard.data for shard in shares]), [array[:2], array[2:]])


def test_one_process_asks_itself():
    raised = iter([False, True])
    ask = make_any_raised(make_mesh(2), lambda: next(raised), delay=3)
    assert [ask(), ask()] == [False, True]


def test_faces_stay_where_they_are():
    """Each device takes its share of a batch from its own copy, and passes no images on: sums alone."""
    config = cnn.get_config()
    config.update_from_flattened_dict(
        {
            "cnn.widths": (4, 8),
            "cnn.blocks": (1, 1),
            "augment": True,
            "augmentation.erasing_probability": 0.5,
            "synthetic.num_train": 70,
            "synthetic.num_validation": 7,
            "synthetic.num_test": 0,
            "batch_size": 16,
        }
    )
    config = plain(config)
    splits, mesh = load_dataset(config), make_mesh(16)
    recipe = make_recipe(config, splits, mesh)
    data, order = Batch(splits.train.images, splits.train.labels), np.zeros((4, 16), np.int32)
    parts = recipe.state, EpochTotals().on_device(), data, order, np.int32(0), recipe.plan.step_key
    program = recipe.program.step.lower(*replicate(mesh, parts)).compile().as_text()
    collective = r" = (.*?) (all-\w+|collective-\w+|reduce-scatter)[\w-]*\("
    passed_on = re.findall(collective, program)
    assert {kind for _, kind in passed_on} == {"all-reduce"}
    # The gradients of all kernels in one, as docs/scaling.md reckons.
    kernels = [shapes for shapes, _ in passed_on if "f32[3,3,8,8]" in shapes and "f32[7,8]" in shapes]
    assert len(kernels) == 1
    assert not any(re.search(r"\[\d+,48,48,1\]", shapes) for shapes, _ in passed_on)
    assert re.search(r"u8\[8,(1,)?48,48,1\]", program)  # the share of one of the two devices
