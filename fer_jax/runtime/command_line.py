"""The flags, and what is printed when a command ends before its end."""

import functools
import platform
import re
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

import fer_jax
from fer_jax import modes
from fer_jax.errors import UserError
from fer_jax.runtime import signals
from fer_jax.runtime.command import Command, make_command
from fer_jax.runtime.files import one_line, os_reason
from fer_jax.runtime.flags import parse_flags
from fer_jax.runtime.signals import Stopped
from fer_jax.runtime.startup import configure_process

USAGE = """Facial expressions: train, evaluate, predict, explain, export, serve.

{program} --config=cnn                            train on built-in drawn faces
{program} --config=cnn --config.dataset=PATH      ... on a CSV file or a folder of pictures
{program} --mode=eval --workdir=runs/cnn          confusion matrix, figures for each class
{program} --config=best --mode=predict --input=PATH --output=OUT.csv
{program} --config=cnn --mode=explain [--input=PATH] [--output=DIR]
{program} --config=cnn --mode=export --output=DIR
{program} --config=best --mode=serve              a web page for photos
"""

# No default here: ml_collections would load it, and fail on a misspelt field, before flags are parsed.
CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Config file, or the name of one that comes with fer_jax; cnn if not given. --config.FIELD=VALUE sets "
    "one field; configs/default.py lists all fields.",
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run. If not given: runs/NAME, or runs/NAME-synthetic on the built-in faces. eval: also "
    "several folders, separated by commas. All modes except train: also the name of weights that come "
    "with fer_jax.",
)
MODE = flags.DEFINE_enum("mode", "train", list(modes.MODES), "What to do.")
INPUT = flags.DEFINE_string(
    "input",
    None,
    "predict, explain: a CSV file, a picture, or a folder of pictures; predict: also a video, a folder with "
    "videos, or camera:0 (docs/video.md).",
)
OUTPUT = flags.DEFINE_string(
    "output", None, "predict: the CSV file to write, - for standard output; explain, export: the folder."
)
PROBABILITIES = flags.DEFINE_bool("probabilities", False, "predict: add a column for each expression.")


def run(program: str) -> None:
    """Run the command line, and end the process with its status; every error is one line.

    ``program`` is how the user starts it, for the help.
    """
    try:
        app.run(main, flags_parser=functools.partial(parse_flags, usage=USAGE.format(program=program)))
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'a file'}: {os_reason(error)}")
    except Stopped as stop:
        print(f"\n{stop}; to go on: {signals.to_go_on()}", file=sys.stderr)
        signals.leave_without_waiting(stop.status)
        sys.exit(stop.status)
    except Exception as error:
        sys.exit(f"error: {_no_memory(error) or _unexpected(error)}")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise UserError(f"{argv[1]!r} is not a flag; set a field of the config by --config.FIELD=VALUE")
    # Orbax logs every step of a save at level INFO.
    logging.set_verbosity(logging.WARNING)
    configure_process()
    command = _command()
    run_mode = modes.runner(command)
    run_mode(command)
    # Python's shutdown takes a while with JAX, and a signal would then look like a failure.
    signals.leave_without_waiting(0)


def _command() -> Command:
    config_flag = flags.FLAGS["config"]
    return make_command(
        MODE.value,
        CONFIG.value,
        name=Path(config_flags.get_config_filename(config_flag)).stem,
        overrides=tuple(config_flags.get_override_values(config_flag)),
        workdir=WORKDIR.value,
        input=INPUT.value,
        output=OUTPUT.value,
        probabilities=PROBABILITIES.value,
    )


def _no_memory(error: Exception) -> str | None:
    """Say how much memory was missing, and which fields make it less; None for another error."""
    if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
        return None
    found = re.search(r"(\d{4,}) ?bytes|([\d.]+) ?([KMGT]i?B)", str(error))
    size = f" ({_size(found)} in one piece)" if found else ""
    model = CONFIG.value.model
    network = {"cnn": "config.cnn.widths", "mlp": "config.mlp.hidden"}.get(model, "the network")
    return (
        f"out of memory{size}; make config.batch_size={CONFIG.value.batch_size} or {network} smaller, or the "
        "data set"
    )


def _size(found: re.Match) -> str:
    count, number, unit = found.groups()
    return f"{int(count) / 1e9:,.1f} GB" if count else f"{number} {unit}"


def _unexpected(error: Exception) -> str:
    """Write the traceback to a file, and name it: nobody but its author can use it."""
    about = [
        shlex.join(sys.argv),
        f"fer_jax {fer_jax.__version__}, Python {platform.python_version()}, {platform.platform()}",
        "".join(traceback.format_exception(error)),
    ]
    path = Path(tempfile.gettempdir(), f"fer_jax-error-{time.strftime('%Y%m%d-%H%M%S')}.txt")
    try:
        path.write_text("\n".join(about), encoding="utf-8", errors="backslashreplace")
    except OSError as failure:
        return f"{type(error).__name__}: {one_line(error)} (no report: {path}: {os_reason(failure)})"
    return (
        f"{type(error).__name__}: {one_line(error)}; this is a fault of fer_jax, please report it with {path}"
    )
