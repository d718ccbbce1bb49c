"""Write the rows of a table as they are made, and go on after those of an earlier command."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fer_jax.errors import UserError
from fer_jax.runtime import signals
from fer_jax.runtime.files import is_stream, open_stream, replacing, write_text
from fer_jax.runtime.words import number_of

INCOMPLETE, _JOURNAL = ".incomplete", ".jsonl"
_LONGEST_NAME = 255

Entry = dict[str, Any]
"""What a command notes of the rows that it appends: ``rows``, their number, and what it needs to go on."""


@contextlib.contextmanager
def appended_rows(output: Path, header: str, key: str | None) -> Iterator["FileRows | StreamRows"]:
    """Yield an object that takes rows; ``finish`` it at the end of the block, which makes the table complete.

    The rows of a file go to ``OUT.csv.incomplete`` beside it. If that is there, from a command with the same
    ``key`` that was stopped, its rows are kept: ``entries`` begins with what was noted of them, ``kept``
    items. A UserError within the block removes the incomplete file, since the same command would end so
    again. Rows for a pipe, a device or ``-`` are written straight through.

    Args:
      output: the table.
      header: its first line.
      key: what the rows depend on; None if it cannot be told whether the same command goes on.

    Raises:
      UserError: another command writes the same table.
      OSError: it cannot be written.
    """
    rows = StreamRows(output, header) if is_stream(output) else FileRows(output, header, key)
    try:
        yield rows
    except UserError:
        rows.discard()
        raise
    finally:
        rows.close()


def name_with(name: str, ending: str, *, reserve: int = 0) -> str:
    """The name with an ending, cut before it so that a file may have it, and ``reserve`` bytes more."""
    while len(os.fsencode(name + ending)) + reserve > _LONGEST_NAME:
        name = name[:-1]
    return name + ending


class StreamRows:
    """Rows of a pipe or device; see ``appended_rows``."""

    def __init__(self, output: Path, header: str) -> None:
        self.entries: list[Entry] = []
        self.kept = 0
        self._header, self._file = header, open_stream(output)

    def write(self, text: str) -> None:
        """Write complete rows. Raises OSError."""
        with signals.held():
            self._file.write((self._header + text).encode(errors="surrogateescape"))
            self._file.flush()
        self._header = ""

    def append(self, text: str, entry: Entry) -> None:
        """Write complete rows, and keep the ``entry``. Raises OSError."""
        self.write(text)
        self.entries.append(entry)

    def told(self) -> str:
        """One line that says what has been written, for a command that is stopped."""
        return f"written so far: {_rows(self.entries)}"

    def finish(self, edit: Callable[[str], str] | None = None) -> None:
        """Write the header if there were no rows; ``edit`` is for files."""
        if self._header:
            self.append("", {"rows": 0})

    def discard(self) -> None:
        """Do nothing: what is written stays written."""

    def close(self) -> None:
        self._file.close()


class FileRows:
    """Rows of a file; see ``appended_rows``.

    Beside the incomplete file is a journal, one JSON object a line: the key, then an entry for each
    ``append`` with ``bytes``, the length of the incomplete file. What a kill left beyond that is cut off.
    """

    def __init__(self, output: Path, header: str, key: str | None) -> None:
        # The file behind a link, which stays a link.
        self._output = Path(os.path.realpath(output)) if output.is_symlink() else output
        self.path = self._output.with_name(name_with(self._output.name, INCOMPLETE, reserve=len(_JOURNAL)))
        self._journal = self.path.with_name(self.path.name + _JOURNAL)
        self._header, self._key = header, key
        self._file: io.FileIO | None = None
        self.entries: list[Entry] = []
        if self.path.exists():
            self._take_over()
        self.kept = len(self.entries)

    def _take_over(self) -> None:
        """Open the incomplete file of an earlier command, if it is of the same one."""
        file = _open_locked(self.path, "r+b", self._output)
        entries = _read_journal(self._journal, self._key)
        if not entries or file.seek(0, os.SEEK_END) < entries[-1]["bytes"]:
            file.close()
            if entries != []:
                print(f"{self.path}: of another input, of other weights or flags, or damaged; begun anew")
            return
        lines = [{"key": self._key}, *entries]
        with signals.held():
            file.truncate(entries[-1]["bytes"])
            file.seek(0, os.SEEK_END)
            write_text(self._journal, "".join(json.dumps(line) + "\n" for line in lines))
        self.entries, self._file = entries, file
        print(f"going on after {_rows(entries)} in {self.path}")

    def _begin(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _open_locked(self.path, "ab", self._output)
        self._file.truncate(0)
        write_text(self._journal, json.dumps({"key": self._key}) + "\n")
        _write(self._file, self._header, self.path)

    def write(self, text: str) -> None:
        """Add complete rows to the incomplete file, which count once ``append`` is called. Raises OSError.

        A later command keeps none of them unless it was.
        """
        with signals.held():
            if self._file is None:
                self._begin()
            _write(self._file, text, self.path)

    def append(self, text: str, entry: Entry) -> None:
        """Add complete rows to the incomplete file, and the ``entry`` to the journal. Raises OSError."""
        with signals.held():
            self.write(text)
            entry = entry | {"bytes": self._file.tell()}
            with open(self._journal, "ab", buffering=0) as journal:
                _write(journal, json.dumps(entry) + "\n", self._journal)
        self.entries.append(entry)

    def told(self) -> str:
        """One line that says what has been written, for a command that is stopped."""
        if not self.entries:
            return f"no rows are written yet to {self._output}"
        rows = _rows(self.entries)
        return f"{rows} {'is' if rows == '1 row' else 'are'} in {self.path}"

    def finish(self, edit: Callable[[str], str] | None = None) -> None:
        """Replace the output by the rows, changed as a whole by ``edit``, and remove the journal."""
        with signals.held():
            if self._file is None:
                self._begin()
            if edit is not None:
                text = self.path.read_bytes().decode(errors="surrogateescape")
                with replacing(self.path) as temporary:
                    temporary.write_text(edit(text), encoding="utf-8", errors="surrogateescape")
            if os.name == "nt":  # where an open file cannot be renamed
                self._file.close()
            os.replace(self.path, self._output)
            self._journal.unlink(missing_ok=True)
            self.close()

    def discard(self) -> None:
        """Remove the incomplete file, if this command has written to it."""
        if self._file is not None:
            self.close()
            for path in (self.path, self._journal):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _rows(entries: list[Entry]) -> str:
    return number_of(sum(entry["rows"] for entry in entries), "row")


def _open_locked(path: Path, mode: str, output: Path) -> io.FileIO:
    """Open a file and hold it for this process until it is closed. Raises UserError if another holds it."""
    file = open(path, mode, buffering=0)  # noqa: SIM115
    try:
        import fcntl
    except ImportError:  # Windows
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(
            f"{output}: another command is writing it; wait for that to end, or give --output another name"
        ) from error
    except OSError:
        pass  # a file system without locks
    return file


def _read_journal(journal: Path, key: str | None) -> list[Entry] | None:
    """The complete entries of a journal; None if it is of another key, damaged or missing."""
    try:
        lines = [json.loads(line) for line in journal.read_text().split("\n")[:-1]]
    except (OSError, ValueError):
        return None
    return lines[1:] if key is not None and lines and lines[0].get("key") == key else None


def _write(file: io.FileIO, text: str, path: Path) -> None:
    """Write all of the text, or nothing. Raises OSError with the path."""
    before, rest = file.tell(), memoryview(text.encode(errors="surrogateescape"))
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        with contextlib.suppress(OSError):
            file.truncate(before)
        raise OSError(error.errno, error.strerror, str(path)) from error
