"""Strict settings for every test: what is implicit in our own code is an error here. And the two forms.

``python -m pytest`` leaves out the tests that are marked ``nightly``; ``--nightly`` runs all.
"""

import gc
import hashlib
import os
import platform
import shutil
import signal
from pathlib import Path

import hypothesis
import jax
import jaxlib
import pytest

import commands
from fer_jax.evaluate import plots
from fer_jax.runtime.startup import delete_unfinished
from fer_jax.train import outputs
from served import server
from tiny_run import run_training, tiny_config

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)

LONGEST = ("docs", "kill", "interrupt", "package", "train_step", "main", "augment", "explain")
"""Files of tests that begin, since one process would have to wait for them at the end."""
LEFT_OUT = pytest.StashKey()
"""How many tests are left out since --nightly is not given."""
FILES = pytest.StashKey()
"""File -> how many tests of it are in the short form, of those that were collected."""


def pytest_addoption(parser):
    parser.addoption("--nightly", action="store_true", help="run all tests, those marked nightly too")


def pytest_configure(config):
    # What a shell starts in the background ignores Ctrl-C, and so would the commands that tests start.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Hypothesis draws as many examples as FER_JAX_EXAMPLES says: 5000 is for a night.
    examples = int(os.environ.get("FER_JAX_EXAMPLES", 100 if config.getoption("nightly") else 20))
    hypothesis.settings.register_profile("fer_jax", max_examples=examples)
    hypothesis.settings.load_profile("fer_jax")
    # Half of the compiler's time, for programs that run too shortly to gain by its other half.
    set_everywhere("jax_disable_most_optimizations", not config.getoption("nightly"))
    commands.nightly = config.getoption("nightly")
    keep_compiled_programs(config)


def set_everywhere(name, value):
    """In this process, and where commands are forked."""
    jax.config.update(name, value)
    commands.settings[name] = value


def keep_compiled_programs(config):
    """Most of the tests' time would be the compiler's, with the same programs in each run.

    They are shared with the other processes and later runs on the same kind of processor. JAX does not write
    its entries atomically; where it limits a folder, it reads and writes them under a lock, and what a killed
    process left half written can be told.
    """
    if not hasattr(config, "cache"):
        return
    names = f"{jax.__version__} {jaxlib.__version__} {processor()}"
    folder = config.cache.mkdir(f"programs-{hashlib.sha256(names.encode()).hexdigest()[:12]}")
    delete_unfinished(folder)
    set_everywhere("jax_compilation_cache_dir", str(folder))
    set_everywhere("jax_compilation_cache_max_size", 2**29)
    set_everywhere("jax_persistent_cache_min_compile_time_secs", 0.1)


def processor():
    """What compiled programs depend on: the machine's kind, and on Linux all that its processor can do."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    flags = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return f"{platform.machine()} {platform.processor()} {sorted(set(flags))}"


@pytest.hookimpl(tryfirst=True)  # before -k and the like
def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if item.get_closest_marker("nightly") is None]
    config.stash[FILES] = dict.fromkeys((item.path for item in items), 0)
    for item in kept:
        config.stash[FILES][item.path] += 1
    config.stash[LEFT_OUT] = 0 if config.getoption("nightly") else len(items) - len(kept)
    if not config.getoption("nightly"):
        items[:] = kept
    items.sort(key=lambda item: place_of(item.path.stem.removeprefix("test_")))


def place_of(file):
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Of pytest-xdist: every worker has collected all tests, and this process none."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"left out: {count} tests that take long; --nightly runs them too")


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache of parsed files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """JAX keeps in memory what it compiled, which over all tests would be some 3 GB."""
    yield
    path = Path("/proc/self/statm")
    if not path.exists() or int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > 2**30:
        jax.clear_caches()
        gc.collect()


def without_plots(patch):
    for module, name in [
        (outputs, "save_curves"),
        (plots, "save_confusion_matrix"),
        (plots, "save_reliability"),
    ]:
        patch.setattr(module, name, lambda *_, **__: None)


@pytest.fixture(scope="module")
def no_plots():
    """Training draws no pictures, which take longer than the rest of a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        without_plots(patch)
        yield


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """Puts a run of ``tiny_config(**changes)`` into a folder, where it may be changed -> the folder.

    Each is trained once, without pictures.
    """
    made = {}

    def trained_run(where, **changes):
        config = tiny_config(**changes)
        name = config.to_json()
        if name not in made:
            folder = tmp_path_factory.mktemp("trained")
            with pytest.MonkeyPatch.context() as patch:
                without_plots(patch)
                run_training(config, folder)
            made[name] = folder
        shutil.copytree(made[name], where, dirs_exist_ok=True)
        return where

    return trained_run


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The folder of the server at ``url``."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def url(own):
    """The address of a server of the page, for the tests of one module."""
    with server(own) as address:
        yield address
