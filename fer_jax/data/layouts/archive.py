"""Unpack a .zip of a data set of pictures into a temporary folder."""

import contextlib
import lzma
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_jax.data.find_pictures import is_hidden
from fer_jax.data.kinds import SUFFIXES
from fer_jax.errors import UserError
from fer_jax.runtime.files import one_line
from fer_jax.runtime.progress import counted

_BESIDE = (".csv", ".txt", ".lst", ".npy", ".heic", ".heif", ".hif")
"""Files with labels, and pictures that not everyone can read, which are unpacked too. Others are left out."""
_MOST_TIMES = 100
_FREE_OF_IT = 2**28
"""An archive that becomes more than so many times larger is refused, from this size in bytes: pictures are
compressed already."""

_DAMAGED = (
    *(EOFError, NotImplementedError, OSError, RuntimeError, ValueError),
    *(lzma.LZMAError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What zipfile raises on damaged, truncated, encrypted or exotic files, and a full disk."""


def is_picture_archive(path: str | os.PathLike) -> bool:
    """Whether ``path`` is a .zip file that holds pictures, by their names."""
    if not os.path.isfile(path) or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_is_picture(name) for name in archive.namelist())
    except _DAMAGED:
        return False  # whoever reads it as a table says what is wrong


def refuse_tar(path: str | os.PathLike) -> None:
    """Raise UserError if ``path`` is a tar file: what it holds is known at its end only."""
    name = os.fspath(path).lower()
    if not name.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")) and not _is_tar(path):
        return
    raise UserError(
        f"{path}: is a tar file; unpack it (tar -xf) and name what it holds; for pictures of a webdataset, "
        "write their paths and classes into a CSV file (docs/data.md)"
    )


def _is_tar(path: str | os.PathLike) -> bool:
    """By its content, if it is a plain file."""
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(262)[257:] == b"ustar"
    return False


@contextlib.contextmanager
def unpacked(path: str | os.PathLike) -> Iterator[str]:
    """Give a temporary folder with the pictures and labels of a .zip file, and delete it afterwards.

    Raises UserError if the archive is damaged, encrypted, not safe to unpack, or larger than the disk. Where
    the block raises UserError, its message has the path of the archive in place of the folder's.
    """
    with tempfile.TemporaryDirectory(prefix="fer_jax-") as folder:
        try:
            _extract(path, Path(folder))
        except _DAMAGED as error:
            raise UserError(
                f"{path}: cannot be unpacked ({one_line(error)}); a complete .zip file was expected"
            ) from error
        try:
            yield folder
        except UserError as error:
            raise UserError(str(error).replace(folder, os.fspath(path))) from error


def _extract(path: str | os.PathLike, folder: Path) -> None:
    """Write the members that are pictures or labels. Raises UserError, and what zipfile raises."""
    with zipfile.ZipFile(path) as archive:
        members = [(member, _parts(path, member)) for member in archive.infolist() if not member.is_dir()]
        taken = [(m, parts) for m, parts in members if _is_taken(m, parts)]
        _require_room(path, [member for member, _ in taken], folder)
        for member, parts in counted(taken, unit="unpacked file"):
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "xb") as file:
                shutil.copyfileobj(source, file)


def _parts(path: str | os.PathLike, member: zipfile.ZipInfo) -> tuple[str, ...]:
    """The folders and the name of a member. Raises UserError if they would lead out of the folder."""
    name = member.filename.replace("\\", "/")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or any(":" in part for part in parts[:1]):
        raise UserError(
            f"{path}: holds {member.filename!r}, which would be unpacked elsewhere; do not use it"
        )
    return parts


def _is_taken(member: zipfile.ZipInfo, parts: Sequence[str]) -> bool:
    """Whether a member is a plain file, not hidden, and a picture or a file of labels by its name."""
    mode = member.external_attr >> 16
    is_plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
    is_named = _is_picture(member.filename) or member.filename.lower().endswith(_BESIDE)
    return bool(parts) and is_plain and is_named and not any(map(is_hidden, parts))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _require_room(path: str | os.PathLike, members: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    """Raise UserError if the members, which zipfile cuts at their stated sizes, take too much room."""
    size = sum(member.file_size for member in members)
    times = size / os.path.getsize(path)
    if size > _FREE_OF_IT and times > _MOST_TIMES:
        raise UserError(
            f"{path}: would become {times:,.0f} times as large when unpacked, which pictures do not; "
            "if you trust it, unpack it yourself and name the folder"
        )
    free = shutil.disk_usage(folder).free
    if size > 0.9 * free:
        raise UserError(
            f"{path}: needs {size / 2**20:,.0f} MiB in {folder.parent}, which has {free / 2**20:,.0f}; "
            "unpack it yourself and name the folder, or set TMPDIR"
        )
