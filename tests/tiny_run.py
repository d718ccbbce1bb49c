"""A network and a data set so small that a whole run takes seconds."""

import json
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from configs import mlp
from fer_jax import modes
from fer_jax.checkpoints import restore
from fer_jax.models import create_model
from fer_jax.runtime.command import Command, plain
from fer_jax.train.optimizer import create_optimizer
from fer_jax.train.recipe import make_schedule
from fer_jax.train.state import create_state

TINY = {
    "synthetic.num_train": 70,
    "synthetic.num_validation": 21,
    "synthetic.num_test": 14,
    "mlp.hidden": (8,),
    "batch_size": 16,
    "epochs": 2,
    "checkpoint_minutes": 0.0,
}


def tiny_config(**changes):
    config = mlp.get_config()
    config.update_from_flattened_dict(TINY | changes)
    return config


def command(mode, config, where, *, overrides=(), shipped_name=None, **options):
    """A command for one workdir; ``config`` is a ConfigDict or plain."""
    config = plain(config) if isinstance(config, ConfigDict) else config
    return Command(mode, config, tuple(overrides), (Path(where),), shipped_name, **options)


def run(mode, config, where, **options):
    """Does what the command line would do in the workdir ``where``."""
    made = command(mode, config, where, **options)
    modes.runner(made)(made)


def run_training(config, where):
    run("train", config, where)


def read_rows(where):
    return [json.loads(line) for line in (where / "metrics.jsonl").read_text().splitlines()]


def rows_without_clock(where):
    """Of metrics.jsonl, all that two runs of the same bits agree in."""
    clock = ("images_per_second", "seconds")
    return [{name: value for name, value in row.items() if name not in clock} for row in read_rows(where)]


def latest_state(where, config):
    """The state in the latest checkpoint of a run of the config."""
    config = plain(config)
    optimizer = create_optimizer(
        make_schedule(config, config["synthetic"]["num_train"]), weight_decay=config["weight_decay"]
    )
    model = create_model(config["model"], config[config["model"]])
    fresh = create_state(jax.random.key(1), model=model, optimizer=optimizer, ema=True)
    return restore.restore_latest(where, fresh)[0]


def assert_trees_equal(actual, expected):
    """In structure, dtypes and every bit."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def assert_same_run(where, whole, config):
    assert rows_without_clock(where) == rows_without_clock(whole)
    assert_trees_equal(latest_state(where, config), latest_state(whole, config))
    seconds = [row["seconds"] for row in read_rows(where)]
    assert seconds == sorted(seconds)
