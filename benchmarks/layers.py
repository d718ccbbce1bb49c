"""Times the layers that fer_jax/models has against the other way to compute the same, in alternating turns.

python benchmarks/layers.py [--only=convolution,norm,pool,step] [--turns=15] [--seconds=0.5]
    [--batch-size=128]

Compares each layer by itself, forward and backward: ``convolution`` Winograd's with XLA's, ``norm`` our
BatchNorm with Flax's, each with ReLU behind it, ``pool`` our max pooling with Flax's. ``step``
compares the train step of configs/cnn.py, 48 pixels a side, with the same step that has the other layer.
Both ways take turns in one process, in the opposite order in every second round.

Prints a table: milliseconds a call of both, the median over the rounds, and how many times as fast the first
is in the same round, as median (smallest to largest): by the clock, and by the CPU time of the process, on
which other work of the machine has less influence.
"""

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_jax.runtime.startup import configure_process

if __name__ == "__main__":
    configure_process()  # before the first import of JAX

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from configs import cnn as cnn_config
from fer_jax.data.faces import Faces, Splits
from fer_jax.models import cnn, layers, winograd
from fer_jax.runtime.command import plain
from fer_jax.runtime.sharding import make_mesh, place_state, replicate
from fer_jax.train.batches import Batch
from fer_jax.train.epochs import EpochTotals
from fer_jax.train.recipe import make_recipe
from stacks import random_faces

CONVOLUTIONS = ((24, 64, 64), (12, 128, 128), (6, 256, 256))
"""Pixels a side, channels of the input and of the output."""
NORMS = ((24, 32), (12, 128), (6, 256))
"""Pixels a side and channels, as in the network of configs/cnn.py."""
POOLS = NORMS[:2]

Call = Callable[[], Any]


class Pair(NamedTuple):
    """Two ways to compute the same; a call returns arrays, which may not be computed yet.

    Attributes:
      name: what is computed, and by which two ways.
      kept: the way of fer_jax/models.
      other: the way it is compared with.
    """

    name: str
    kept: Call
    other: Call


def convolutions(batch_size: int) -> Iterator[Pair]:
    """Winograd's convolution and XLA's."""
    for side, channels, features in CONVOLUTIONS:
        arguments = normal(0, batch_size, side, side, channels), normal(1, 3, 3, channels, features)
        ways = (with_gradients(way, *arguments) for way in (winograd.convolve, xla_convolution))
        yield Pair(f"Winograd / XLA, {side} x {side}, {channels} to {features}", *ways)


