"""What is set before JAX starts: in a process of its own, since it cannot be undone."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import os, resource, sys
from fer_jax.platform import configure_process
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
from fer_jax.platform import configure_process
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
