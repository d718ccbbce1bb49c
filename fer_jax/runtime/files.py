"""Write a file whole or not at all; say why the system refused."""

import contextlib
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fer_jax.errors import UserError

_temporaries: set[Path] = set()
_beginning = threading.Lock()


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path, whose content becomes that of ``path`` if the block succeeds.

    A plain file is replaced: readers see the old file or the new one, never a half-written one. So is the
    file that a symbolic link points to; the link stays. Anything else, such as a pipe or a device, stays
    what it is, and the content is written into it. ``-`` is standard output. Raises OSError.
    """
    path = Path(path)
    through = is_stream(path)
    target = path if through else Path(os.path.realpath(path))
    folder = Path(tempfile.gettempdir()) if through else target.parent
    # Shortened, because the target may have the longest name that is allowed.
    temporary = folder / f".{target.name[:40]}.{secrets.token_hex(4)}.tmp"
    with _beginning:
        _temporaries.add(temporary)
    try:
        yield temporary
        if through:
            _write_through(temporary, path)
        else:
            _take_the_place(temporary, target)
    except OSError as error:
        if error.filename and os.fspath(error.filename) == os.fspath(temporary):
            error.filename, error.filename2 = os.fspath(path), None  # the name that the user knows
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _temporaries.discard(temporary)


def is_stream(path: str | os.PathLike) -> bool:
    """Whether ``path`` is written through: ``-``, a pipe, a device, or a name for an open file."""
    path = Path(path)
    if is_standard_output(path) or path.absolute().parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:  # it is not there, or cannot be: whoever writes it says why
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_standard_output(path: str | os.PathLike) -> bool:
    """Whether ``path`` means standard output, as ``-`` does."""
    return str(path) in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def open_stream(path: str | os.PathLike) -> BinaryIO:
    """Open what ``is_stream`` names, to write bytes to it."""
    # What is open as standard output may be a file, which another opening would cut off.
    if is_standard_output(path):
        sys.stdout.flush()
        return os.fdopen(os.dup(1), "wb")
    return open(path, "ab")


def _write_through(temporary: Path, path: Path) -> None:
    with open(temporary, "rb") as content, open_stream(path) as stream:
        shutil.copyfileobj(content, stream)


def _take_the_place(temporary: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.copymode(target, temporary)  # who may read it
    os.replace(temporary, target)


def check_folder(folder: Path, *, named: str) -> None:
    """Raise UserError unless files can be made in ``folder``, or in what it would be made in.

    ``named`` is the flag that names it.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise UserError(f"{existing}: is a file; a folder to write to was expected by {named}")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"{existing}: {os_reason(error)}; {named} needs a folder to write to") from error


def remove_temporaries() -> None:
    """Remove the files that ``replacing`` has under way: the process is about to end."""
    with _beginning:
        for path in list(_temporaries):
            with contextlib.suppress(OSError):
                path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically: the file as a whole, so that no line comes twice."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically, and make the folder if it is missing.

    A file's name in the text that is not UTF-8 is written as the file system has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def os_reason(error: OSError) -> str:
    """The reason why the system refused, in words, without the path: "no such file or directory"."""
    reason = error.strerror or one_line(error)
    return reason[:1].lower() + reason[1:]


def one_line(error: Exception, *, limit: int | None = 200) -> str:
    """The message of ``error`` on one line of at most ``limit`` characters, or its type if it has none."""
    return " ".join(str(error).split())[:limit] or type(error).__name__


def expand_user(path: str | os.PathLike) -> str:
    """Replace ``~`` at the start of a path by the home folder. Raises UserError where there is none."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~") and expanded == os.fspath(path) and not os.path.lexists(expanded):
        name = Path(expanded).parts[0]
        raise UserError(f"{path}: there is no home folder {name}; write the path in full, or ./{path}")
    return expanded


def cache_folder() -> Path:
    """Folder of parsed files and compiled programs: ``$XDG_CACHE_HOME/fer_jax`` or ``~/.cache/fer_jax``.

    Where there is no home folder, a folder of this user for temporary files.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification demands to ignore a path that is not absolute.
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        user = os.getuid() if hasattr(os, "getuid") else "user"
        base = os.path.join(tempfile.gettempdir(), f"cache-{user}")
    return Path(base, "fer_jax")
