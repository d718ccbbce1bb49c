"""Runs main.py for a test: in a new process, or forked from one that has imported fer_jax already.

Importing JAX, Flax and Orbax takes two to three seconds, the command that is tested often less. The process
that is forked from (Python's own "forkserver") never starts a JAX backend, so it has no threads of JAX.
"""

import argparse
import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAIN = ROOT / "main.py"
IMPORTED = ["fer_jax.train.run", "fer_jax.evaluate.run", "fer_jax.predict.run", "fer_jax.check_config"]
CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()


settings = {}
"""Settings of JAX for the process that is forked from; conftest.py fills it."""

nightly = False
"""Whether --nightly is given; conftest.py sets it. Then ``run_main`` starts processes as a user does."""


def run_main(arguments, folder, **variables):
    """Runs main.py in a folder, with more variables of the environment -> CompletedProcess, with text."""
    if CAN_FORK and not nightly:
        return _fork(_run, [MAIN, *arguments], folder, variables)
    command, environment = [sys.executable, MAIN, *arguments], os.environ | variables
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def check_main(arguments, folder):
    """Does all that main.py does before its mode runs: parse the flags, check the config and the command."""
    return _fork(_check_main, [MAIN, *arguments], folder, {})


def check_script(path, arguments):
    """Does all that a script does until its flags are parsed."""
    return _fork(_check_script, [path, *arguments], ROOT, {})


@functools.cache
def _context():
    """Starts the process that is forked from, with all that JAX reads when it is imported."""
    if not CAN_FORK:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        # Its own sys.path does not reach the imports before Python 3.14.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        # A thread of pyarrow, which pandas imports where it is installed.
        patch.setenv("JE_ARROW_MALLOC_CONF", "background_thread:false")
        for name, value in settings.items():
            patch.setenv(name.upper(), str(value))
        first = context.Process(target=int)
        first.start()
        first.join()
        first.close()
    return context


def _fork(function, arguments, folder, variables):
    context = _context()
    with tempfile.TemporaryDirectory() as printed:
        paths = [os.path.join(printed, name) for name in ("out", "err")]
        settings = (function, list(map(str, arguments)), str(folder), os.environ | variables, paths)
        process = context.Process(target=_in_child, args=settings)
        process.start()
        process.join()
        out, err = (Path(path).read_text(encoding="utf-8") for path in paths)
        status = process.exitcode
        process.close()
    return subprocess.CompletedProcess(arguments, status, out, err)


def _in_child(function, arguments, folder, environment, paths):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate(paths, start=1):
        with open(path, "wb") as file:
            os.dup2(file.fileno(), number)
    sys.argv = arguments
    function()


def _run():
    runpy.run_path(sys.argv[0], run_name="__main__")


def _check_main():
    from fer_jax import modes

    real = modes.runner

    def runner(command):
        real(command)
        return lambda command: print("checked:", command.mode)

    modes.runner = runner
    _run()


def _check_script():
    real = argparse.ArgumentParser.parse_args

    def parse_args(parser, *args):
        real(parser, *args)
        sys.exit()

    argparse.ArgumentParser.parse_args = parse_args
    _run()
    sys.exit("it has not parsed its flags")
