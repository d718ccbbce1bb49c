"""Several devices, of one process or of many: which ones train, and what lies on each.

Every device holds the whole state and the whole training set and computes its share of each batch; XLA
adds what joins the shares, such as the sum of gradients and the mean of BatchNorm over the whole batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fer_jax.errors import UserError

_AXIS = "data"


def make_mesh(batch_size: int) -> Mesh:
    """The devices that share each batch equally: all of them, where ``batch_size`` allows.

    One process uses the most of its devices that divide ``batch_size``, which may be one.

    Raises:
      UserError: several processes have a number of devices that does not divide ``batch_size``.
    """
    count = jax.device_count()
    if jax.process_count() > 1 and batch_size % count:
        raise UserError(f"batch_size is {batch_size}; expected a multiple of the {count} devices")
    used = max(n for n in range(1, count + 1) if batch_size % n == 0)
    return jax.make_mesh((used,), (_AXIS,), devices=jax.devices()[:used], axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """A whole copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def shared_out(mesh: Mesh) -> NamedSharding:
    """An equal share of the first axis on each device."""
    return NamedSharding(mesh, PartitionSpec(_AXIS))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Puts a whole copy of each array on each device; every process gives the same ones."""
    return jax.tree.map(lambda x: _put(x, replicated(mesh)), tree)


def share_out(mesh: Mesh, tree: Any) -> Any:
    """Puts on each device its share of each array's first axis, a multiple of the devices.

    Every process gives the whole arrays, and feeds its own devices from them.
    """
    return jax.tree.map(lambda x: _put(x, shared_out(mesh)), tree)


def _put(x: Any, sharding: NamedSharding) -> jax.Array:
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_put(jax.random.key_data(x), sharding))
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def make_any_raised(mesh: Mesh, flag: Callable[[], bool], *, delay: int) -> Callable[[], bool]:
    """A function that says, in all processes alike, whether ``flag`` was raised in any of them.

    Each call answers for the ``delay``-th call before it, so that nobody waits for the other processes or the
    device; all processes must call it equally often.
    """
    if jax.process_count() == 1:
        return flag
    count = jax.jit(lambda flags: flags.sum(), out_shardings=replicated(mesh))
    asked: list[jax.Array] = []

    def any_raised() -> bool:
        asked.append(count(share_out(mesh, np.full(mesh.size, flag(), np.int32))))
        return len(asked) > delay and bool(asked.pop(0))

    return any_raised
