"""Set what JAX reads when it starts: compiler flags, memory, programs compiled earlier."""

import contextlib
import ctypes
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from fer_jax.runtime.files import cache_folder

_CPU_FLAG = "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
_GPU_FLAGS = (
    # XLA compiles and times dozens of Triton kernels for each shape of a matrix product. Ours are small, and
    # cuBLAS's kernels are compiled already.
    "--xla_gpu_enable_triton_gemm=false",
    # It would compile most fusions a second time by Triton and time both; a step has over a hundred.
    "--xla_gpu_experimental_enable_fusion_autotuner=false",
)
"""Against minutes of compiling. What else is of use XLA and JAX do by default: kernels and library calls are
launched together as CUDA graphs, and results of autotuning are kept beside JAX's compiled programs."""

_GPU_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")

_TESTED_JAXLIB = ((0, 10), (0, 13))
"""First jaxlib that has the flags, tried or measured, and first later one: XLA aborts on a flag it lacks."""

_KEPT_BYTES = 2 * 1024**3
"""Limit of the compiled programs on disk; one that includes a teacher's weights takes up to 200 MB."""

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8

_IN_ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
"""For several processes."""


def configure_process() -> None:
    """Set everything in this module, except what the user has set; call it before JAX is imported."""
    configure_xla()
    keep_freed_memory()
    keep_compiled_programs()


def configure_xla() -> None:
    """Set flags of XLA for the CPU, and for NVIDIA GPUs where JAX's build for them is installed.

    On a CPU convolutions run by XLA's own kernels, two to three times faster than the default. For a GPU the
    first step is compiled sooner. Changes ``XLA_FLAGS`` in the environment, so it must come before the first
    use of a device. Sets no option that the user's flags name, and none if this jaxlib was not tested.
    """
    if not _is_tested_jaxlib():
        return
    flags = os.environ.get("XLA_FLAGS", "")
    ours = [] if "ynn_fusion_type" in flags else [_CPU_FLAG]
    if _may_use_nvidia():
        ours += [flag for flag in _GPU_FLAGS if not _is_set(flag, flags)]
    os.environ["XLA_FLAGS"] = " ".join([flags, *ours]).strip()


def keep_order_of_exchanges() -> None:
    """Let CPUs exchange the sums of a step in one order, in all processes that train one network.

    Otherwise two processes may each wait for another sum, for ever. It must come before the first use of a
    device. Sets nothing where the user's flags name the option, or this jaxlib may lack it.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _is_tested_jaxlib() and not _is_set(_IN_ORDER, flags):
        os.environ["XLA_FLAGS"] = f"{flags} {_IN_ORDER}".strip()


def _is_tested_jaxlib() -> bool:
    import jaxlib.version

    version = tuple(int(part) for part in jaxlib.version.__version__.split(".")[:2])
    return _TESTED_JAXLIB[0] <= version < _TESTED_JAXLIB[1]


def _is_set(flag: str, flags: str) -> bool:
    """Whether the user's flags name the option of a flag."""
    return flag.removeprefix("--").partition("=")[0] in flags


def _may_use_nvidia() -> bool:
    """Whether JAX can use NVIDIA GPUs, if there are any."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    installed = any(importlib.util.find_spec(plugin) for plugin in _GPU_PLUGINS)
    return installed and (not platforms or "cuda" in platforms or "gpu" in platforms)


def keep_freed_memory() -> None:
    """Keep the memory that a step frees for the next one, if the C library is glibc.

    XLA takes its buffers from malloc for each run of a program. By default glibc gives large ones back to the
    kernel, so each step waits a sixth of its time for some 100,000 pages to be zeroed. One heap that is
    not trimmed avoids this, and takes a few hundred MB more. Does nothing if the user has set one of glibc's
    ``MALLOC_`` variables.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    # The heaps of threads have no room for large buffers, which would then be mapped one by one.
    libc.mallopt(_M_ARENA_MAX, 1)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def keep_compiled_programs() -> None:
    """Keep compiled programs in the cache folder for later runs.

    JAX deletes the least recently used ones above 2 GiB. ``JAX_ENABLE_COMPILATION_CACHE=false`` turns this
    off; ``JAX_COMPILATION_CACHE_DIR`` names another folder, for which no limit is set here.
    """
    # JAX's limit needs a folder that had it from the beginning, unlike that of earlier versions.
    ours = cache_folder() / "programs"
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and not _can_write(ours):
        return  # JAX would warn of each program
    if os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ours)) == str(ours):
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_KEPT_BYTES))
        delete_unfinished(ours)
    # JAX's default of one second leaves out most programs that a start compiles.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def _can_write(folder: Path) -> bool:
    """Whether files can be written to ``folder``, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def delete_unfinished(folder: Path) -> None:
    """Delete compiled programs that a killed process left half written.

    JAX writes ``KEY-cache``, then ``KEY-atime``, under a lock. Its limit fails where the second is missing.
    """
    if not folder.is_dir():
        return
    # Another process may hold the lock, or the folder may be read-only.
    with (
        contextlib.suppress(OSError, Timeout, NotImplementedError),
        FileLock(folder / ".lockfile", timeout=5),
    ):
        for program in folder.glob("*-cache"):
            if not program.with_name(f"{program.name.removesuffix('cache')}atime").exists():
                program.unlink(missing_ok=True)
