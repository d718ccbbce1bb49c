"""On this process's two CPU devices, as conftest.py makes them."""

import re

import jax
import numpy as np
import pytest

from configs import cnn
from fer_jax.data.load import load_dataset
from fer_jax.runtime import sharding
from fer_jax.runtime.command import plain
from fer_jax.runtime.sharding import make_any_raised, make_mesh, place_state, replicate, share_out
from fer_jax.train import outputs
from fer_jax.train.batches import Batch
from fer_jax.train.epochs import EpochTotals
from fer_jax.train.recipe import make_recipe
from tiny_run import assert_same_run, read_rows, run, run_training, tiny_config


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


KERNEL = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)


@pytest.mark.parametrize(("gpu", "order"), [(True, (3, 0, 1, 2)), (False, (0, 1, 2, 3))])
def test_a_state_lies_as_its_devices_read_it(gpu, order, monkeypatch):
    """Kernels of convolutions alone differ, in their order in memory; their values are the same."""
    monkeypatch.setattr(sharding, "_on_gpu", lambda mesh: gpu)
    mesh = make_mesh(2)
    state = {"kernel": KERNEL, "dense": KERNEL[0, 0], "step": np.int32(3)}
    placed = place_state(mesh, state)
    jax.tree.map(np.testing.assert_array_equal, placed, state)
    assert placed["kernel"].format.layout.major_to_minor == order
    assert placed["dense"].format.layout.major_to_minor == (0, 1)
    for array in jax.tree.leaves(placed):
        assert len(array.addressable_shards) == 2
        assert array.sharding.is_fully_replicated
    # Each array is updated in place.
    step = jax.jit(lambda s: s, donate_argnums=0, out_shardings=sharding.state_placement(mesh, state))
    assert step.lower(placed).as_text().count("tf.aliasing_output") == 3


@pytest.mark.nightly
def test_a_run_with_kernels_as_on_a_gpu(tmp_path, monkeypatch, no_plots):
    """It learns the same but for rounding; stopped after an epoch and resumed, by every bit."""
    config = tiny_config(model="cnn", **{"cnn.widths": (4, 8), "cnn.blocks": (1, 1)})
    run_training(config, tmp_path / "plain")
    real = outputs.write_metrics

    def stop(workdir, rows):
        real(workdir, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(sharding, "_on_gpu", lambda mesh: True)
    run_training(config, tmp_path / "whole")
    losses = [[row["train_loss"] for row in read_rows(tmp_path / name)] for name in ("plain", "whole")]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_metrics", stop)
        with pytest.raises(KeyboardInterrupt):
            run_training(config, tmp_path / "other")
    assert len(read_rows(tmp_path / "other")) == 1
    run_training(config, tmp_path / "other")
    assert_same_run(tmp_path / "other", tmp_path / "whole", config)
    run("eval", config, tmp_path / "other")


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
    parts = EpochTotals().packed(), data, order, np.int32(0), recipe.plan.step_key
    state = place_state(mesh, recipe.state)
    program = recipe.program.step.lower(state, *replicate(mesh, parts)).compile().as_text()
    collective = r" = (.*?) (all-\w+|collective-\w+|reduce-scatter)[\w-]*\("
    passed_on = re.findall(collective, program)
    assert {kind for _, kind in passed_on} == {"all-reduce"}
    # The gradients of all kernels in one, as docs/scaling.md reckons.
    kernels = [shapes for shapes, _ in passed_on if "f32[3,3,8,8]" in shapes and "f32[7,8]" in shapes]
    assert len(kernels) == 1
    assert not any(re.search(r"\[\d+,48,48,1\]", shapes) for shapes, _ in passed_on)
    assert re.search(r"u8\[8,(1,)?48,48,1\]", program)  # the share of one of the two devices
