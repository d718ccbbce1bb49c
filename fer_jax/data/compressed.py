"""Read the lines of a file that may be compressed."""

import gzip
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line, os_reason

# What the decompressors raise on damaged, truncated, encrypted or exotic files.
_DAMAGED = (
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
    *(gzip.BadGzipFile, lzma.LZMAError, struct.error, zipfile.BadZipFile, zlib.error),
)

# What np.load raises on a file of arrays that is missing, cut off, damaged or none.
DAMAGED_ARRAYS = (SyntaxError, *_DAMAGED, AttributeError, KeyError, OSError, TypeError, tokenize.TokenError)

_MAGIC = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"PK\3\4": ".zip", b"PK\5\6": ".zip"}

_LONGEST_LINE = 64 << 20
"""Bytes. A face takes 10,000; a file without line ends would otherwise be held in memory as a whole."""


def lines(path: str | os.PathLike) -> Iterator[bytes]:
    """Read the lines of ``path``, with their ends; .gz, .xz and .zip (of one file) are decompressed.

    Raises UserError if the file is missing, not readable or damaged, or a line has no end in sight.
    """
    try:
        with _open(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=1):
                if len(line) == _LONGEST_LINE:
                    limit = f"{_LONGEST_LINE >> 20} MiB"
                    raise UserError(
                        f"{path}, line {number}: longer than {limit}; one row a line was expected"
                    )
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


def _open(path: str | os.PathLike) -> BinaryIO:
    kind = _kind(path)
    if kind == ".zip":
        with zipfile.ZipFile(path) as archive:  # what is opened from it stays open
            return archive.open(_only_member(path, archive))
    return {".gz": gzip.open, ".xz": lzma.open}.get(kind, open)(path, "rb")


def _kind(path: str | os.PathLike) -> str:
    """How a file is compressed: by its first bytes, since browsers unpack files and keep their names.

    By its name if it is no plain file, whose first bytes would be lost, or is empty.
    """
    if Path(path).is_file():
        with open(path, "rb") as file:
            start = file.read(6)
        if start:
            return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")
    return Path(path).suffix.lower()


def _only_member(path: str | os.PathLike, archive: zipfile.ZipFile) -> str:
    """Find the one file in a .zip, what macOS adds to it aside."""
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
    if len(names) != 1:
        raise UserError(
            f"{path}: holds {len(names)} files; a .zip of exactly one CSV file was expected; unpack it"
        )
    return names[0]
