"""Write a file whole or not at all; say why the system refused."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which replaces ``path`` if the block succeeds.

    Readers see the old file or the new one, never a half-written one. Raises OSError.
    """
    path = Path(path)
    # Shortened, because ``path`` may have the longest name that is allowed.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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
    return (error.strerror or one_line(error)).lower()


def one_line(error: Exception, *, limit: int | None = 200) -> str:
    """The message of ``error`` on one line of at most ``limit`` characters, or its type if it has none."""
    return " ".join(str(error).split())[:limit] or type(error).__name__


def cache_folder() -> Path:
    """Folder of parsed files and compiled programs: ``$XDG_CACHE_HOME/fer_jax`` or ``~/.cache/fer_jax``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification demands to ignore a path that is not absolute.
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "fer_jax")
