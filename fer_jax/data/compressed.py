"""Reading lines of a file that may be compressed, and writing a file whole or not at all."""

import contextlib
import gzip
import itertools
import lzma
import os
import secrets
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fer_jax.errors import UserError

# What the decompressors raise on damaged, truncated, encrypted or exotic files.
_DAMAGED = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

# What np.load raises on a file of arrays that is missing, cut off, damaged or none.
DAMAGED_ARRAYS = (
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

_LONGEST_LINE = 64 << 20
"""Bytes. A face takes 10,000; a file without line ends would else be held in memory as a whole."""


def lines(path: str | os.PathLike) -> Iterator[bytes]:
    """The lines of ``path``, with their ends; .gz, .xz and .zip (of one file) are decompressed.

    Raises UserError if the file is missing, not readable or damaged, or a line has no end in sight.
    """
    try:
        with contextlib.ExitStack() as stack:
            file = _open(path, stack)
            for number in itertools.count(1):
                line = file.readline(_LONGEST_LINE)
                if len(line) == _LONGEST_LINE:
                    limit = f"{_LONGEST_LINE >> 20} MiB"
                    raise UserError(
                        f"{path}, line {number}: longer than {limit}; one row a line was expected"
                    )
                if not line:
                    return
                yield line
    except UserError:
        raise
    except _DAMAGED as error:  # before OSError, which BadGzipFile is
        raise UserError(
            f"{path}: cannot be decompressed ({one_line(error)}); "
            "a complete .gz, .xz or .zip file was expected; copy or download it again"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: {os_reason(error)}; a readable file was expected") from error


def _open(path: str | os.PathLike, stack: contextlib.ExitStack) -> BinaryIO:
    suffix = Path(path).suffix.lower()
    if suffix == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(path))
        return stack.enter_context(archive.open(_only_member(path, archive)))
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(suffix, open)
    return stack.enter_context(opener(path, "rb"))


def _only_member(path: str | os.PathLike, archive: zipfile.ZipFile) -> str:
    """The one file in a .zip, what macOS adds to it aside."""
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
    if len(names) != 1:
        raise UserError(
            f"{path}: holds {len(names)} files; a .zip of exactly one CSV file was expected; unpack it"
        )
    return names[0]


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path in the same folder, which replaces ``path`` if the block succeeds.

    Readers see the old file or the new one, never a half-written one. Raises OSError.
    """
    path = Path(path)
    # Shortened, since a name of the longest allowed is to be possible.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def os_reason(error: OSError) -> str:
    """Why the system refused, in words, without the path: "no such file or directory"."""
    return (error.strerror or one_line(error)).lower()


def one_line(error: Exception) -> str:
    """The message of ``error`` on one line of bounded length, or its type if it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__
