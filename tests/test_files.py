"""What is written replaces plain files alone; pipes, devices and links stay what they are."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fer_jax.errors import UserError
from fer_jax.runtime import files

TEXT = "id,label\n0,3\n"


def others(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_and_an_old_one(tmp_path):
    path = tmp_path / "out.csv"
    files.write_text(path, TEXT)
    path.chmod(0o600)
    files.write_text(path, TEXT * 2)
    assert path.read_text() == TEXT * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert others(tmp_path) == ["out.csv"]


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text(TEXT)
    failing = pytest.raises(ZeroDivisionError)
    with failing, files.replacing(path) as temporary:
        temporary.write_text(str(1 / (len("half") - 4)))
    assert path.read_text() == TEXT
    assert others(tmp_path) == ["out.csv"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    target, link = tmp_path / "there" / "real.csv", tmp_path / "out.csv"
    target.parent.mkdir()
    link.symlink_to(Path("there") / "real.csv")
    for text in (TEXT, TEXT * 2):  # at first, the link points to nothing
        files.write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert others(tmp_path) == ["out.csv", "there"]
    assert others(target.parent) == ["real.csv"]


def test_a_pipe_is_written_through(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    files.write_text(path, TEXT)
    reader.join(10)
    assert read == [TEXT]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert others(tmp_path) == ["pipe"]


def test_a_device_stays(tmp_path):
    """A terminal, since as root a fault here would replace /dev/null of the machine."""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    files.write_text(Path(name), "a line\n")
    assert os.read(ours, 100).split() == [b"a", b"line"]
    assert stat.S_ISCHR(os.stat(name).st_mode)
    link = tmp_path / "link"
    link.symlink_to(name)
    files.write_text(link, "another\n")
    assert os.read(ours, 100).split() == [b"another"]
    assert link.is_symlink()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output(name):
    code = (
        f"from fer_jax.runtime import files; print('first'); files.write_text(files.Path({name!r}), 'last')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "first\nlast"


def test_the_message_names_the_file_of_the_user(tmp_path):
    with (
        pytest.raises(OSError, match="No such file") as caught,
        files.replacing(tmp_path / "no" / "o.csv") as t,
    ):
        t.write_text(TEXT)
    assert caught.value.filename == str(tmp_path / "no" / "o.csv")
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="directory") as caught:
        files.write_text(path, TEXT)
    assert ".tmp" not in str(caught.value.filename)
    assert files.os_reason(OSError(2, "No such file: /A/B")) == "no such file: /A/B"


def test_without_a_home_folder(tmp_path, monkeypatch):
    """As in a container that runs under an unknown user id."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.chdir(tmp_path)
    assert files.cache_folder().is_absolute()
    with pytest.raises(UserError, match=r"^~/out.csv: there is no home folder ~; "):
        files.expand_user("~/out.csv")
    assert files.expand_user("out.csv") == "out.csv"
    Path("~").mkdir()
    assert files.expand_user("~") == "~"  # a folder of that name
