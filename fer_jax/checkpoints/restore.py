"""The checkpoints in a workdir as files: which are there, whether they are sound, what they hold."""

import contextlib
import functools
import importlib
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import absl.logging
import jax
from orbax.checkpoint import v1 as ocp

from fer_jax.checkpoints import digests as integrity
from fer_jax.data.compressed import one_line
from fer_jax.errors import UserError
from fer_jax.runtime.lock import try_lock


class Record(NamedTuple):
    """The part of a checkpoint that is no array.

    ``config``: the run's fields; ``rows``: of metrics.jsonl so far; ``labels``: names in order;
    ``data``: the data set's digest, and a line about it for people; ``position``: within the epoch after
    the last of ``rows``, the fields of a ``train.Position``, None where an epoch is complete.
    """

    config: dict[str, Any]
    rows: list[dict[str, Any]]
    labels: list[str]
    data: dict[str, Any]
    position: dict[str, Any] | None = None


class Saved(NamedTuple):
    """A checkpoint whose record is sound; ``digests`` is empty if it is older than these are."""

    path: Path
    record: Record
    digests: dict[str, Any]


class Damaged(Exception):
    """A checkpoint is not what was saved."""


def folders(workdir: Path) -> list[Path]:
    """Of the checkpoints that Orbax holds for complete, in the order of their steps."""
    found = [path for path in (workdir / "checkpoints").glob("*") if path.name.isdigit() and path.is_dir()]
    return sorted((path.absolute() for path in found), key=lambda path: int(path.name))


def sound(workdir: Path, *, mine: bool) -> list[Saved]:
    """The checkpoints whose records are as they were saved, in the order of their steps."""
    silence()
    found = []
    for path in folders(workdir):
        try:
            found.append(_read(path))
        except Damaged as damage:
            set_aside(path, damage, mine=mine)
    return found


def _read(path: Path) -> Saved:
    def read() -> tuple[dict[str, Any], str | None, Record]:
        found = dict(ocp.checkpointables_metadata(path).custom_metadata)
        digest = found.pop("record_digest", None)
        return found, digest, Record(**{name: found[name] for name in Record._fields if name in found})

    found, digest, record = _attempt(read)
    if digest and digest != integrity.text(found):
        raise Damaged("its record is not what was saved")
    return Saved(path, record, found.get("digests", {}))


def load(saved: Saved, name: str, like: Any) -> Any:
    """The arrays ``name`` of a checkpoint, compared with the digest taken when they were saved."""
    layout, content = saved.digests.get(name, (None, None))
    if layout and layout != integrity.layout(like):
        raise UserError(
            f"{saved.path}: holds a network or optimizer of another structure than this version of fer_jax "
            "makes of its config; use the version that began the run, or add --workdir=DIR for a new one"
        )
    tree = _attempt(lambda: ocp.load_checkpointables(saved.path, {name: _abstract(like)})[name])
    if content and content != integrity.content(tree):
        raise Damaged("its arrays are not what was saved")
    return tree


def alone() -> ocp.Context:
    """Orbax at work in this process, which others may train with, without meeting them."""
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
    """Orbax (0.12.8) asks all processes whether they save to the same path, also those that do not save."""
    with contextlib.suppress(ImportError):
        execution = importlib.import_module("orbax.checkpoint.experimental.v1._src.saving.execution")
        execution._check_directory_consistency = lambda directory: None


def _attempt(read: Callable[[], Any]) -> Any:
    """What ``read`` gives; Damaged for whatever a missing, cut off or garbled file makes Orbax raise."""
    try:
        with alone():
            return read()
    except Exception as error:
        # Reads that were not begun when another failed, let go of at any time from now on.
        warnings.filterwarnings("ignore", "coroutine '_read_array_\\w+' was never awaited", RuntimeWarning)
        raise Damaged(one_line(error)) from error


def set_aside(path: Path, damage: Damaged, *, mine: bool) -> None:
    """Names a damaged checkpoint, and renames it unless another process may be at work on it."""
    with contextlib.ExitStack() as stack:
        try:
            mine = mine or stack.enter_context(try_lock(path.parent.parent))
            number, target = 1, path.with_name(f"damaged-{path.name}")
            while target.exists():
                number, target = number + 1, path.with_name(f"damaged-{path.name}-{number + 1}")
            if mine:
                path.rename(target)
            done = f"set aside as {target.name}" if mine else "left out"
        except OSError:
            done = "left out"
    tell(f"{path}: damaged ({damage}); {done}, and another is used")


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@functools.cache
def silence() -> None:
    """Keeps what Orbax's threads and tasks print off the screen, from now on.

    All that goes wrong in them is raised in the main thread too, and some print a while after that.
    """
    absl.logging.get_absl_logger().addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(lambda record: "never retrieved" not in record.getMessage())
    hook = sys.unraisablehook

    def ignore(unraisable: Any) -> None:
        # The reads and writes beside one that failed: never begun, or without an event loop at their end.
        is_read = getattr(unraisable.object, "__name__", "").startswith("_read_array_")
        if not is_read and str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    sys.unraisablehook = ignore


def _abstract(tree: Any) -> Any:
    """Shapes and dtypes, placed on this process's first device whatever device they were saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
