"""Choose the devices that train, of one process or of several, and place arrays on them.

Every device holds the whole state and training set, and computes its share of each batch. XLA adds what joins
the shares, such as the sum of gradients and the mean of BatchNorm over the whole batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental.layout import Format, Layout
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fer_jax.errors import UserError

_AXIS = "data"


def make_mesh(batch_size: int) -> Mesh:
    """Choose the devices that share each batch equally: the most whose number divides ``batch_size``.

    Raises UserError if there are several processes, and ``batch_size`` does not allow all of their devices.
    """
    count = jax.device_count()
    if jax.process_count() > 1 and batch_size % count:
        raise UserError(f"batch_size is {batch_size}; expected a multiple of the {count} devices")
    used = max(n for n in range(1, count + 1) if batch_size % n == 0)
    return jax.make_mesh((used,), (_AXIS,), devices=jax.devices()[:used], axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The placement with a whole copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def shared_out(mesh: Mesh) -> NamedSharding:
    """The placement with an equal share of the first axis on each device."""
    return NamedSharding(mesh, PartitionSpec(_AXIS))


def state_placement(mesh: Mesh, state: Any) -> Any:
    """The placement of each array of a train state: a whole copy on each device.

    On a GPU, kernels of convolutions (H, W, inputs, outputs) lie in memory with their outputs first, as cuDNN
    reads them on recent NVIDIA GPUs and returns their gradients. Otherwise a step would transpose each twice.
    """
    everywhere, on_gpu = replicated(mesh), _on_gpu(mesh)
    # With ``tiling`` as an array has it, JAX sees that a step can update the array in place.
    outputs_first = Format(Layout((3, 0, 1, 2), tiling=()), everywhere)
    return jax.tree.map(lambda x: outputs_first if on_gpu and x.ndim == 4 else everywhere, state)


def _on_gpu(mesh: Mesh) -> bool:
    return mesh.devices.flat[0].platform == "gpu"


def place_state(mesh: Mesh, state: Any) -> Any:
    """Put a train state on the devices as ``state_placement`` says; every process gives the same arrays."""
    return jax.tree.map(_put, state, state_placement(mesh, state))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Put a whole copy of each array on each device; every process gives the same arrays."""
    return jax.tree.map(lambda x: _put(x, replicated(mesh)), tree)


def share_out(mesh: Mesh, tree: Any) -> Any:
    """Split the first axis of each array into equal shares, and put one on each device.

    Its length is a multiple of the number of devices. Every process gives the whole arrays, and feeds its own
    devices from them.
    """
    return jax.tree.map(lambda x: _put(x, shared_out(mesh)), tree)


def _put(x: Any, placement: NamedSharding | Format) -> jax.Array:
    sharding = placement.sharding if isinstance(placement, Format) else placement
    if sharding.is_fully_addressable:
        # JAX cannot change devices and layout at once.
        return jax.device_put(jax.device_put(x, sharding), placement)
    if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_put(jax.random.key_data(x), placement))
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, placement, lambda index: host[index])


def make_any_raised(mesh: Mesh, flag: Callable[[], bool], *, delay: int) -> Callable[[], bool]:
    """Make a function that returns, in all processes alike, whether ``flag()`` is true in any of them.

    Each call answers for the ``delay``-th call before it, so that it waits neither for other processes nor
    for the device. All processes must call it equally often.
    """
    if jax.process_count() == 1:
        return flag
    count = jax.jit(lambda flags: flags.sum(), out_shardings=replicated(mesh))
    asked: list[jax.Array] = []

    def any_raised() -> bool:
        asked.append(count(share_out(mesh, np.full(mesh.size, flag(), np.int32))))
        return len(asked) > delay and bool(asked.pop(0))

    return any_raised
