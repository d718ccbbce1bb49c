"""Pictures of every kind against Pillow and NumPy by hand, and folders of them."""

import numpy as np
import pytest
from PIL import Image

from fer_jax.data.read_pictures import list_pictures, read_folder, read_picture, read_unlabelled
from fer_jax.errors import UserError
from fer_jax.labels import LABELS

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


def test_transparent_is_black(tmp_path):
    alpha = np.full_like(FACE, 255)
    alpha[:, :24] = 0
    expected = np.where(alpha == 255, FACE, 0)
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


@pytest.mark.parametrize("pixels", [48 * 48 - 1, 48 * 48 // 2 - 1])  # where Pillow warns, where it raises
def test_decompression_bomb(tmp_path, monkeypatch, pixels):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
    with pytest.raises(UserError, match="bomb"):
        read_picture(save(tmp_path / "a.png"))


def test_list_pictures(tmp_path):
    for name in ("b.PNG", "a.jpg", "deep/c.bmp", ".hidden.png", ".hidden/d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "notes.txt").touch()
    assert list_pictures(tmp_path) == [tmp_path / n for n in ("a.jpg", "b.PNG", "deep/c.bmp")]
    with pytest.raises(UserError, match="no such file"):
        list_pictures(tmp_path / "none")


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
        (["happy/1.png", "contempt/1.png"], "'contempt' is not a class"),
        (["train/contempt/1.png"], "'contempt' is not a class"),
        (["train/happy/1.png", "extra/1.png"], "extra: not a split"),
        (["happy/1.png", "sad/notes.txt"], "sad: no pictures"),
        (["1.png"], "no folders"),
        (["train/1.png"], "train: no folders"),
    ],
)
def test_bad_folder(tmp_path, files, what):
    for name in files:
        save(tmp_path / name, format="PNG")
    with pytest.raises(UserError, match=what) as caught:
        read_folder(tmp_path)
    assert str(tmp_path) in str(caught.value)
    if "class" in what:
        assert ", ".join(LABELS) in str(caught.value)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_folder(tmp_path / "none")


def test_unlabelled(tmp_path):
    paths = [save(tmp_path / name, constant(value)) for value, name in enumerate(["a.png", "deep/b.png"])]
    faces = read_unlabelled(tmp_path)
    assert faces.labels is None
    assert faces.ids.tolist() == [str(path) for path in paths]
    assert faces.images[:, 0, 0, 0].tolist() == [0, 1]
    one = read_unlabelled(str(paths[1]))
    assert one.ids.tolist() == [str(paths[1])]
    assert one.images.shape == (1, 48, 48, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        read_unlabelled(tmp_path / "empty")
