"""Orbax, with the workarounds that it needs, in one place.

It is slow to import, so it is imported on first use: shipped weights do not need it.
"""

import contextlib
import functools
import importlib
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import absl.logging
import jax

from fer_jax.runtime.files import one_line


class Damaged(Exception):
    """Raised for a checkpoint that is not what was saved."""


def begin_save(path: Path, trees: dict[str, Any], record: dict[str, Any]) -> Callable[[], None]:
    """Begin to write arrays and their record to ``path``, in the background.

    Returns a function that waits for the end, and raises what went wrong.
    """
    from orbax.checkpoint import v1 as ocp

    silence()
    with _this_process_alone():
        response = ocp.save_checkpointables_async(path, trees, overwrite=True, custom_metadata=record)

    def wait() -> None:
        with _this_process_alone():
            response.result()

    return wait


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a checkpoint. Raises Damaged."""
    return _attempt(lambda ocp: dict(ocp.checkpointables_metadata(path).custom_metadata))


def read_arrays(path: Path, name: str, like: Any) -> Any:
    """Read the arrays ``name`` of a checkpoint, with the structure of ``like``. Raises Damaged."""
    return _attempt(lambda ocp: ocp.load_checkpointables(path, {name: _abstract(like)})[name])


def reason(error: Exception) -> str:
    """Why a checkpoint could not be written, in a few words."""
    # TensorStore's message nests its attempts, each with a path. The cause is last, before some numbers.
    return one_line(error, limit=None).rsplit(": ", 1)[-1].split(" [")[0]


def _attempt(read: Callable[[Any], Any]) -> Any:
    """Return ``read(Orbax)``. Raises Damaged for any error, since a bad file makes Orbax raise many kinds."""
    from orbax.checkpoint import v1 as ocp

    silence()
    try:
        with _this_process_alone():
            return read(ocp)
    except Exception as error:
        # Python warns when it frees the reads that had not begun when one failed: at any later time.
        warnings.filterwarnings("ignore", "coroutine '_read_array_\\w+' was never awaited", RuntimeWarning)
        raise Damaged(one_line(error)) from error


def _abstract(tree: Any) -> Any:
    """Shapes and dtypes, placed on this process's first device, whichever device they were saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _this_process_alone() -> contextlib.AbstractContextManager:
    """An Orbax context that reads and saves in this process without a barrier for the others."""
    from orbax.checkpoint import v1 as ocp

    if jax.process_count() == 1:
        return ocp.Context()
    _compare_no_paths()
    me = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
    )
    return ocp.Context(multiprocessing_options=options)


@functools.cache
def _compare_no_paths() -> None:
    """Stop Orbax (0.12.8) from comparing paths with all processes, also with those that do not save."""
    with contextlib.suppress(ImportError):
        execution = importlib.import_module("orbax.checkpoint.experimental.v1._src.saving.execution")
        execution._check_directory_consistency = lambda directory: None


@functools.cache
def silence() -> None:
    """Keep what Orbax's threads and tasks print off the screen, from now on.

    Their errors are raised in the main thread too, and some print a while later.
    """
    absl.logging.get_absl_logger().addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(lambda record: "never retrieved" not in record.getMessage())
    hook = sys.unraisablehook

    def ignore(unraisable: Any) -> None:
        # When a read or write fails, the others never begin, or end without an event loop.
        is_read = getattr(unraisable.object, "__name__", "").startswith("_read_array_")
        if not is_read and str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    sys.unraisablehook = ignore
