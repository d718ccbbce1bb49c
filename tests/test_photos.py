"""Faces in photos: found where they were put, cropped to the pixel, marked; and predictions for a folder."""

import os
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_jax.checkpoints import choose
from fer_jax.data import photos, read_pictures
from fer_jax.data.photos import Box
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.predict import photos as run_photos
from fer_jax.predict.faces import predict_csv
from tiny_run import run, run_training, tiny_config

cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install -r requirements-photos.txt")

FACES = draw_faces(14, seed=1).images[..., 0]
BRIGHT = np.tile(np.array([180, 220], np.uint8), (48, 24))
NOISE = np.random.default_rng(0).integers(0, 256, (90, 120), np.uint8)


def photo(*places, size=(640, 480)):
    """A plain picture with a built-in face, enlarged, at each (x, y, side)."""
    picture = Image.new("RGB", size, (120, 130, 110))
    for face, (x, y, side) in zip(FACES, places, strict=False):
        picture.paste(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC), (x, y))
    return picture


def covers(box, x, y, side):
    """Whether the middle of the box is near that of the square, and their sizes alike."""
    middle = abs(box.x + box.width / 2 - x - side / 2) < side / 4 > abs(box.y + box.height / 2 - y - side / 2)
    return middle and 0.5 < box.width / side < 1.2


def test_faces_are_found_where_they_are():
    left, right = photos.find_faces(photo((40, 100, 160), (380, 200, 200)))
    assert covers(left, 40, 100, 160)
    assert covers(right, 380, 200, 200)
    assert photos.find_faces(photo()) == []


def test_boxes_are_in_pixels_of_a_large_picture():
    """Which is searched in a smaller size."""
    picture = photo((1500, 900, 700), size=(3000, 2000))
    (box,) = photos.find_faces(picture)
    assert covers(box, 1500, 900, 700)


def test_crops_are_exact():
    grey = Image.fromarray(NOISE)
    (face,) = photos.crop_faces(grey, [Box(30, 20, 48, 48)])
    np.testing.assert_array_equal(face[..., 0], NOISE[20:68, 30:78])
    padded = np.pad(NOISE, 48, mode="edge")
    for x, y in ((-7, -3), (100, 60), (-48, 80)):
        (face,) = photos.crop_faces(grey, [Box(x, y, 48, 48)])
        np.testing.assert_array_equal(face[..., 0], padded[y + 48 : y + 96, x + 48 : x + 96])
    assert photos.crop_faces(grey, []).shape == (0, 48, 48, 1)


def test_crop_of_a_colour_picture_is_that_of_its_grey():
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 60, 3), np.uint8))
    (face,) = photos.crop_faces(colours, [Box(5, 6, 48, 48)])
    expected = np.asarray(colours)[6:54, 5:53].astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(face[..., 0], expected, atol=1)


def test_whole_pixels_are_within_the_picture():
    assert photos.whole_pixels(Box(-4.6, 30.4, 20, 20), (100, 40)) == (0, 30, 15, 10)


def test_a_face_is_taken_whole():
    boxes, faces = photos.faces_of(Image.fromarray(FACES[0]))
    assert boxes == [(0, 0, 48, 48)]
    np.testing.assert_array_equal(faces[0, ..., 0], FACES[0])


