"""Parse the flags and the config of the command line; report an error in one line."""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from fer_jax.runtime.files import one_line

_DEFAULT = Path(__file__).parents[2] / "configs" / "cnn.py"


def parse_flags(argv: list[str]) -> list[str]:
    """Parse ``argv`` for ``absl.app.run``, and return what is not a flag; ``config`` is a config file.

    Ends the program with one line and status 1 for a wrong flag, config field, value or file: while flags
    are parsed, any error is the user's.
    """
    if not any(argument.split("=")[0] in ("--config", "-config") for argument in argv[1:]):
        argv = [argv[0], f"--config={_DEFAULT}", *argv[1:]]
    try:
        rest = flags.FLAGS(argv)
        path = config_flags.get_config_filename(flags.FLAGS["config"])
        if not Path(path).is_file():
            sys.exit(f"error: --config={path}: no such file; see the files in configs/")
    except (flags.Error, TypeError, ValueError, IndexError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except Exception as error:  # a config file is Python, and may raise anything
        if isinstance(error, AttributeError) and "get_config" not in str(error):
            # ConfigDict quotes its message twice on its way up.
            message = str(error).strip("\"'").replace("\\n", ": ").replace("\\'", "'")
            sys.exit(f"error: no config field {message}")
        sys.exit(f"error: --config: not a config ({one_line(error)}); expected a file like those in configs/")
    return rest
