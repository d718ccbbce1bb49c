"""Every layout, every kind of compression, and every way in which a CSV file can be bad."""

import csv
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.data import read_csv as module
from fer_jax.data.faces import Faces
from fer_jax.data.read_csv import read_csv, write_homework_csv
from fer_jax.errors import UserError

REAL = Path(__file__).parents[2] / "shared" / "data" / "fer2013.csv.gz"
PIXELS = 48 * 48


def random_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48, 1), np.uint8)


def text_of(image):
    return " ".join(str(int(value)) for value in image.ravel())


IMAGES = random_images(3)
FEATURES = [text_of(image) for image in IMAGES]
LABELS = [3, 0, 6]
USAGES = ["Training", "PublicTest", "PrivateTest"]

LAYOUTS = {
    "label,feature": [f"{y},{x}" for y, x in zip(LABELS, FEATURES, strict=True)],
    "id,feature": [f"a{i},{x}" for i, x in enumerate(FEATURES)],
    "emotion,pixels": [f"{y},{x}" for y, x in zip(LABELS, FEATURES, strict=True)],
    "emotion,pixels,Usage": [f"{y},{x},{u}" for y, x, u in zip(LABELS, FEATURES, USAGES, strict=True)],
    "emotion, Usage, pixels": [f"{y},{u},{x}" for y, x, u in zip(LABELS, FEATURES, USAGES, strict=True)],
    "pixels": FEATURES,
}


def write(path, header, rows, end="\n"):
    path.write_bytes((end.join([header, *rows]) + end).encode())
    return path


def message(path, require_labels=False):
    with pytest.raises(UserError) as caught:
        read_csv(path, require_labels=require_labels)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("header", LAYOUTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_layouts(tmp_path, header, end):
    table = read_csv(write(tmp_path / "a.csv", header, LAYOUTS[header], end), require_labels=False)
    assert table.faces.images.dtype == np.uint8
    np.testing.assert_array_equal(table.faces.images, IMAGES)
    if "label" in header or "emotion" in header:
        assert table.faces.labels.dtype == np.int32
        assert table.faces.labels.tolist() == LABELS
    else:
        assert table.faces.labels is None
    assert table.faces.ids.tolist() == (["a0", "a1", "a2"] if "id" in header else ["0", "1", "2"])
    assert (None if table.usage is None else table.usage.tolist()) == (USAGES if "Usage" in header else None)


def compressed(folder, suffix, data):
    path = folder / f"a.csv{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", data)
            archive.writestr("__MACOSX/._a.csv", b"junk")
    else:
        path.write_bytes({".gz": gzip.compress, ".xz": lzma.compress, "": bytes}[suffix](data))
    return path


CONTENT = "\n".join(["label,feature", *LAYOUTS["label,feature"]]).encode()


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zip"])
def test_compression(tmp_path, suffix):
    table = read_csv(compressed(tmp_path, suffix, CONTENT), require_labels=True)
    np.testing.assert_array_equal(table.faces.images, IMAGES)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zip"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "random", "empty"])
def test_damaged_archive(tmp_path, suffix, damage):
    path = compressed(tmp_path, suffix, CONTENT)
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(
        {
            "truncated": good[:middle],
            "flipped": good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :],
            "random": np.random.default_rng(1).bytes(5000),
            "empty": b"",
        }[damage]
    )
    assert "expected" in message(path)


def test_zip_of_two_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", CONTENT)
        archive.writestr("b.csv", CONTENT)
    assert "holds 2 files" in message(tmp_path / "a.zip")


@settings(max_examples=30, deadline=None)
@given(data=st.data(), rows=st.integers(1, 70))
def test_pixels_against_plain_python(tmp_path_factory, data, rows):
    seed = data.draw(st.integers(0, 2**32 - 1))
    blanks = data.draw(st.sampled_from([" ", "  ", "     "]))
    edges = data.draw(st.sampled_from([("", ""), (" ", ""), ("", "  "), ("   ", " ")]))
    top = data.draw(st.sampled_from([1, 10, 100, 256]))
    values = np.random.default_rng(seed).integers(0, top, (rows, PIXELS))
    features = [edges[0] + blanks.join(map(str, row)) + edges[1] for row in values.tolist()]
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", "id,feature", [f"0,{f}" for f in features])
    plain = [[int(word) for word in feature.split()] for feature in features]
    images = read_csv(path, require_labels=False).faces.images
    np.testing.assert_array_equal(images.reshape(rows, PIXELS), plain)


def with_pixel(word):
    return FEATURES[0].split(" ", 1)[1] + " " + word


