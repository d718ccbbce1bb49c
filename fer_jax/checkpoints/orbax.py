"""Orbax, with the workarounds that it needs, in one place.

It is slow to import, so it is imported on first use: shipped weights do not need it.
"""

import contextlib
import functools
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import absl.logging
import jax

from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line, os_reason


class Damaged(Exception):
    """Raised for a checkpoint that is not what was saved: files that are cut, changed or lost."""


_NOT_THE_FILES = (UnicodeError, MemoryError, ImportError, AttributeError, NotImplementedError, TypeError)
"""Errors that say nothing about the files: of the machine, the locale, or the installed releases."""


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
    """Read the record of a checkpoint. Raises Damaged, and UserError if it cannot be read now."""
    return _attempt(path, lambda ocp: _dict(ocp.checkpointables_metadata(path).custom_metadata))


def read_arrays(path: Path, name: str, like: Any) -> Any:
    """Read the arrays ``name`` of a checkpoint, with the structure of ``like``.

    Raises Damaged, and UserError if they cannot be read now.
    """
    return _attempt(path, lambda ocp: ocp.load_checkpointables(path, {name: _abstract(like)})[name])


def reason(error: Exception) -> str:
    """Why a checkpoint could not be written, in a few words."""
    # TensorStore's message nests its attempts, each with a path. The cause is last, before some numbers.
    return one_line(error, limit=None).rsplit(": ", 1)[-1].split(" [")[0]


def _dict(value: Any) -> dict[str, Any]:
    if not value:  # Orbax takes a file that it may not read for an empty one
        raise ValueError("no record")
    return dict(value)


def _attempt(path: Path, read: Callable[[Any], Any]) -> Any:
    """Return ``read(Orbax)`` for the checkpoint at ``path``.

    Bad files make Orbax raise many kinds of errors. They count as damage if nothing else explains them.
    Raises Damaged or UserError.
    """
    from orbax.checkpoint import v1 as ocp

    silence()
    try:
        with _this_process_alone():
            return read(ocp)
    except Exception as error:
        # Python warns when it frees the reads that had not begun when one failed: at any later time.
        warnings.filterwarnings("ignore", "coroutine '_read_array_\\w+' was never awaited", RuntimeWarning)
        if reason := _why_not_now(path, error):
            raise UserError(
                f"{path}: cannot be read now ({reason}); nothing was changed; repeat the command once it can"
            ) from error
        raise Damaged(one_line(error)) from error


def _why_not_now(path: Path, error: Exception) -> str | None:
    """Say what keeps this process from reading the files of a checkpoint; None if it is the files."""
    if isinstance(error, _NOT_THE_FILES) or "RESOURCE_EXHAUSTED" in str(error):
        return f"{type(error).__name__}: {one_line(error)}"
    try:
        for file in _files(path):
            with open(file, "rb") as content:
                while content.read(1 << 24):
                    pass
            # TensorStore and Orbax take paths as UTF-8.
            os.fspath(file).encode()
    except OSError as refusal:
        return f"{refusal.filename}: {os_reason(refusal)}"
    except UnicodeEncodeError:
        return "its path is not UTF-8 in this locale; set LC_ALL=C.UTF-8"
    return None


def _files(path: Path) -> Iterator[Path]:
    """Yield the files below ``path``. Raises OSError for a folder that cannot be read."""

    def refuse(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(path, onerror=refuse):
        yield from (Path(folder, name) for name in names)


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
