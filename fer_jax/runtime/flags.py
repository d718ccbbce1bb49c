"""Flags and config of the command line, with errors told in one line."""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from fer_jax.data.compressed import one_line

_DEFAULT = Path(__file__).parents[2] / "configs" / "cnn.py"


def parse_flags(argv: list[str]) -> list[str]:
    """Parses ``argv`` for ``absl.app.run``; the flag ``config`` is a config file -> what is no flag.

    Ends the program with one line and status 1 on a flag, a config field, a value or a file that is
    not right: while flags are parsed, such errors can only be the user's.
    """
    if not any(argument.split("=")[0] in ("--config", "-config") for argument in argv[1:]):
        argv = [argv[0], f"--config={_DEFAULT}", *argv[1:]]
    try:
        rest = flags.FLAGS(argv)
        path = config_flags.get_config_filename(flags.FLAGS["config"])
        if not Path(path).is_file():
            sys.exit(f"error: --config={path}: no such file; see the files in configs/")
    except AttributeError as error:
        # ConfigDict quotes its message twice on its way up.
        if "get_config" in str(error):
            sys.exit(_no_config(error))
        sys.exit("error: no config field " + str(error).strip("\"'").replace("\\n", ": ").replace("\\'", "'"))
    except (flags.Error, TypeError, ValueError, IndexError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except Exception as error:  # a config file is Python, and may raise anything
        sys.exit(_no_config(error))
    return rest


def _no_config(error: Exception) -> str:
    return (
        f"error: --config: cannot be read as a config ({one_line(error)}); "
        "a file as those in configs/ was expected"
    )
