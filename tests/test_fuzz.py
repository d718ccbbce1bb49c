"""Anything may be in a file: the right data come out, or one clear line; never a traceback, never fewer rows.

The number of examples is small here (20, and 100 with --nightly); FER_JAX_EXAMPLES=5000 is for a night.
"""

import csv
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_jax.data import compressed as files
from fer_jax.data.kinds import SUFFIXES
from fer_jax.data.read_csv import read_csv
from fer_jax.data.read_pictures import open_picture, read_picture
from fer_jax.data.read_table import read_table
from fer_jax.errors import UserError

thorough = settings(  # conftest.py sets how many
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
FACE = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
PIXELS = " ".join(map(str, FACE.ravel()))


def told(error, path):
    """The error is one line that names the file."""
    text = str(error)
    assert "\n" not in text
    assert "\r" not in text
    assert str(path) in text
    assert len(text) < 1000 + len(str(path))


def number_or_word(field):
    """A label as the csv module's field has it: whole numbers without a decimal point, words as they are."""
    text = field.strip()
    try:
        number = float(text)
    except ValueError:
        assert any(character.isalpha() for character in text)
        return text
    assert number >= 0
    assert number == int(number)
    return str(int(number))


def oracle(content):
    """(labels, pixels) of the rows by the csv module and int(); raises whatever they raise."""
    text = content.decode("utf-8-sig", errors="surrogateescape")
    lines = [line for line in text.split("\n") if line.strip()]
    # Of these files, one without a comma in its header has another delimiter.
    comma = next((mark for mark in ",;\t" if mark in lines[0]), ",")
    header, *rows = (next(csv.reader([line.rstrip("\r")], delimiter=comma)) for line in lines)
    names = [name.strip().lower() for name in header]
    label = next(n for n in ("emotion", "label") if n in names)
    pixels = next(n for n in ("pixels", "feature") if n in names)
    return [
        (number_or_word(row[names.index(label)]), [int(word) for word in row[names.index(pixels)].split()])
        for row in rows
    ]


def check_csv(path, content):
    path.write_bytes(content)
    try:
        table = read_csv(path, require_labels=True)
    except UserError as error:
        told(error, path)
        return
    expected = oracle(content)
    assert [table.found[label] for label in table.faces.labels] == [label for label, _ in expected]
    assert table.faces.images.reshape(-1, 2304).tolist() == [pixels for _, pixels in expected]


names = st.sampled_from(
    ["label", "emotion", " pixels", "feature", "Usage", "id", "", "Label", "a" * 5000, "\0", "pixels\r"]
)
fields = st.one_of(
    st.sampled_from([PIXELS, PIXELS, PIXELS + " 1", PIXELS[:-3], f'"{PIXELS}"', PIXELS.replace(" ", "  ")]),
    st.sampled_from(["0", "6", "7", " 3", "-1", "3.0", "NaN", "nan", "1e3", "", "Training", "PublicTest"]),
    st.sampled_from([PIXELS.replace("1", "x", 1), "256 " * 2304, "9" * 100_000, '"', "\0", "\x85", "\u2028"]),
    st.text(max_size=8),
)


@st.composite
def tables(draw):
    """Text that is often nearly a table of faces."""
    header = draw(st.one_of(st.just(["label", "feature"]), st.lists(names, min_size=1, max_size=4)))
    good = st.sampled_from([["0", PIXELS], ["4", PIXELS]])
    rows = draw(st.lists(st.one_of(good, good, st.lists(fields, max_size=4)), max_size=4))
    comma = draw(st.sampled_from([",", ",", ",", ";", "\t"]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", "\n  \n"]))
    return end.join(comma.join(row) for row in [header, *rows]) + draw(st.sampled_from(["", end]))


@thorough
@given(
    text=tables(),
    encoding=st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    cut=st.one_of(st.none(), st.integers(0, 30_000)),
)
def test_csv(tmp_path_factory, text, encoding, cut):
    content = text.encode(encoding, errors="replace")[:cut]
    check_csv(tmp_path_factory.mktemp("csv") / "a.csv", content)


@thorough
@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
    start=st.sampled_from(["", "\ufeff"]),
    quote=st.sampled_from(["", '"']),
    last=st.booleans(),
)
def test_good_csv_is_read(tmp_path_factory, labels, end, start, quote, last):
    """Not one that is told to be wrong: byte order mark, line ends, empty lines and quotes as they come."""
    rows = ["label,feature", *(f"{quote}{label}{quote},{quote}{PIXELS}{quote}" for label in labels)]
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes((start + end.join(rows) + end * last).encode())
    faces = read_csv(path, require_labels=True).faces
    assert faces.labels.tolist() == labels
    assert (faces.images[..., 0] == FACE).all()


@thorough
@given(kind=st.sampled_from(["gz", "xz", "zip"]), cut=st.integers(0, 400), flip=st.integers(0, 2000))
def test_damaged_archives(tmp_path_factory, kind, cut, flip):
    """Cut short, or with a byte changed."""
    path = tmp_path_factory.mktemp("archive") / f"a.csv.{kind}"
    content = f"label,feature\n3,{PIXELS}\n".encode()
    packed = {"gz": gzip.compress, "xz": lzma.compress, "zip": lambda content: content}[kind](content)
    damaged = bytearray(packed[: len(packed) - cut])
    if damaged:
        damaged[flip % len(damaged)] ^= 0x55
    path.write_bytes(damaged)
    try:
        table = read_csv(path, require_labels=True)
    except UserError as error:
        told(error, path)
    else:
        assert table.faces.images.reshape(-1).tolist() == FACE.ravel().tolist()


GREY = " ".join(f"{value / 255:.3f}" for value in FACE.ravel())
LAYOUTS = (
    f"label;pixels\nhappy;{PIXELS}\ncat;{PIXELS}\n",
    f"label\tpixels\tsplit\n3\t{PIXELS}\ttrain\n7.0\t{PIXELS}\tval\n",
    f'label,pixels\n3,"[{PIXELS.replace(" ", ", ")}]"\n3,"[{PIXELS.replace(" ", ", ")}]"\n',
    f"label,pixels\n3,{GREY}\n4,{GREY}\n",
    f"label,{','.join(f'pixel{n}' for n in range(2304))}\n3,{PIXELS.replace(' ', ',')}\n",
    f"label,pixels\n3,{PIXELS.replace(' ', ',')}\n",
    f"label,pixels\n3,{' '.join(['9'] * 4096)}\n4,{' '.join(['9'] * 4096)}\n",
    f"pixels,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n{PIXELS}" + ",1" * 10,
    "path,label\nnone.png,happy\n",
)


@thorough
@given(
    content=st.sampled_from(LAYOUTS),
    at=st.one_of(st.integers(0, 60), st.integers(0, 40_000)),
    put=st.one_of(
        st.binary(max_size=3), st.sampled_from([b",", b";", b"\t", b"\n", b'"', b"[", b".", b"e5"])
    ),
    cut=st.booleans(),
)
def test_other_layouts(tmp_path_factory, content, at, put, cut):
    """Damaged: read, with as many rows as there are lines, or told."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    whole = content.encode()
    path.write_bytes(whole[:at] + put + (b"" if cut else whole[at + 1 :]))
    try:
        table = read_csv(path, require_labels=False)
    except UserError as error:
        told(error, path)
    else:
        lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
        assert len(table.faces) == len(lines) - 1
        assert len(table.lines) == len(table.faces)
        assert table.faces.images.shape[1:] == (48, 48, 1)


@thorough
@given(at=st.integers(0, 6000), byte=st.integers(0, 255), cut=st.booleans(), objects=st.booleans())
@example(at=77, byte=48, cut=False, objects=False)  # a header that NumPy reads as Python, with a SyntaxError
def test_arrays(tmp_path_factory, at, byte, cut, objects):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez(path, x=np.stack([FACE, FACE]), y=np.array([3, {}], object) if objects else np.array([3, 4]))
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + (b"" if cut else bytes([byte]) + whole[at + 1 :]))
    try:
        table = read_table(path, require_labels=True)
    except UserError as error:
        told(error, path)
    else:
        assert not objects
        assert len(table.faces) == 2


def test_a_million_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("label,feature\n" + "1," * 1_000_000 + "\n")
    with pytest.raises(UserError, match=r"line 2: 1000001 fields"):
        read_csv(path, require_labels=True)
    path.write_text("x," * 1_000_000 + "\n")
    with pytest.raises(UserError, match=r"line 1: no column"):
        read_csv(path, require_labels=True)


def test_a_line_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LONGEST_LINE", 1 << 20)
    path = tmp_path / "a.csv"
    path.write_text("label,feature\n" + "0 " * (1 << 20))
    with pytest.raises(UserError, match=r"line 2: longer than 1 MiB"):
        read_csv(path, require_labels=True)


def test_two_columns_for_one_thing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"label,pixels,feature\n3,{PIXELS},{PIXELS}\n")
    with pytest.raises(UserError, match=r"line 1: 'pixels' and 'feature' name the same thing"):
        read_csv(path, require_labels=True)


@pytest.fixture(scope="module")
def pictures():
    """The same face as bytes of several formats."""
    grey, found = Image.fromarray(FACE), {}
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        buffer = io.BytesIO()
        grey.convert("RGB").save(buffer, kind)
        found[kind] = buffer.getvalue()
    for mode in ("CMYK", "I;16", "1", "P", "LA", "RGBA", "F"):
        kind = "png" if mode not in ("CMYK", "F") else "tiff"
        buffer = io.BytesIO()
        grey.convert(mode).save(buffer, kind)
        found[mode] = buffer.getvalue()
    buffer = io.BytesIO()
    grey.save(buffer, "gif", save_all=True, append_images=[grey.rotate(90)])
    return found | {"animated": buffer.getvalue(), "text": b"no picture", "empty": b""}


def check_picture(path, content):
    path.write_bytes(content)
    try:
        face = read_picture(path)
    except UserError as error:
        told(error, path)
    else:
        assert (face.shape, face.dtype) == ((48, 48), np.uint8)


@thorough
@given(data=st.data())
def test_pictures(tmp_path_factory, pictures, data):
    content = bytearray(pictures[data.draw(st.sampled_from(sorted(pictures)))])
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6)):
        if content:
            content[at % len(content)] = byte
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    suffix = data.draw(st.sampled_from(SUFFIXES))
    check_picture(tmp_path_factory.mktemp("picture") / f"a{suffix}", bytes(content[:cut]))


@pytest.mark.parametrize("mode", ["png", "bmp", "CMYK", "I;16", "P", "LA", "RGBA", "animated"])
def test_whole_pictures_are_read_right(tmp_path, pictures, mode):
    path = tmp_path / "a.jpg"  # a wrong name is no harm
    path.write_bytes(pictures[mode])
    # Pillow makes 16 bits of grey by keeping the value, so that 8 bits of content are in a file of 16.
    np.testing.assert_allclose(read_picture(path).astype(int), FACE, atol=1)


def test_bombs_are_told(tmp_path):
    path, side = tmp_path / "bomb.png", 30_000
    # Written row by row: Pillow would take a byte for each pixel, 900 MB.
    packer = zlib.compressobj()
    rows = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)  # one bit of grey
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
            file.write(struct.pack(">I", len(data)) + kind + data)
            file.write(struct.pack(">I", zlib.crc32(kind + data)))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match=r"bomb.png: cannot be read as a picture"):
        open_picture(path)


@pytest.mark.nightly
@pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="Linux alone tells the memory of a process"
)
def test_memory():
    """All of the above again in a process of its own, which never holds 2 GB."""
    ours = ["-n", "0", "--nightly", __file__, "-k", "not test_memory"]
    again = f"import pytest; status = pytest.main({ours!r})"
    tell = "print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0]); exit(status)"
    done = subprocess.run([sys.executable, "-c", f"{again}; {tell}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    name, kibibytes, _ = done.stdout.splitlines()[-2].split()
    assert name == "VmHWM:"
    assert 100_000 < int(kibibytes) < 2 * 1024**2