def xla_convolution(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """3 x 3, ``SAME``, without stride."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=numbers)


FlaxNorm = functools.partial(nn.BatchNorm, momentum=0.9)


def norms(batch_size: int) -> Iterator[Pair]:
    """Our BatchNorm and Flax's."""
    for side, channels in NORMS:
        images = normal(0, batch_size, side, side, channels)
        ways = (_norm(make, images) for make in (layers.BatchNorm, FlaxNorm))
        yield Pair(f"BatchNorm / Flax's, {side} x {side} x {channels}", *ways)


def _norm(make: Callable[..., nn.Module], images: jax.Array) -> Call:
    module = make(use_running_average=False)
    variables = module.init(jax.random.key(0), images)

    def activations(params: Any, images: jax.Array) -> jax.Array:
        y, _ = module.apply({**variables, "params": params}, images, mutable=["batch_stats"])
        return nn.relu(y)

    return with_gradients(activations, variables["params"], images)


def pools(batch_size: int) -> Iterator[Pair]:
    """Our max pooling and Flax's."""
    for side, channels in POOLS:
        images = normal(0, batch_size, side, side, channels)
        ways = (with_gradients(pool, images) for pool in (layers.max_pool_2x2, flax_pool))
        yield Pair(f"max pooling / Flax's, {side} x {side} x {channels}", *ways)


def flax_pool(images: jax.Array) -> jax.Array:
    return nn.max_pool(images, (2, 2), (2, 2))


def steps(batch_size: int) -> Iterator[Pair]:
    """The train step of configs/cnn.py as it is, and with another layer."""
    kept = train_step(batch_size)
    others = {
        "Winograd / XLA": mock.patch.object(winograd, "suits", return_value=False),
        "BatchNorm / Flax's": mock.patch.object(cnn, "BatchNorm", FlaxNorm),
        "max pooling / Flax's": mock.patch.object(cnn, "max_pool_2x2", flax_pool),
    }
    for name, patch in others.items():
        with patch:
            other = train_step(batch_size)
        yield Pair(f"train step, {name}", kept, other)


def train_step(batch_size: int) -> Call:
    """A call that makes the next step of a run on random faces."""
    config = plain(cnn_config.get_config()) | {"batch_size": batch_size}
    images, labels = random_faces(batch_size)
    faces = Faces(images, labels, np.arange(batch_size).astype(str))
    state, _, program, plan = make_recipe(config, Splits(faces, faces, None), make_mesh(1))
    order = np.arange(batch_size, dtype=np.int32)[None]
    state = place_state(program.mesh, state)
    parts = EpochTotals().packed(), Batch(images, labels), order, np.int32(0), plan.step_key
    others = [replicate(program.mesh, part) for part in parts]
    compiled = program.step.lower(state, *others).compile()  # with the layers that there are now

    def step() -> jax.Array:
        nonlocal state
        state, totals = compiled(state, *others)
        return totals

    return step


GROUPS = {"convolution": convolutions, "norm": norms, "pool": pools, "step": steps}


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def with_gradients(function: Callable[..., jax.Array], *inputs: Any) -> Call:
    """A call that computes the function of the inputs, and the gradients of its weighted sum for all."""
    weights = normal(2, *jax.eval_shape(function, *inputs).shape)

    @jax.jit
    def compute(inputs, weights):
        output, pullback = jax.vjp(function, *inputs)
        return output, pullback(weights)

    return functools.partial(compute, inputs, weights)


def take_turns(pair: Pair, *, turns: int, seconds: float) -> np.ndarray:
    """Seconds a call, float (turns, 2, 2): in each round both ways, by the clock and of CPU time.

    A turn lasts about ``seconds``, at least one call.
    """
    ways = pair.kept, pair.other
    for way in ways:
        _time(way, 1)  # compiles
    calls = [max(1, round(seconds / _time(way, 1)[0])) for way in ways]
    taken = np.zeros((turns, 2, 2))
    for turn in range(turns):
        for number in (1, 0) if turn % 2 else (0, 1):
            taken[turn, number] = _time(ways[number], calls[number])
    return taken


def _time(call: Call, calls: int) -> np.ndarray:
    """Seconds a call, by the clock and of CPU time."""
    started = np.array([time.perf_counter(), time.process_time()])
    for _ in range(calls):
        jax.block_until_ready(call())
    return (np.array([time.perf_counter(), time.process_time()]) - started) / calls


def row(name: str, taken: np.ndarray) -> str:
    """A line of the table."""
    kept, other = 1e3 * np.median(taken[..., 0], 0)
    ratios = (taken[:, 1] / taken[:, 0]).T
    spreads = (f"{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})" for ratio in ratios)
    cells = "".join(f"  {spread:<20}" for spread in spreads)
    return f"{name:<40}{kept:>10.2f}{other:>11.2f}{cells}".rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, with commas between")
    parser.add_argument("--turns", type=int, default=15, help="rounds in which each way has its turn")
    parser.add_argument("--seconds", type=float, default=0.5, help="about as long is one turn")
    parser.add_argument("--batch-size", type=int, default=128, help="faces at a time")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(GROUPS):
        parser.error(f"unknown group {unknown.pop()!r}; choose from {','.join(GROUPS)}")
    before = os.getloadavg()[0]
    print(f"{'':<40}{'first, ms':>10}{'second, ms':>11}  {'times as fast':<20}  by CPU time")
    for name in names:
        for pair in GROUPS[name](options.batch_size):
            taken = take_turns(pair, turns=options.turns, seconds=options.seconds)
            print(row(pair.name, taken), flush=True)
    print(
        f"{os.cpu_count()} cores; load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after; "
        f"jax {jax.__version__}"
    )


if __name__ == "__main__":
    main()