BAD_ROWS = {
    "2303 pixels": ("0," + FEATURES[0].split(" ", 1)[1] + ",Training", "2303 pixels"),
    "2305 pixels": (f"0,{FEATURES[0]} 1,Training", "2305 pixels"),
    "no pixels": ("0,,Training", "0 pixels"),
    "256": (f"0,{with_pixel('256')},Training", "pixel 2304 is '256'"),
    "1000": (f"0,{with_pixel('1000')},Training", "pixel 2304 is '1000'"),
    "huge": (f"0,{with_pixel('9' * 5000)},Training", "pixel 2304 is '999"),
    "-1": (f"0,{with_pixel('-1')},Training", "pixel 2304 is '-1'"),
    "abc": (f"0,{with_pixel('abc')},Training", "pixel 2304 is 'abc'"),
    "1.5": (f"0,{with_pixel('1.5')},Training", "pixel 2304 is '1.5'"),
    "tab": ("0," + FEATURES[0].replace(" ", "\t") + ",Training", "pixel 1 is"),
    "label -1": (f"-1,{FEATURES[0]},Training", "label is '-1'"),
    "label x": (f"x,{FEATURES[0]},Training", "label is 'x'"),
    "label empty": (f",{FEATURES[0]},Training", "label is ''"),
    "label 1.5": (f"1.5,{FEATURES[0]},Training", "label is '1.5'"),
    "label nan": (f"nan,{FEATURES[0]},Training", "label is 'nan'"),
    "label none": (f"None,{FEATURES[0]},Training", "label is 'None'"),
    "usage": (f"0,{FEATURES[0]},Holdout", "usage is 'Holdout'"),
    "usage empty": (f"0,{FEATURES[0]},", "usage is ''"),
    "few fields": (f"0,{FEATURES[0]}", "2 fields"),
    "many fields": (f"0,{FEATURES[0]},Training,1", "4 fields"),
    "NUL": (f"0,{FEATURES[0]}\0,Training", "NUL"),
    "open quote": (f'0,"{FEATURES[0]},Training', "2 fields"),
    "return": (f'"0",{FEATURES[0]},Trai\rning', "fields"),
}


@pytest.mark.parametrize("before", [0, 1, 100])
@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_row_is_named(tmp_path, monkeypatch, kind, before):
    # Parts of two rows, of which pandas gets all but those with the empty lines below.
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 10_000)
    bad, what = BAD_ROWS[kind]
    good = f"0,{FEATURES[1]},Training"
    # Two empty lines in front: they are no rows, but they are lines.
    path = write(tmp_path / "a.csv", "emotion,pixels,Usage", ["", "", *[good] * before, bad, good])
    text = message(path)
    assert text.startswith(f"{path}, line {4 + before}: ")
    assert what in text
    assert "expected" in text
    assert len(text) < 300


def test_empty_lines_are_skipped(tmp_path):
    x, y, z = LAYOUTS["label,feature"]
    path = write(tmp_path / "a.csv", "label,feature", [x, "", y, "  ", z, "", ""])
    table = read_csv(path, require_labels=True)
    assert table.faces.labels.tolist() == LABELS
    assert table.faces.ids.tolist() == ["0", "1", "2"]


def test_quotes_byte_order_mark_and_other_columns(tmp_path):
    rows = [f'"{y}","{x}","a, ""b"""' for y, x in zip(LABELS, FEATURES, strict=True)]
    path = write(tmp_path / "a.csv", '\ufeff"Label","Feature",id', rows)
    table = read_csv(path, require_labels=True)
    np.testing.assert_array_equal(table.faces.images, IMAGES)
    assert table.faces.ids.tolist() == ['a, "b"'] * 3


def test_leading_zeros(tmp_path):
    path = write(tmp_path / "a.csv", "label,feature", ["0," + " ".join(["007"] * PIXELS)])
    assert np.all(read_csv(path, require_labels=True).faces.images == 7)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\n", "no column of pixels"),
        (b"label,feature\n", "no rows"),
        (b"label,feature", "no rows"),
        (b"label,drawing\n0,1\n", "no column of pixels ('feature' or 'pixels') among 'label', 'drawing'"),
        (b"label;drawing\n0;1 2\n", "among 'label;drawing'"),
        (b"label;feature\n0;1 2\n", "line 2: 2 pixels"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "not a text file"),
        (np.random.default_rng(0).bytes(10_000), "not a text file"),
        ("label,feature\n".encode("utf-16"), "not a text file"),
        (b"id,feature\n\xff," + FEATURES[0].encode(), "line 2: the id is"),
    ],
)
def test_bad_file(tmp_path, content, what):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    text = message(path)
    assert what in text
    assert "expected" in text


def test_missing_labels(tmp_path):
    path = write(tmp_path / "a.csv", "id,feature", LAYOUTS["id,feature"])
    text = message(path, require_labels=True)
    assert "line 1: no column of labels" in text
    assert "'id', 'feature'" in text
    assert "'label,feature'" in text


def test_missing_file_and_folder(tmp_path):
    assert "no such file" in message(tmp_path / "none.csv")
    assert "no such file" in message(tmp_path / "none.csv.gz")
    assert "is a directory" in message(tmp_path)


