"""Pictures of every kind against Pillow and NumPy by hand, and folders of them."""

import base64
import errno
import os
import zlib

import numpy as np
import pytest
from PIL import Image

from fer_jax.data import kinds, read_pictures
from fer_jax.data.find_pictures import describe, find_pictures
from fer_jax.data.inputs import find_input, load_unlabelled
from fer_jax.data.picture_folders import read_picture_set
from fer_jax.data.read_pictures import load_picture, read_picture
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.runtime.marks import MARK


def read_folder(root):
    return read_picture_set(root).parts


FACE = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)


def save(path, array=FACE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def test_grey_48_is_bit_identical(tmp_path):
    for name in ("a.png", "a.bmp", "a.pgm", "a.tif", "a.gif"):
        got = read_picture(save(tmp_path / name))
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, FACE)


def test_colour_and_size(tmp_path):
    colour = np.random.default_rng(1).integers(0, 256, (70, 100, 3), np.uint8)
    by_hand = Image.fromarray(colour).convert("L").resize((48, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_picture(save(tmp_path / "a.png", colour)), np.asarray(by_hand))


def test_large_pictures_are_averaged(tmp_path):
    checks = (np.indices((480, 480)).sum(0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(read_picture(save(tmp_path / "a.png", checks)), 127.5, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = [
        FACE,
        FACE[:, ::-1],
        FACE[::-1, ::-1],
        FACE[::-1],
        FACE.T,
        np.rot90(FACE, -1),
        FACE[::-1, ::-1].T,
        np.rot90(FACE),
    ][orientation - 1]
    np.testing.assert_array_equal(read_picture(save(tmp_path / "a.png", exif=exif)), turned)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits(tmp_path, name):
    np.testing.assert_array_equal(read_picture(save(tmp_path / name, FACE.astype(np.uint16) * 257)), FACE)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_fewer_bits_in_a_file_of_sixteen(tmp_path, name, bits):
    """The range is that of the content; each level is at most half a level off."""
    white = 2**bits - 1
    values = np.rint(FACE.astype(float) * white / 255).astype(np.uint16)
    opened = load_picture(save(tmp_path / name, values))
    np.testing.assert_array_equal(np.asarray(opened.picture), FACE)
    assert opened.remarks == (f"with {bits} bits of content in a file of more, read by that range",)


def png_of_16_bits(path, values, colour_type):
    """Written by hand, since Pillow has no such mode: (height, width, channels) uint16."""

    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    height, width, _ = values.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, colour_type, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4), (4, 2)], ids=["RGB", "RGBA", "LA"])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("opaque", [None, 65535])
def test_colours_of_sixteen_bits(tmp_path, colour_type, channels, bits, opaque):
    white = 2**bits - 1
    values = np.rint(FACE.astype(float) * white / 255).astype(np.uint16)
    stacked = np.repeat(values[..., None], channels, -1)
    if channels % 2 == 0:
        stacked[..., -1] = opaque or white
    opened = load_picture(png_of_16_bits(tmp_path / "a.png", stacked, colour_type))
    np.testing.assert_allclose(np.asarray(opened.picture.convert("L")).astype(int), FACE, atol=1)
    assert len(opened.remarks) == (bits < 16)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_by_their_range(tmp_path, white):
    values = FACE.astype(np.float32) / 255 * white
    opened = load_picture(save(tmp_path / "a.tif", values))
    np.testing.assert_array_equal(np.asarray(opened.picture), FACE)
    assert opened.remarks == (f"of floats from 0 to {white}, read by that range",)
    for odd in (values - 1, values * np.nan, values * 1e6):
        with pytest.raises(UserError, match="range is unknown"):
            read_picture(save(tmp_path / "a.tif", odd))


def test_transparent_is_white(tmp_path):
    """As it is shown nearly everywhere."""
    alpha = np.full_like(FACE, 255)
    alpha[:, :24] = 0
    expected = np.where(alpha == 255, FACE, 255)
    for array in (np.stack([FACE, alpha], -1), np.stack([FACE, FACE, FACE, alpha], -1)):
        np.testing.assert_array_equal(read_picture(save(tmp_path / "a.png", array)), expected)


def test_palette_and_one_bit(tmp_path):
    red = Image.new("P", (48, 48), 1)
    red.putpalette([0, 0, 0, 255, 0, 0])
    red.save(tmp_path / "a.png")
    assert np.all(read_picture(tmp_path / "a.png") == 76)
    Image.new("1", (48, 48), 1).save(tmp_path / "b.png")
    assert np.all(read_picture(tmp_path / "b.png") == 255)


def broken(kind, path):
    if kind == "directory":
        path.mkdir()
    elif kind == "float":
        Image.new("F", (48, 48)).save(path, format="TIFF")
    elif kind != "missing":
        whole = save(path).read_bytes()
        content = {
            "empty": b"",
            "text": b"hello",
            "truncated": whole[: len(whole) // 2],
            "header": whole[:20],
        }
        path.write_bytes(content[kind])


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "text", "truncated", "header", "float"])
def test_broken(tmp_path, kind):
    path = tmp_path / "a.png"
    broken(kind, path)
    with pytest.raises(UserError) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_large_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(read_pictures, "MOST_PIXELS", 48 * 48)
    save(tmp_path / "a.png")
    read_picture(tmp_path / "a.png")
    monkeypatch.setattr(read_pictures, "MOST_PIXELS", 48 * 48 - 1)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(UserError, match=r"a.png: cannot be read as a picture \(48 x 48, .*make it smaller"):
        read_picture(tmp_path / "a.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_more_pixels_than_pillow_takes(tmp_path, monkeypatch):
    """Where Pillow would speak of an attack: telephones take pictures of 108 and 200 megapixels."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    np.testing.assert_array_equal(read_picture(save(tmp_path / "a.png")), FACE)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_files_are_decoded_at_a_smaller_size(tmp_path, monkeypatch, orientation):
    monkeypatch.setattr(read_pictures, "_PIXELS_AT_FULL_SIZE", 6000)
    monkeypatch.setattr(read_pictures, "MOST_PIXELS", 6000)
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = Image.fromarray(FACE).resize((160, 96), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95, exif=exif)
    opened = load_picture(tmp_path / "a.jpg")
    assert opened.size == ((160, 96) if orientation == 1 else (96, 160))
    assert opened.picture.size == ((80, 48) if orientation == 1 else (48, 80))
    assert "at 1/2 of the size" in opened.remarks[0]
    smooth.save(tmp_path / "b.jpg", progressive=True)
    with pytest.raises(UserError, match="not progressive"):
        load_picture(tmp_path / "b.jpg")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [1, 2])
def test_jpeg_without_its_end_mark(tmp_path, progressive, lost):
    large = Image.fromarray(FACE).resize((200, 170), Image.Resampling.BICUBIC)
    large.save(tmp_path / "a.jpg", progressive=progressive)
    whole = (tmp_path / "a.jpg").read_bytes()
    expected = load_picture(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(whole[:-lost])
    opened = load_picture(tmp_path / "a.jpg")
    assert opened.picture == expected.picture
    assert opened.remarks == ("without the end mark of a JPEG file, read all the same",)
    for more in (5, 50, len(whole) // 2):
        (tmp_path / "a.jpg").write_bytes(whole[:-more])
        with pytest.raises(UserError, match=r"a.jpg: cannot be read as a picture"):
            load_picture(tmp_path / "a.jpg")


@pytest.fixture
def without_heic(monkeypatch):
    """As if nothing that reads HEIC were installed."""
    monkeypatch.setattr(kinds, "reads_heic", lambda: False)
    read_pictures.known_formats.cache_clear()
    yield
    read_pictures.known_formats.cache_clear()


def test_the_reason_has_no_path_and_no_small_letters_of_it(tmp_path, without_heic):
    folder = tmp_path / "Album"
    folder.mkdir()
    for name, content, reason in (
        ("A.png", b"hello", "no picture by its content"),
        ("B.JPG", b"", "an empty file"),
        (
            "C.jpg",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "HEIC; to read such: pip install -r requirements-heic",
        ),
        ("D.png", b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(UserError) as caught:
            read_picture(folder / name)
        assert str(caught.value).startswith(f"{folder / name}: cannot be read as a picture (")
        assert reason in str(caught.value)
        assert str(caught.value).count("A.png") + str(caught.value).lower().count("b.jpg") < 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(UserError, match=r"x.jpg: is a named pipe; a plain file was expected"):
        read_picture(tmp_path / "x.jpg")
    save(tmp_path / "a.jpg")
    found = find_pictures(tmp_path)
    assert found.paths == [tmp_path / "a.jpg"]
    assert describe(found.others) == [f"1 file that is no plain file ({tmp_path / 'x.jpg'}: named pipe)"]


FORMATS = [
    *("JPEG a.jfif", "JPEG a.jpe", "JPEG a", "MPO a.mpo", "PNG a.dat", "PPM a.ppm", "AVIF a.avif"),
    *("JPEG2000 a.jp2", "JPEG2000 a.x", "GIF subject01.happy", "TIFF a.face", "BMP a.raw"),
    *("WEBP a.0", "QOI a.q", "TGA a.tga"),
]


def test_a_pillow_without_a_format(tmp_path, monkeypatch):
    """As earlier ones are without AVIF: what it has is read."""
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    monkeypatch.delitem(Image.OPEN, "WEBP", raising=False)
    read_pictures.known_formats.cache_clear()
    np.testing.assert_array_equal(read_picture(save(tmp_path / "a.tif")), FACE)
    read_pictures.known_formats.cache_clear()


@pytest.mark.parametrize("case", FORMATS)
def test_pictures_are_known_by_content(tmp_path, case):
    """In a folder, by itself and as a data set."""
    kind, name = case.split()
    (tmp_path / "happy").mkdir()
    path = tmp_path / "happy" / name
    try:
        Image.fromarray(FACE).convert("RGB").save(path, format=kind)
    except (KeyError, OSError) as error:
        pytest.skip(f"this Pillow cannot write it: {error}")
    assert find_pictures(tmp_path) == ([path], [])
    assert find_input(path).paths == [path]
    assert read_folder(tmp_path)["all"].ids.tolist() == [str(path)]
    assert read_picture(path).shape == (48, 48)


HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAchtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAA"
    "AAAAADRpbG9jAAAAAERAAAIAAQAAAAAB7AABAAAAAAAAACQAAgAAAAACEAABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVp"
    "bmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABB2lwcnAAAADmaXBjbwAAAHZo"
    "dmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAA"
    "AwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAA"
    "AAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAAAlpcm90"
    "AwAAABlpcG1hAAAAAAAAAAEAAQaBAgMFhIYAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAFBtZGF0AAAAICgBrxmA70ml"
    "v//r5gR8uIb8myF4XrGp/zi357h0jbW8AAAABkV4aWYAAE1NACoAAAAIAAEBEgADAAAAAQAGAAAAAAAA"
)
"""48 x 64 pixels, turned: the upper half is blue, the lower red. Written by pillow-heif 1.8."""


def test_heic(tmp_path):
    """Known by content and by name; upright, and turned once, not twice."""
    pytest.importorskip("pi_heif", reason="needs pi-heif: pip install -r requirements-heic.txt")
    for name in ("a.heic", "b.HEIC", "c"):
        (tmp_path / name).write_bytes(HEIC)
        assert find_input(tmp_path / name).paths == [tmp_path / name]
    assert find_pictures(tmp_path) == ([tmp_path / name for name in ("a.heic", "b.HEIC", "c")], [])
    picture = load_picture(tmp_path / "c").picture
    assert (picture.mode, picture.size) == ("RGB", (48, 64))
    np.testing.assert_allclose(np.asarray(picture)[:28], np.broadcast_to((40, 40, 200), (28, 48, 3)), atol=12)
    np.testing.assert_allclose(np.asarray(picture)[36:], np.broadcast_to((200, 40, 40), (28, 48, 3)), atol=12)
    (tmp_path / "a.heic").write_bytes(HEIC[:-40])
    with pytest.raises(UserError, match=r"a.heic: cannot be read as a picture"):
        load_picture(tmp_path / "a.heic")


def test_heic_without_what_reads_it(tmp_path, without_heic):
    (tmp_path / "a").write_bytes(HEIC)
    (tmp_path / "b.heif").write_bytes(b"")
    lines = describe(find_pictures(tmp_path).others)
    assert lines == ["2 HEIC pictures; to read HEIC: pip install -r requirements-heic.txt"]
    with pytest.raises(
        UserError, match=r"a: is a HEIC picture; to read HEIC: pip install -r requirements-heic"
    ):
        find_input(tmp_path / "a")


def test_avif_without_a_pillow_that_reads_it(tmp_path, monkeypatch):
    (tmp_path / "a.avif").write_bytes(b"\0\0\0 ftypavif\0\0\0\0avifmif1miaf")
    with pytest.raises(UserError, match=r"a.avif: cannot be read as a picture \(.*"):
        load_picture(tmp_path / "a.avif")
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    read_pictures.known_formats.cache_clear()
    with pytest.raises(UserError, match=r"a.avif: .* \(AVIF, which needs Pillow 11.3 or newer: pip install"):
        load_picture(tmp_path / "a.avif")
    read_pictures.known_formats.cache_clear()


def test_what_is_no_picture_is_counted_by_kind(tmp_path, without_heic):
    save(tmp_path / "a.jpg")
    for name in ("a.txt", "b.TXT", "c.mp4", ".DS_Store", "notes"):
        (tmp_path / name).write_bytes(b"BM and P1 are letters")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "raw.nef").write_bytes(b"II*\0")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "best").symlink_to(tmp_path)
    found = find_pictures(tmp_path)
    assert found.paths == [tmp_path / "a.jpg"]
    assert describe(found.others) == [
        "4 files that are no pictures (2 .txt, 1 .mp4, 1 without suffix)",
        "1 HEIC picture; to read HEIC: pip install -r requirements-heic.txt",
        "1 picture of a kind that cannot be read here (1 .nef); save such pictures as JPEG",
        f"1 file that is no plain file ({tmp_path / 'gone.jpg'}: link to nothing)",
        f"1 folder behind a symbolic link ({tmp_path / 'best'}); name one itself to take its pictures",
        "1 hidden file or folder",
    ]


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    """It is named, and the others are taken; of a data set it is refused."""
    for name in ("happy/a.png", "happy/closed/b.png", "sad/c.png"):
        save(tmp_path / name)
    closed, scandir = tmp_path / "happy" / "closed", os.scandir

    def refuse(path):
        if os.fspath(path) == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_pictures(tmp_path)
    assert [path.name for path in found.paths] == ["a.png", "c.png"]
    assert describe(found.others) == [f"1 folder that cannot be listed ({closed}: permission denied)"]
    with pytest.raises(UserError, match=rf"^{closed}: permission denied; .*--config.skip_broken=True"):
        read_folder(tmp_path)
    found = read_picture_set(tmp_path, skip_broken=True)
    assert len(found.parts["all"]) == 2
    assert found.notes == (f"left out: 1 folder that cannot be listed ({closed}: permission denied)",)


def test_broken_pictures_of_a_data_set(tmp_path):
    for name in ("happy/a.png", "happy/b.png", "sad/c.png"):
        save(tmp_path / name)
    path = tmp_path / "happy" / "b.png"
    path.write_bytes(path.read_bytes()[:70])
    with pytest.raises(UserError, match=rf"^{path}: cannot be read.*; .*: --config.skip_broken=True$"):
        read_folder(tmp_path)
    found = read_picture_set(tmp_path, skip_broken=True)
    parts, notes = found.parts, found.notes
    assert parts["all"].labels.tolist() == [3, 4]
    assert len(notes) == 1
    assert notes[0].startswith(f"left out: 1 picture that cannot be read: {path}: cannot be read as")
    path.with_name("a.png").unlink()
    (tmp_path / "sad" / "c.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"none of 2 pictures can be read; .*b.png: cannot be read"):
        read_picture_set(tmp_path, skip_broken=True)


def test_what_is_odd_in_a_data_set_is_noted(tmp_path):
    for name in ("train/happy/a.png", "train/Happiness/b.png", "val/sad/c.png", "valid/sad/d.png"):
        save(tmp_path / name, FACE.astype(np.uint16))
    save(tmp_path / "train" / "loose.png")
    save(tmp_path / "train" / "happy" / "copy.jpg", comment=MARK.encode())
    (tmp_path / "train" / "happy" / "a.txt").touch()
    found = read_picture_set(tmp_path)
    parts, notes = found.parts, found.notes
    assert [len(parts[part]) for part in ("train", "validation")] == [2, 2]
    train = tmp_path / "train"
    assert notes == (
        f"{train}/Happiness/ and {train}/happy/ are taken together as happy in {train}",
        f"{tmp_path}/val/ and {tmp_path}/valid/ are taken together as validation",
        "left out: 1 file that is no picture (1 .txt)",
        f"left out: 1 picture beside the folders ({train / 'loose.png'})",
        "4 pictures with 8 bits of content in a file of more, read by that range: "
        f"{train}/Happiness/b.png, {train}/happy/a.png, {tmp_path}/val/sad/c.png, {tmp_path}/valid/sad/d.png",
        f"left out: 1 picture that fer_jax has written: {train / 'happy' / 'copy.jpg'}",
    )


def test_list_pictures(tmp_path):
    for name in ("b.PNG", "a.jpg", "deep/c.bmp", ".hidden.png", ".hidden/d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "notes.txt").touch()
    assert find_pictures(tmp_path).paths == [tmp_path / n for n in ("a.jpg", "b.PNG", "deep/c.bmp")]
    with pytest.raises(UserError, match="no such file"):
        find_pictures(tmp_path / "none")


def constant(value):
    return np.full((48, 48), value, np.uint8)


@pytest.mark.parametrize(
    "names",
    [
        LABELS,
        [name.upper() for name in LABELS],
        ["anger", "Disgusted", "fearful", "happiness", "sadness", "surprised", "Neutral"],
    ],
)
def test_classes_by_name(tmp_path, names):
    for label, name in enumerate(names):
        save(tmp_path / name / "1.png", constant(label))
        save(tmp_path / name / "0.png", constant(label))
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.txt").touch()
    parts = read_folder(tmp_path)
    assert list(parts) == ["all"]
    faces = parts["all"]
    assert faces.images.shape == (14, 48, 48, 1)
    assert faces.labels.dtype == np.int32
    assert faces.labels.tolist() == faces.images[:, 0, 0, 0].tolist() == sorted([*range(7)] * 2)
    assert faces.ids[0] == str(tmp_path / names[0] / "0.png")


@pytest.mark.parametrize("validation", ["validation", "val", "Valid"])
def test_split_folders(tmp_path, validation):
    for value, part in enumerate(("train", validation, "test")):
        save(tmp_path / part / "happy" / "PublicTest_1.png", constant(value))
    parts = read_folder(tmp_path)
    assert {part: faces.images[0, 0, 0, 0] for part, faces in parts.items()} == {
        "train": 0,
        "validation": 1,
        "test": 2,
    }
    assert all(faces.labels.tolist() == [3] for faces in parts.values())


def test_published_split_inside_test(tmp_path):
    save(tmp_path / "train" / "sad" / "Training_1.png")
    for name in ("PublicTest_1.png", "PrivateTest_1.png", "PrivateTest_2.png"):
        save(tmp_path / "test" / "sad" / name)
    assert {part: len(faces) for part, faces in read_folder(tmp_path).items()} == {
        "train": 1,
        "validation": 1,
        "test": 2,
    }


def test_plain_test_folder_is_no_validation(tmp_path):
    save(tmp_path / "train" / "sad" / "1.png")
    save(tmp_path / "test" / "sad" / "2.png")
    assert set(read_folder(tmp_path)) == {"train", "test"}


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["train/happy/1.png", "extra/1.png"], "extra: not a split, and has 1 picture; expected only"),
        (["happy/notes.txt", "sad/notes.txt"], "no pictures .2 files that are no pictures"),
        (["1.png"], "no folders; expected one folder of pictures for each class"),
        (["train/1.png"], "train: no folders; expected one folder of pictures for each class"),
        (["cats/1.png"], "no pictures by class in cats/; expected"),
        (["a/happy/1.png", "b/sad/1.png"], "holds 2 data sets .*name one of these folders"),
    ],
)
def test_bad_folder(tmp_path, files, what):
    for name in files:
        save(tmp_path / name, format="PNG")
        if name.endswith(".txt"):
            (tmp_path / name).write_text("hello")
    with pytest.raises(UserError, match=what) as caught:
        read_folder(tmp_path)
    assert str(tmp_path) in str(caught.value)
    if what.endswith("class"):
        assert ", ".join(LABELS) in str(caught.value)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_folder(tmp_path / "none")


def test_unlabelled(tmp_path):
    paths = [save(tmp_path / name, constant(value)) for value, name in enumerate(["a.png", "deep/b.png"])]
    faces = load_unlabelled(tmp_path)
    assert faces.labels is None
    assert faces.ids.tolist() == [str(path) for path in paths]
    assert faces.images[:, 0, 0, 0].tolist() == [0, 1]
    one = load_unlabelled(str(paths[1]))
    assert one.ids.tolist() == [str(paths[1])]
    assert one.images.shape == (1, 48, 48, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        load_unlabelled(tmp_path / "empty")
