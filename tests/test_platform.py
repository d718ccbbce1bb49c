"""What is set before JAX starts: in a process of its own, since it cannot be undone."""

import os
import platform
import subprocess
import sys

import pytest

from fer_jax.runtime.startup import delete_unused

FAULTS = """
import os, resource, sys
from fer_jax.runtime.startup import configure_process
if sys.argv[1] == "kept":
    configure_process()
import jax, jax.numpy as jnp
x = jnp.ones((1 << 23,))
double = jax.jit(lambda x: 2 * x)
for _ in range(20):
    double(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    double(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

SETTINGS = """
import os
from fer_jax.runtime.startup import configure_process
configure_process()
print(os.environ["XLA_FLAGS"], os.environ["JAX_COMPILATION_CACHE_DIR"])
"""


def run(tmp_path, code, *args, **environment):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | environment
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_freed_memory_is_kept(tmp_path):
    """A buffer of 32 MiB is 8,192 pages: all of a hundred buffers fault on them, or a few where it is kept.

    A few: the next buffer may be asked for before the one that it could use is free.
    """
    assert int(run(tmp_path, FAULTS, "kept")) < int(run(tmp_path, FAULTS, "returned")) / 4


def test_the_users_settings_stay(tmp_path):
    mine = "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"
    printed = run(tmp_path, SETTINGS, XLA_FLAGS=mine, JAX_COMPILATION_CACHE_DIR="/elsewhere")
    assert printed.split() == [mine, "/elsewhere"]


def test_default_settings(tmp_path):
    flags, folder = run(tmp_path, SETTINGS, XLA_FLAGS="").rsplit(maxsplit=1)
    assert "INDIVIDUAL_CONVOLUTION" in flags
    assert folder == str(tmp_path / "fer_jax" / "compiled")


def test_programs_unused_for_longest_are_deleted(tmp_path):
    """Used: read or written."""
    for name, read, written in (("a", 1, 4), ("b", 3, 1), ("c", 2, 2), ("d", 1, 1), ("e", 5, 0)):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(10))
        os.utime(path, (read, written))
    (tmp_path / "other").write_bytes(bytes(100))
    delete_unused(tmp_path, keep_bytes=30)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-cache", "b-cache", "e-cache", "other"]


def test_a_folder_that_is_not_there_has_no_programs(tmp_path):
    delete_unused(tmp_path / "none", keep_bytes=0)
    assert not (tmp_path / "none").exists()
