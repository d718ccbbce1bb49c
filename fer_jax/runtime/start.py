"""Start the program, as ``python main.py`` or as ``fer-jax``."""

import shlex
import sys
from pathlib import Path

from fer_jax.runtime import signals


def program() -> None:
    """Run the command line; signals are watched before the imports that take seconds."""
    signals.watch(shlex.join(_words(sys.argv)))
    from fer_jax.runtime import flags, streams

    streams.prepare()
    sys.argv = flags.complete(sys.argv)
    from fer_jax.runtime import command_line

    command_line.run()


def _words(argv: list[str]) -> list[str]:
    """The command as its user typed it."""
    script = Path(argv[0])
    return ["python", *argv] if script.suffix == ".py" else [script.name, *argv[1:]]
