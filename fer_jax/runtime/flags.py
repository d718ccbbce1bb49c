"""Parse the flags and the config of the command line; report an error in one line."""

import difflib
import importlib
import re
import sys
from pathlib import Path

from absl import flags

import fer_jax
from fer_jax.runtime.files import one_line

_CONFIG = re.compile(r"--?config(=|$)")
_FIELD = re.compile(r"--?config\.([\w.]+)")
_DEFAULT = "cnn"
_COMMAND_LINE = "fer_jax.runtime.command_line"
"""The module that defines our flags."""


def complete(argv: list[str]) -> list[str]:
    """Put the lines of ``--flagfile`` in its place, and ``--config`` in front of its fields.

    Call it before flags are defined: ml_collections reads ``sys.argv`` then. Without ``--config`` it is
    ``cnn``; the name of a config that comes with fer_jax becomes its path, and is printed. Ends the program
    with one line and status 1 for a file that cannot be read.
    """
    try:
        words = flags.FlagValues().read_flags_from_files(argv[1:], force_gnu=True)
    except flags.Error as error:
        sys.exit(f"error: --flagfile: {_reason(error)}")
    values, others = [], []
    words = iter(words)
    for word in words:
        if _CONFIG.match(word):
            values.append(word.partition("=")[2] if "=" in word else next(words, ""))
        else:
            others.append(word)
    config = _find_config(values[-1]) if values else configs_folder() / f"{_DEFAULT}.py"
    return [argv[0], f"--config={config}", *others]


def parse_flags(argv: list[str], *, usage: str = "") -> list[str]:
    """Parse ``argv`` for ``absl.app.run``, and return what is not a flag.

    Ends the program with one line and status 1 for a wrong flag, config field, value or file: while flags
    are parsed, any error is the user's. ``--help`` prints ``usage`` and the flags, and ends it with status 0.
    """
    if asked := {"--help", "-help", "-h", "-?", "--helpshort", "--helpfull"}.intersection(argv):
        print(usage)
        print(_help(everything="--helpfull" in asked))
        sys.exit(0)
    try:
        rest = flags.FLAGS(argv)
        flags.FLAGS["config"].value  # noqa: B018  raises what went wrong when the file was loaded
        return rest
    except Exception as error:  # a config file is Python, and may raise anything
        sys.exit(f"error: {_explain(error, argv)}")


def configs_folder() -> Path:
    """The folder of the configs that come with fer_jax; makes ``from configs import default`` work."""
    package = Path(fer_jax.__file__).parent
    folder = package.parent / "configs"
    if (folder / "default.py").is_file():
        if str(package.parent) not in sys.path:
            sys.path.append(str(package.parent))
        return folder
    # Installed: the configs are within the package.
    sys.modules.setdefault("configs", importlib.import_module("fer_jax.configs"))
    return package / "configs"


def _find_config(value: str) -> str:
    """Return the path of the config ``value``: a file, or the name of one that comes with fer_jax."""
    folder = configs_folder()
    path, colon, _ = value.partition(":")
    if Path(value).is_file() or (colon and Path(path).is_file()):
        return value
    name = Path(value).name.removesuffix(".py")
    found = folder / f"{name}.py"
    # cnn, cnn.py or configs/cnn.py, from any folder
    if value in (name, f"{name}.py", f"configs/{name}.py") and found.is_file():
        if value != f"configs/{name}.py":
            print(f"config: {found}", file=sys.stderr)
        return str(found)
    names = ", ".join(sorted(p.stem for p in folder.glob("[a-z]*.py") if p.stem != "default"))
    sys.exit(f"error: --config={value}: no such file; expected a config file, or one of {names}")


def _explain(error: Exception, argv: list[str]) -> str:
    """Say in one line what is wrong with the command line."""
    fields = _known_fields()
    for word in argv[1:]:
        if (field := _FIELD.match(word)) and fields and not _is_field(field[1], fields):
            return f"no config field {field[1]!r}{_near(field[1], fields)}"
    if isinstance(error, flags.UnrecognizedFlagError):
        leaves = {field for field in fields if field.rpartition(".")[2] == error.flagname}
        if leaves:
            return f"no flag --{error.flagname}; a field of the config is set by --config.{min(leaves)}=VALUE"
        names = sorted(flag.name for flag in flags.FLAGS.get_key_flags_for_module(_COMMAND_LINE))
        return f"no flag --{error.flagname}; there are --{', --'.join(names)}, and --config.FIELD=VALUE"
    if isinstance(error, flags.Error | TypeError | ValueError | IndexError):
        return _reason(error)
    return f"--config: not a config ({_reason(error)}); expected a file like those in configs/"


def _known_fields() -> list[str]:
    """The dotted names of all fields of configs/default.py."""
    configs_folder()
    config = importlib.import_module("configs.default").get_config()
    names = []
    for name, value in config.items():
        names += [f"{name}.{inner}" for inner in value] if hasattr(value, "items") else [name]
    return names


def _is_field(name: str, fields: list[str]) -> bool:
    return name in fields or any(field.startswith(f"{name}.") for field in fields)


def _near(name: str, fields: list[str]) -> str:
    """The field that is most like ``name``, or in a group that is, as a question."""
    groups = sorted({field.partition(".")[0] for field in fields if "." in field})
    found = difflib.get_close_matches(name, fields, 1) or difflib.get_close_matches(
        name.partition(".")[0], [*groups, *fields], 1
    )
    return f': Did you mean "{found[0]}" instead of "{name}"?' if found else "; configs/default.py lists them"


def _reason(error: Exception) -> str:
    """The message of ``error`` without the traceback that ml_collections puts into it."""
    text = str(error).strip()
    if "Traceback (most recent call last)" in text:
        start = text.partition("Error whilst parsing config file")[0]
        return one_line(Exception(f"{start}{text.splitlines()[-1]}"))
    return one_line(error).removeprefix("ERROR:: ")


def _help(*, everything: bool) -> str:
    return flags.FLAGS.get_help() if everything else flags.FLAGS.module_help(_COMMAND_LINE)
