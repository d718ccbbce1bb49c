"""What is set before JAX starts: in a process of its own, since it cannot be undone."""

import importlib.util
import os
import platform
import subprocess
import sys

import pytest

from fer_jax.runtime.startup import delete_unfinished

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

CONFIGURE = """
import os
from fer_jax.runtime.startup import configure_process
configure_process()
"""

SETTINGS = f"""{CONFIGURE}
print(os.environ["XLA_FLAGS"], os.environ["JAX_COMPILATION_CACHE_DIR"])
"""


def run(tmp_path, code, *args, **environment):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | environment
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.nightly
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
    assert folder == str(tmp_path / "fer_jax" / "programs")


GPU_FLAGS = ["--xla_gpu_enable_triton_gemm=false", "--xla_gpu_experimental_enable_fusion_autotuner=false"]

ON_A_CPU = f"""{SETTINGS}
from fer_jax.runtime.startup import keep_order_of_exchanges
keep_order_of_exchanges()
import jax
jax.numpy.ones(1).block_until_ready()
"""
"""XLA parses all flags when it first uses a device of any kind, and aborts if there is one that it lacks."""


@pytest.fixture
def plugin(tmp_path):
    """A folder for PYTHONPATH in which JAX's build for CUDA seems to be installed."""
    (tmp_path / "site" / "jax_cuda13_plugin").mkdir(parents=True)
    return str(tmp_path / "site")


def test_flags_for_gpus_where_jax_is_built_for_them(tmp_path, plugin):
    """Those that this jaxlib has; none for a CPU, whose bits depend on the flags."""
    flags = run(tmp_path, ON_A_CPU, XLA_FLAGS="", PYTHONPATH=plugin, JAX_PLATFORMS="").split()[:-1]
    assert flags[1:] == GPU_FLAGS
    assert "xla_gpu" not in run(tmp_path, SETTINGS, XLA_FLAGS="", PYTHONPATH=plugin, JAX_PLATFORMS="cpu")


@pytest.mark.skipif(importlib.util.find_spec("jax_cuda13_plugin") is not None, reason="about a CPU's build")
def test_no_flags_for_gpus_where_jax_is_not_built_for_them(tmp_path):
    assert "xla_gpu" not in run(tmp_path, SETTINGS, XLA_FLAGS="", JAX_PLATFORMS="")


def test_the_users_flags_for_gpus_stay(tmp_path, plugin):
    mine = "--xla_gpu_enable_triton_gemm=true"
    flags = run(tmp_path, SETTINGS, XLA_FLAGS=mine, PYTHONPATH=plugin, JAX_PLATFORMS="cuda").split()[:-1]
    assert [flag for flag in flags if "gpu" in flag] == [mine, GPU_FLAGS[1]]


def test_autotuning_is_kept_beside_compiled_programs(tmp_path):
    code = SETTINGS + "import jax; print(jax.config.jax_persistent_cache_enable_xla_caches)"
    assert run(tmp_path, code).split()[-1] == "xla_gpu_per_fusion_autotune_cache_dir"


def test_unfinished_programs_are_deleted(tmp_path):
    """JAX writes the program, then the time of its use; a kill may come between the two."""
    for name in ("a-cache", "a-atime", "b-cache", "other"):
        (tmp_path / name).write_bytes(bytes(10))
    delete_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {".lockfile"} == {"a-cache", "a-atime", "other"}


def test_a_folder_that_is_not_there_has_no_programs(tmp_path):
    delete_unfinished(tmp_path / "none")
    assert not (tmp_path / "none").exists()


FILL_THE_CACHE = """
import os
from fer_jax.runtime.startup import configure_process
configure_process()
os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = "20000"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
import jax, jax.numpy as jnp
for n in range(12):
    jax.jit(lambda x: jnp.sin(x) * n + n)(jnp.ones(n + 1)).block_until_ready()
"""


def test_jax_itself_limits_the_cache(tmp_path):
    """Also where a kill has left a program half written, on which the limit would fail."""
    folder = tmp_path / "fer_jax" / "programs"
    folder.mkdir(parents=True)
    (folder / "half-cache").write_bytes(bytes(100))
    run(tmp_path, FILL_THE_CACHE)
    sizes = [path.stat().st_size for path in folder.glob("*-cache")]
    assert 1 < len(sizes) < 12
    assert sum(sizes) <= 20000
    assert not (folder / "half-cache").exists()


@pytest.mark.skipif(os.name != "posix", reason="makes a folder that cannot be written to")
def test_a_cache_that_cannot_be_written_to(tmp_path):
    """JAX would warn of each program."""
    (tmp_path / "fer_jax").write_text("in the way")
    code = SETTINGS.replace(
        'os.environ["JAX_COMPILATION_CACHE_DIR"]', 'os.environ.get("JAX_COMPILATION_CACHE_DIR")'
    )
    assert run(tmp_path, code, XLA_FLAGS="").split()[-1] == "None"