@pytest.mark.parametrize("size", [(47, 48), (48, 49), (40, 64)])
def test_a_face_of_nearly_that_size_is_taken_whole(size):
    """And stretched; smaller ones and larger ones are searched."""
    picture = Image.fromarray(FACES[0]).resize(size)
    boxes, faces = photos.faces_of(picture)
    assert boxes == [(0, 0, *size)]
    expected = picture.resize((48, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(faces[0, ..., 0], np.asarray(expected))
    assert not photos.is_face(picture.resize((48, 65)))
    assert not photos.is_face(picture.resize((39, 48)))


@pytest.mark.parametrize(
    ("size", "boxes", "cropped"),
    [
        ((100, 100), [], True),
        ((224, 224), [Box(20, 20, 180, 180)], True),
        ((224, 200), [Box(20, 20, 136, 136)], True),
        ((224, 200), [Box(20, 20, 133, 133)], False),  # a small picture with room around the face
        ((224, 224), [Box(0, 0, 150, 150), Box(100, 0, 150, 150)], False),
        ((256, 204), [], False),  # not square
        ((257, 257), [], False),
        ((39, 39), [], False),
    ],
)
def test_what_looks_like_a_cropped_face(size, boxes, cropped):
    assert photos.is_cropped(Image.new("L", size), boxes) == cropped


def test_larger_faces_are_taken_whole_if_told():
    face = Image.fromarray(FACES[0]).resize((100, 100))
    for picture in (face, Image.fromarray(np.tile(BRIGHT, (2, 2)))):
        boxes, faces = photos.faces_of(picture, whole=True)
        assert boxes == [(0, 0, *picture.size)]
        expected = picture.resize((48, 48), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(faces[0, ..., 0], np.asarray(expected))
        assert photos.faces_of(picture)[0] != boxes
    scene = photo((40, 100, 160))
    assert photos.faces_of(scene, whole=True)[0] == photos.faces_of(scene)[0]


def test_a_folder_of_cropped_faces(tmp_path, capsys):
    """They are searched, and a line proposes the flag; with it there are no places and no copies."""
    for row, face in enumerate(FACES[:4]):
        (tmp_path / "album").mkdir(exist_ok=True)
        Image.fromarray(face).resize((100, 100)).save(tmp_path / "album" / f"{row}.png")
    photo((40, 100, 160)).save(tmp_path / "album" / "scene.png")
    source, output = str(tmp_path / "album"), tmp_path / "out.csv"
    options = {"labels": LABELS, "with_probabilities": False}
    run_photos.predict_photos(source, predict, output, **options)
    assert "4 of them look like cropped faces; --config.faces=whole takes" in capsys.readouterr().out
    run_photos.predict_photos(source, predict, output, whole=True, **options)
    assert "look like" not in capsys.readouterr().out
    table = pd.read_csv(output)
    assert table[["x", "y", "width", "height"]].to_numpy()[:4].tolist() == [[0, 0, 100, 100]] * 4
    assert len(table) == 5
    assert [path.name for path in (tmp_path / "out_pictures").iterdir()] == ["scene.png.jpg"]
    (tmp_path / "album" / "scene.png").unlink()
    run_photos.predict_photos(source, predict, output, whole=True, **options)
    assert list(pd.read_csv(output).columns) == ["id", "label"]


def test_marks_are_on_the_box_and_its_name_alone():
    picture = photo()
    before = np.array(picture)
    marked = np.asarray(photos.annotate(picture, [Box(200, 150, 100, 80)], ["happy 93 %"]))
    np.testing.assert_array_equal(np.asarray(picture), before)
    for x, y in ((200, 150), (299, 229), (200, 190), (250, 229)):
        assert tuple(marked[y, x]) == (0, 114, 178)
    changed = np.argwhere((marked != before).any(-1))
    assert (changed.min(0) >= (110, 200)).all()
    assert (changed.max(0) <= (229, 330)).all()
    np.testing.assert_array_equal(marked[155:225, 205:295], before[155:225, 205:295])


def test_without_opencv_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-photos.txt"):
        photos.find_faces(photo())


def predict(images):
    """Stands in for a network: bright faces are happy."""
    assert images.dtype == np.uint8
    chances = np.full((len(images), 7), 0.05, np.float32)
    chances[np.arange(len(images)), np.where(images.mean((1, 2, 3)) > 100, 3, 4)] = 0.7
    return chances


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    photo((40, 100, 160), (380, 200, 200)).save(folder / "a.jpg", quality=95)
    photo().save(folder / "empty.png")
    Image.fromarray(BRIGHT).save(folder / "more" / "face.png")
    # Lies on its side, as cameras save it, and says so.
    turned = photo((40, 100, 160)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    return folder


def test_folder_of_photos(folder, tmp_path, capsys):
    run_photos.predict_photos(
        str(folder), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=True
    )
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out.columns[:6]) == ["id", "label", "x", "y", "width", "height"]
    assert list(out.columns[6:]) == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert out["id"].tolist() == [
        str(folder / name) for name in ("a.jpg", "a.jpg", "more/face.png", "turned.jpg")
    ]
    places = [tuple(row) for row in out[["x", "y", "width", "height"]].to_numpy()]
    assert covers(Box(*places[0]), 40, 100, 160)
    assert covers(Box(*places[1]), 380, 200, 200)
    assert places[2] == (0, 0, 48, 48)
    assert covers(Box(*places[3]), 40, 100, 160)
    assert out["label"][2] == 3
    marked = sorted((tmp_path / "out_pictures").rglob("*"))
    assert [path.name for path in marked] == ["a.jpg", "turned.jpg"]
    with Image.open(marked[1]) as picture:
        assert picture.size == (640, 480)
    printed = capsys.readouterr().out
    assert "4 faces in 4 pictures" in printed
    assert f"no face found in 1 of them: {folder / 'empty.png'}" in printed
    assert f"written: {tmp_path / 'out_pictures'}/, 2 pictures with faces marked" in printed


def test_pictures_are_not_zoomed_unless_asked(tmp_path, no_plots):
    """A run that is scored by ``zoom`` sees them by ``flip``."""
    config = tiny_config(views="zoom", epochs=1)
    where, source, output = tmp_path / "run", tmp_path / "face.png", tmp_path / "out.csv"
    run_training(config, where)
    Image.fromarray(FACES[0]).save(source)
    classifier = choose.load(where)
    for overrides, views in (([], "flip"), (["views"], "zoom")):
        options = {"input": str(source), "output": str(output), "probabilities": True}
        run("predict", config, where, overrides=overrides, **options)
        row = pd.read_csv(output).iloc[0, -7:].to_numpy(float)
        expected = classifier.predict(FACES[:1], views=views)
        np.testing.assert_allclose(row, expected[0], atol=1e-5)
        other = classifier.predict(FACES[:1], views="one")
        assert np.abs(row - other[0]).max() > 1e-4


def test_names_that_meet_or_are_long(tmp_path):
    """Marked pictures are JPEG files: ``a.png`` would be ``a.png.jpg``, which another is already."""
    album = tmp_path / "album"
    album.mkdir()
    names = ["a.png", "a.png.jpg", "é" * 123 + ".jpg"]
    for name in names:
        photo((40, 100, 160)).save(album / name)
    run_photos.predict_photos(
        str(album), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
    )
    marked = sorted(path.name for path in (tmp_path / "out_pictures").iterdir())
    assert marked == ["a.png-2.jpg", "a.png.jpg", names[2]]


def test_no_picture_is_replaced(folder, tmp_path):
    """Where the marked ones would go to the folder that the pictures are in."""
    originals = folder.rename(tmp_path / "album_pictures")
    before = {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()}
    for source in (originals, originals / "more", originals / "a.jpg"):
        with pytest.raises(UserError, match="give --output another name"):
            run_photos.predict_photos(
                str(source), predict, tmp_path / "album.csv", labels=LABELS, with_probabilities=False
            )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_marked_pictures_are_not_searched_again(folder, tmp_path, capsys):
    tables = []
    for _ in range(2):
        run_photos.predict_photos(
            str(tmp_path), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
        )
        tables.append((tmp_path / "out.csv").read_text())
    assert tables[0] == tables[1]
    assert not (tmp_path / "out_pictures" / "out_pictures").exists()
    assert f"left out: 2 pictures in {tmp_path / 'out_pictures'}/" in capsys.readouterr().out


def test_a_name_that_is_not_utf8(folder, tmp_path):
    """As old zip files have them."""
    name = os.fsencode(folder) + b"/caf\xe9.jpg"
    try:
        os.rename(folder / "a.jpg", name)
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    run_photos.predict_photos(
        os.fsdecode(name), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
    )
    rows = (tmp_path / "out.csv").read_bytes().splitlines()
    assert [row.startswith(name + b",") for row in rows] == [False, True, True]
    assert os.listdir(os.fsencode(tmp_path / "out_pictures")) == [b"caf\xe9.jpg"]


def test_faces_alone_have_no_place(folder, tmp_path):
    run_photos.predict_photos(
        str(folder / "more"), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
    )
    assert (tmp_path / "out.csv").read_text() == f"id,label\n{folder / 'more' / 'face.png'},3\n"
    assert not (tmp_path / "out_pictures").exists()


def test_broken_pictures_are_named_and_the_others_done(folder, tmp_path, capsys):
    (folder / "broken.jpg").write_bytes((folder / "a.jpg").read_bytes()[:3000])
    with pytest.raises(UserError, match=r"1 of 5 pictures cannot be read; the others are in .*out.csv"):
        run_photos.predict_photos(
            str(folder), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
        )
    assert len(pd.read_csv(tmp_path / "out.csv")) == 4
    assert f"left out: {folder / 'broken.jpg'}" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"broken.jpg: cannot be read as a picture"):
        run_photos.predict_photos(
            str(folder / "broken.jpg"), predict, tmp_path / "new.csv", labels=LABELS, with_probabilities=False
        )
    assert not (tmp_path / "new.csv").exists()


def test_copies_are_known_wherever_they_are(folder, tmp_path, capsys):
    """By a mark: those of another output, in the album, are not searched again."""
    run_photos.predict_photos(
        str(folder), predict, folder / "out.csv", labels=LABELS, with_probabilities=False
    )
    rows = pd.read_csv(folder / "out.csv")
    capsys.readouterr()
    run_photos.predict_photos(
        str(folder), predict, tmp_path / "new.csv", labels=LABELS, with_probabilities=False
    )
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new.csv"), rows)
    printed = capsys.readouterr().out
    assert "4 faces in 4 pictures" in printed
    assert "left out: 2 pictures that fer_jax has written, with faces marked" in printed
    assert "left out: 1 file that is no picture (1 .csv)" in printed
    copy = folder / "out_pictures" / "a.jpg"
    with pytest.raises(UserError, match=r"a.jpg: was written by fer_jax, .*name the photo itself"):
        run_photos.predict_photos(
            str(copy), predict, tmp_path / "x.csv", labels=LABELS, with_probabilities=False
        )
    with pytest.raises(UserError, match="none of its pictures is a photo"):
        run_photos.predict_photos(
            str(copy.parent), predict, tmp_path / "x.csv", labels=LABELS, with_probabilities=False
        )
    assert not list(tmp_path.glob("x*"))


def test_copies_of_an_earlier_command_do_not_stay(folder, tmp_path, capsys):
    """Except files that fer_jax has not written."""
    photo((40, 100, 160)).save(folder / "B.JPG")
    run_photos.predict_photos(
        str(folder), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
    )
    copies = tmp_path / "out_pictures"
    photo().save(copies / "mine.jpg")
    (copies / "text.jpg").write_text("hello")
    for name in ("a.jpg", "B.JPG"):
        (folder / name).unlink()
    capsys.readouterr()
    run_photos.predict_photos(
        str(folder), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
    )
    assert sorted(path.name for path in copies.iterdir()) == ["mine.jpg", "text.jpg", "turned.jpg"]
    assert f"removed: 2 copies of an earlier command in {copies}/" in capsys.readouterr().out
    # Those beside the rows of a CSV file are not of it either.
    write_homework_csv(tmp_path / "in.csv", draw_faces(2, seed=0))
    predict_csv(
        str(tmp_path / "in.csv"), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
    )
    assert sorted(path.name for path in copies.iterdir()) == ["mine.jpg", "text.jpg"]


def test_faces_without_contrast(folder, tmp_path, capsys):
    for name, value in (("black.png", 0), ("white.png", 255)):
        Image.fromarray(np.full((48, 48), value, np.uint8)).save(folder / "more" / name)
    run_photos.predict_photos(
        str(folder), predict, tmp_path / "out.csv", labels=LABELS, with_probabilities=False
    )
    assert len(pd.read_csv(tmp_path / "out.csv")) == 6
    names = f"{folder / 'more' / 'black.png'}, {folder / 'more' / 'white.png'}"
    assert f"2 of 6 faces have no contrast: {names}" in capsys.readouterr().out
    (folder / "more" / "face.png").unlink()
    with pytest.raises(UserError, match="all 2 faces have no contrast"):
        run_photos.predict_photos(
            str(folder / "more"), predict, tmp_path / "b.csv", labels=LABELS, with_probabilities=False
        )
    assert not list(tmp_path.glob("b*"))


def test_a_large_picture_decoded_smaller_has_its_own_pixels(folder, tmp_path, monkeypatch, capsys):
    run_photos.predict_photos(
        str(folder / "a.jpg"), predict, tmp_path / "a.csv", labels=LABELS, with_probabilities=False
    )
    whole = pd.read_csv(tmp_path / "a.csv")
    monkeypatch.setattr(read_pictures, "_PIXELS_AT_FULL_SIZE", 640 * 480 - 1)
    run_photos.predict_photos(
        str(folder / "a.jpg"), predict, tmp_path / "b.csv", labels=LABELS, with_probabilities=False
    )
    half = pd.read_csv(tmp_path / "b.csv")
    np.testing.assert_allclose(
        half[["x", "y", "width", "height"]], whole[["x", "y", "width", "height"]], atol=20
    )
    assert "searched at 1/2 of the size" in capsys.readouterr().out


def test_one_broken_picture_is_told_once(tmp_path, capsys):
    (tmp_path / "A.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"A.jpg: cannot be read as a picture \(an empty file\)"):
        run_photos.predict_photos(
            str(tmp_path / "A.jpg"), predict, tmp_path / "o.csv", labels=LABELS, with_probabilities=False
        )
    assert capsys.readouterr() == ("", "")
