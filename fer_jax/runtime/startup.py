"""What must be set before JAX starts its backend: compiler flags, memory, programs compiled earlier."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

_CPU_FLAG = "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
_TESTED_JAXLIB = ((0, 10), (0, 13))
"""First jaxlib the flag was measured with, and the first it was not: XLA aborts on a flag it lacks."""

_KEPT_BYTES = 2 * 1024**3
"""Of compiled programs; one with a teacher's weights in it has up to some 200 MB."""

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def configure_process() -> None:
    """All of this module; before the first import of JAX. The user's own settings stay."""
    configure_xla()
    keep_freed_memory()
    keep_compiled_programs()


def configure_xla() -> None:
    """Run convolutions on a CPU by XLA's own kernels: two to three times faster than the default's.

    Changes ``XLA_FLAGS`` in the environment, so it must come before the first use of a device. Does
    nothing where the user's flags name the same option, or jaxlib is not one the flag was tested with.
    """
    import jaxlib.version

    version = tuple(int(part) for part in jaxlib.version.__version__.split(".")[:2])
    flags = os.environ.get("XLA_FLAGS", "")
    if _TESTED_JAXLIB[0] <= version < _TESTED_JAXLIB[1] and "ynn_fusion_type" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_CPU_FLAG}".strip()


def keep_freed_memory() -> None:
    """Keep what a step frees for the next one, where the C library is glibc.

    XLA takes its buffers from malloc for each run of a program, and glibc gives large ones back to the
    kernel at once: each step then waits for some 100,000 pages to be zeroed anew, a sixth of its time.
    One heap that is not trimmed ends that, for a few hundred MB more in use. Does nothing where the
    user has set one of glibc's ``MALLOC_`` variables.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    # Threads' own heaps have no room for large buffers, which would be mapped one by one after all.
    libc.mallopt(_M_ARENA_MAX, 1)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def keep_compiled_programs() -> None:
    """Let JAX find the programs that an earlier run compiled, beside the parsed files in the cache folder.

    Off with ``JAX_ENABLE_COMPILATION_CACHE=false``, elsewhere with ``JAX_COMPILATION_CACHE_DIR``, where
    nothing is deleted.
    """
    from fer_jax.data.cache import cache_folder

    ours = cache_folder() / "compiled"
    if os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ours)) == str(ours):
        delete_unused(ours, keep_bytes=_KEPT_BYTES)
    # JAX's default of a second leaves out most programs that a start compiles.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def delete_unused(folder: Path, *, keep_bytes: int) -> None:
    """Deletes the compiled programs that have not been used for longest, until ``keep_bytes`` are left.

    JAX's own limit (``JAX_COMPILATION_CACHE_MAX_SIZE``) needs one more package, and a folder that had it
    from the beginning.
    """
    # Another process may delete them as well, or the folder may not be there.
    with contextlib.suppress(OSError):
        programs = [(path, path.stat()) for path in folder.glob("*-cache")]
        # Many file systems note a reading once a day at most.
        programs.sort(key=lambda program: max(program[1].st_atime, program[1].st_mtime), reverse=True)
        kept = 0
        for path, stat in programs:
            kept += stat.st_size
            if kept > keep_bytes:
                path.unlink(missing_ok=True)