def test_no_permission(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    # A file of mode 000 would do, but not for root.
    monkeypatch.setattr("fer_jax.data.compressed.open", refuse, raising=False)
    assert "permission denied" in message(tmp_path / "a.csv")


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(CONTENT) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_any_damage_is_read_or_told(tmp_path_factory, at, byte, cut):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(CONTENT[:at] if cut else CONTENT[:at] + bytes([byte]) + CONTENT[at + 1 :])
    try:
        read_csv(path, require_labels=True)
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017 (a good file is fine as well)


@pytest.mark.parametrize("labels", [None, np.array(LABELS, np.int32)])
def test_write_homework_csv(tmp_path, labels):
    faces = Faces(IMAGES, labels, np.array(["a", "b,c", 'd"']))
    path = tmp_path / "a.csv"
    path.write_text("old")
    write_homework_csv(path, faces)
    again = read_csv(path, require_labels=labels is not None)
    np.testing.assert_array_equal(again.faces.images, IMAGES)
    if labels is None:
        assert again.faces.ids.tolist() == faces.ids.tolist()
    else:
        assert again.faces.labels.tolist() == LABELS
    rows = list(csv.reader(io.StringIO(path.read_text())))
    assert rows[0] == ["id" if labels is None else "label", "feature"]
    assert [row[1] for row in rows[1:]] == FEATURES
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    faces = Faces(IMAGES, None, np.array(["too few"]))
    with pytest.raises(ValueError, match="longer"):
        write_homework_csv(path, faces)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    with pytest.raises(UserError, match="no such file"):
        write_homework_csv(tmp_path / "none" / "a.csv", faces)


@pytest.mark.nightly
@pytest.mark.skipif(not REAL.exists(), reason=f"the real data are not at {REAL}")
def test_real_data_against_plain_python():
    table = read_csv(REAL, require_labels=True)
    assert (table.usage == "Training").sum() == 28_558
    assert (table.usage == "PublicTest").sum() == 3_589
    with gzip.open(REAL, "rt") as file:
        for row, line in enumerate(file):
            if row in (1, 64, 65, 200):
                label, pixels, usage = line.rstrip("\n").split(",")
                assert table.faces.labels[row - 1] == int(label)
                assert table.usage[row - 1] == usage
                assert table.faces.images[row - 1].ravel().tolist() == [int(p) for p in pixels.split()]
            elif row > 200:
                break


def test_chunks_do_not_matter(tmp_path, monkeypatch):
    images = random_images(9)
    path = write(tmp_path / "a.csv", "pixels", [text_of(image) for image in images])
    row = path.stat().st_size / len(images)
    for rows in (1, 2, 9, 10):
        monkeypatch.setattr(module, "_BYTES_AT_ONCE", rows * row)
        np.testing.assert_array_equal(read_csv(path, require_labels=False).faces.images, images)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (f"3,{FEATURES[0]}", "2 fields"),
        (f"3,{FEATURES[0]},", None),
        (f"3,{FEATURES[0]},,", "4 fields"),
        (f"3,{FEATURES[0]},\0", "NUL"),
        (f'3,{FEATURES[0]},"a\nb"', "1 fields"),
        (f"3,{FEATURES[0]}\r3,{FEATURES[0]},a", "4 fields"),
    ],
)
def test_what_pandas_would_take_for_rows(tmp_path, row, what):
    good = f"3,{FEATURES[0]},a"
    path = write(tmp_path / "a.csv", "label,feature,note", [row, good])
    if what:
        assert what in message(path)
    else:
        assert len(read_csv(path, require_labels=True).faces) == 2


def test_ids_are_kept_as_they_are(tmp_path):
    ids = ["\ufeffa", " b", "007", "NA", "", "1e5", "\u65e5"]
    path = write(tmp_path / "a.csv", "id,feature", [f"{own},{FEATURES[0]}" for own in ids])
    assert read_csv(path, require_labels=False).faces.ids.tolist() == ids


def test_compressed_files_are_known_by_their_content(tmp_path):
    """Browsers unpack files and keep their names, or the other way round."""
    plain = f"label,feature\n3,{' '.join(['7'] * 2304)}\n".encode()
    for name, content in {
        "a.csv": gzip.compress(plain),
        "b.csv": lzma.compress(plain),
        "c.csv.gz": plain,
        "d.csv.xz": gzip.compress(plain),
        "e.csv": zipped(plain),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_csv(tmp_path / name, require_labels=True).faces.labels.tolist() == [3]


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("faces.csv", content)
    return buffer.getvalue()


def test_lines_that_end_in_carriage_returns_alone(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"label,feature\r3,7 7\r")
    with pytest.raises(UserError, match=r"a.csv: its lines end in carriage returns alone; save it with "):
        read_csv(tmp_path / "a.csv", require_labels=True)
