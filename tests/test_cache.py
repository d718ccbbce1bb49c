"""The cache answers as the parser does, whatever happens to its files."""

import os

import numpy as np
import pytest

from fer_jax.data import cache as module
from fer_jax.data.cache import cache_folder, cached_read_csv
from fer_jax.data.votes import COLUMNS
from fer_jax.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fer_jax"


@pytest.fixture
def parsed(monkeypatch):
    """The paths that were really parsed, in order."""
    calls = []

    def counting(path, **options):
        calls.append(path)
        return real(path, **options)

    real = module.read_csv
    monkeypatch.setattr(module, "read_csv", counting)
    return calls


def write(path, header="emotion,pixels,Usage", value=7):
    row = {"emotion": "3", "pixels": " ".join([str(value)] * 2304), "Usage": "Training", "id": "x"}
    path.write_text(f"{header}\n" + ",".join(row[name] for name in header.split(",")) + "\n")
    return path


def read(path, cache=True, require_labels=False):
    return cached_read_csv(path, require_labels=require_labels, cache=cache)


def _arrays(table):
    words = [np.array(texts, np.str_) for texts in (table.found, table.form, table.notes)]
    faces = table.faces
    return [faces.images, faces.labels, faces.ids, table.usage, table.lines, table.votes, *words]


def assert_same(one, two):
    for a, b in zip(_arrays(one), _arrays(two), strict=True):
        if a is None or b is None:
            assert a is b
        else:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion,pixels", "id,pixels"])
def test_second_time_is_not_parsed(tmp_path, folder, parsed, header):
    path = write(tmp_path / "a.csv", header)
    assert_same(read(path), read(path))
    assert len(parsed) == 1
    assert len(list(folder.iterdir())) == 1


def test_what_the_reader_found_is_kept(tmp_path, folder, parsed):
    """Words as labels, votes, another delimiter."""
    pixels = " ".join(["7"] * 2304)
    votes = [*COLUMNS[:-1], "NF"]
    for header, row in (
        ("label;pixels", f"cat;{pixels}"),
        (",".join(["pixels", *votes]), ",".join([pixels, *map(str, range(10))])),
    ):
        path = tmp_path / f"{len(header)}.csv"
        path.write_text(f"\n{header}\n\n{row}\n".lstrip())
        first, again = read(path, require_labels=True), read(path, require_labels=True)
        assert_same(first, again)
        assert again.lines.tolist() == [3]
    assert len(parsed) == 2
    assert again.votes.tolist() == [list(range(10))]


def test_no_cache(tmp_path, folder, parsed):
    path = write(tmp_path / "a.csv")
    read(path, cache=False)
    read(path, cache=False)
    assert len(parsed) == 2
    assert not folder.exists()


def test_changed_file_is_parsed_and_replaces_its_entry(tmp_path, folder, parsed):
    path, other = write(tmp_path / "a.csv"), write(tmp_path / "b.csv")
    read(path)
    read(other)
    write(path, value=8)
    os.utime(path, ns=(0, 1))
    assert np.all(read(path).faces.images == 8)
    assert np.all(read(other).faces.images == 7)
    assert len(parsed) == 3
    assert len(list(folder.iterdir())) == 2


def test_other_labels_of_the_same_size_and_time(tmp_path, folder, parsed):
    """As a tool leaves them that keeps the times of files."""
    path = write(tmp_path / "a.csv")
    assert read(path).faces.labels.tolist() == [3]
    before = path.stat()
    path.write_text(path.read_text().replace("\n3,", "\n4,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert read(path).faces.labels.tolist() == [4]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "pickle", "other arrays", "shape"])
def test_damaged_entry_is_written_anew(tmp_path, folder, parsed, damage):
    path = write(tmp_path / "a.csv")
    first = read(path)
    (entry,) = folder.iterdir()
    good = entry.read_bytes()
    middle = len(good) // 2
    if damage == "pickle":
        np.savez(entry, images=np.array([{}], object), ids=np.array(["0"]))
    elif damage == "other arrays":
        np.savez(entry, pictures=np.zeros(3))
    elif damage == "shape":
        np.savez(entry, images=first.faces.images, ids=np.array(["0", "1"]))
    else:
        flipped = good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :]
        entry.write_bytes({"empty": b"", "cut": good[:middle], "flipped": flipped, "text": b"hello"}[damage])
    assert_same(read(path), first)
    assert len(parsed) == 2
    assert_same(read(path), first)
    assert len(parsed) == 2


def test_unwritable_folder_is_no_cache(tmp_path, parsed, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = write(tmp_path / "a.csv")
    assert_same(read(path), read(path))
    assert len(parsed) == 2


def test_failed_write_leaves_nothing(tmp_path, folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "savez", full)
    assert len(read(write(tmp_path / "a.csv")).faces) == 1
    assert not list(folder.iterdir())


def test_errors_are_those_of_the_parser(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.csv")
    path = write(tmp_path / "a.csv", "id,pixels")
    read(path)
    with pytest.raises(UserError, match="no column of labels"):
        read(path, require_labels=True)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_folder() == tmp_path / ".cache" / "fer_jax"
