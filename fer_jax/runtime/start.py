"""Start the program, as ``python main.py`` or as ``fer-jax``."""

import shlex
import sys
from pathlib import Path

from fer_jax.runtime import signals


def program() -> None:
    """Run the command line; signals are watched before the imports that take seconds."""
    signals.watch(shlex.join([*words(sys.argv[0]), *sys.argv[1:]]))
    from fer_jax.runtime import flags, streams

    streams.prepare()
    sys.argv = flags.complete(sys.argv)
    from fer_jax.runtime import command_line

    command_line.run(shlex.join(words(sys.argv[0])))


def words(script: str) -> list[str]:
    """How the user starts ``script``, the program."""
    return ["python", script] if script.endswith(".py") else [Path(script).name]
