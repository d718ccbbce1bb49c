"""Facial expressions from the command line: train, evaluate, predict, explain, export, serve.

python main.py --config=configs/cnn.py                          train on built-in synthetic faces
python main.py --config=configs/cnn.py --config.dataset=PATH    ... on a CSV file or a folder of pictures
python main.py --mode=eval --workdir=runs/cnn                   confusion matrix, per-class figures
python main.py --config=configs/cnn.py --mode=predict --input=PATH --output=OUT.csv
python main.py --config=configs/cnn.py --mode=explain [--input=PATH] [--output=DIR]
python main.py --config=configs/cnn.py --mode=export --output=DIR
python main.py --config=configs/cnn.py --mode=serve             a web page for photos
"""

import shlex
import sys
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from fer_jax import modes
from fer_jax.errors import UserError
from fer_jax.runtime.command import make_command
from fer_jax.runtime.files import os_reason
from fer_jax.runtime.flags import parse_flags
from fer_jax.runtime.signals import Stopped, raise_stopped, replace_handlers
from fer_jax.runtime.startup import configure_process

# No default here: ml_collections would load it, and fail on a misspelt field, before flags are parsed.
CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Config file; configs/cnn.py if not given. --config.FIELD=VALUE sets one field; configs/default.py "
    "lists all fields.",
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run. If not given: runs/NAME, or runs/NAME-synthetic on the built-in faces. eval: also "
    "several folders, separated by commas.",
)
MODE = flags.DEFINE_enum("mode", "train", list(modes.MODES), "What to do.")
INPUT = flags.DEFINE_string(
    "input", None, "predict, explain: a CSV file, a picture, or a folder of pictures."
)
OUTPUT = flags.DEFINE_string("output", None, "predict: the CSV file to write; explain, export: the folder.")
PROBABILITIES = flags.DEFINE_bool("probabilities", False, "predict: add a column for each expression.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise UserError(f"{argv[1]!r} is not a flag; set a field of the config by --config.FIELD=VALUE")
    # Orbax logs every step of a save at level INFO.
    logging.set_verbosity(logging.WARNING)
    configure_process()
    command = make_command(
        MODE.value,
        CONFIG.value,
        name=Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem,
        overrides=tuple(config_flags.get_override_values(flags.FLAGS["config"])),
        workdir=WORKDIR.value,
        input=INPUT.value,
        output=OUTPUT.value,
        probabilities=PROBABILITIES.value,
    )
    run = modes.runner(command)
    run(command)


if __name__ == "__main__":
    # Escape what the terminal cannot show, as standard error does: a file's name or a bar ends no run.
    sys.stdout.reconfigure(errors="backslashreplace")
    replace_handlers(raise_stopped)
    try:
        app.run(main, flags_parser=parse_flags)
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'a file'}: {os_reason(error)}")
    except Stopped as stop:
        print(f"\n{stop}; to go on: {shlex.join(['python', *sys.argv])}", file=sys.stderr)
        sys.exit(stop.status)
