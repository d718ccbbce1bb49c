"""``fer_jax.load(...).predict``: compiled once, small batches for few faces, pictures and photos."""

import dataclasses
import io
import sys

import numpy as np
import pytest
from PIL import Image

import fer_jax
from fer_jax import classifier as module
from fer_jax.data import photos
from fer_jax.data.read_pictures import read_picture
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from served import scene


def test_compiled_once(monkeypatch):
    images = draw_faces(5, seed=0).images
    classifier = fer_jax.load("tiny")
    chances = classifier.predict(images)

    def refuse(*_):
        raise AssertionError("built again")

    monkeypatch.setattr(module, "create_model", refuse)
    np.testing.assert_array_equal(classifier.predict(images), chances)
    # One face in a batch of its own.
    np.testing.assert_allclose(classifier.predict(images[3:4]), chances[3:4], atol=1e-5)


def test_views_are_those_of_the_config_unless_given():
    images, tiny = draw_faces(2, seed=0).images, fer_jax.load("tiny")
    assert tiny.config["views"] == "zoom"
    np.testing.assert_array_equal(tiny.predict(images), tiny.predict(images, views="zoom"))
    assert np.abs(tiny.predict(images) - tiny.predict(images, views="one")).max() > 1e-4
    (face,) = tiny.predict_photo(Image.fromarray(images[0, ..., 0]))  # of face size: taken whole
    np.testing.assert_allclose(face.probabilities, tiny.predict(images[0], views="flip"), atol=1e-5)


def test_the_kept_network_is_that_of_the_weights():
    """Another temperature, another network: no mix-up."""
    images = draw_faces(3, seed=0).images
    tiny = fer_jax.load("tiny")
    hot = fer_jax.load("tiny")
    hot = dataclasses.replace(hot, weights=hot.weights._replace(temperatures={"one": 100.0}))
    np.testing.assert_allclose(hot.predict(images, views="one"), 1 / 7, atol=0.05)
    assert tiny.predict(images, views="one").max() > 0.3


@pytest.mark.parametrize(
    ("count", "most", "size"),
    [
        (0, 128, 1),
        (1, 128, 1),
        (2, 128, 4),
        (5, 128, 16),
        (64, 128, 64),
        (65, 128, 128),
        (500, 128, 128),
        (7, 3, 3),
    ],
)
def test_batch_size(count, most, size):
    assert module._batch_size(count, most) == size


def test_wrong_images():
    with pytest.raises(UserError, match=r"float32 \(1, 48, 48, 1\); expected uint8 \(N, 48, 48, 1\)"):
        fer_jax.load("tiny").predict(np.zeros((1, 48, 48, 1), np.float32))


def test_one_face():
    """As an array, a file or a picture: seven numbers, those that it gets among others."""
    images = draw_faces(3, seed=0).images
    tiny = fer_jax.load("tiny")
    expected = tiny.predict(images)[1]
    for face in (images[1], images[1, ..., 0], Image.fromarray(images[1, ..., 0])):
        probabilities = tiny.predict(face)
        assert probabilities.shape == (7,)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert tiny.predict(images[:1, ..., 0]).shape == (1, 7)
    # 48 faces are no face of 48 channels.
    assert tiny.predict(np.zeros((48, 48, 48), np.uint8)).shape == (48, 7)
    assert tiny.labels[int(expected.argmax())] in fer_jax.LABELS


def test_a_picture_or_its_path(tmp_path):
    """Of any size and mode, turned as EXIF says: as the command reads it."""
    large = Image.fromarray(draw_faces(1, seed=3).images[0, ..., 0]).resize((120, 96)).convert("RGB")
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    turned = large.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.png", exif=exif)
    large.save(tmp_path / "upright.png")
    tiny = fer_jax.load("tiny")
    expected = tiny.predict(read_picture(tmp_path / "upright.png"))
    with Image.open(tmp_path / "turned.png") as opened:
        alpha = large.convert("RGBA")
        for picture in (tmp_path / "turned.png", str(tmp_path / "turned.png"), opened, large, alpha):
            np.testing.assert_allclose(tiny.predict(picture), expected, atol=1e-5)
        np.testing.assert_array_equal(tiny.predict(opened), expected)


def test_a_picture_of_another_mode(tmp_path):
    """Is what its file is: a palette, transparency, 16 bits."""
    face = Image.fromarray(draw_faces(1, seed=3).images[0, ..., 0])
    tiny = fer_jax.load("tiny")
    clear = face.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((48, 48)))
    palette = face.quantize(16)
    palette.info["transparency"] = 3
    deep = Image.fromarray(np.asarray(face).astype(np.uint16) * 257)
    for name, picture in {"clear": clear, "palette": palette, "deep": deep}.items():
        picture.save(tmp_path / f"{name}.png")
        expected = tiny.predict(tmp_path / f"{name}.png")
        np.testing.assert_allclose(tiny.predict(picture), expected, atol=1e-5, err_msg=name)


def test_a_picture_that_cannot_be_read(tmp_path):
    tiny = fer_jax.load("tiny")
    with pytest.raises(UserError, match=r"none\.png: no such file or directory"):
        tiny.predict(tmp_path / "none.png")
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.png")
    cut = (tmp_path / "cut.png").read_bytes()[:500]
    with pytest.raises(UserError, match="a picture of mode L cannot be read"):
        tiny.predict(Image.open(io.BytesIO(cut)))


def test_a_photo(tmp_path):
    """The boxes and numbers that the functions below it give, a name for each."""
    photo = scene(2)
    photo.save(tmp_path / "photo.png")
    tiny = fer_jax.load("tiny")
    boxes, faces = photos.faces_of(photo)
    assert len(boxes) == 2
    for given in (tmp_path / "photo.png", str(tmp_path / "photo.png"), photo):
        found = tiny.predict_photo(given, views="flip")
        assert [face.box for face in found] == [photos.whole_pixels(box, photo.size) for box in boxes]
        np.testing.assert_allclose(
            [f.probabilities for f in found], tiny.predict(faces, views="flip"), atol=1e-5
        )
        assert [f.label for f in found] == [tiny.labels[f.probabilities.argmax()] for f in found]
    assert tiny.predict_photo(Image.new("RGB", (300, 200), (200, 200, 200))) == []
    (whole,) = tiny.predict_photo(Image.fromarray(faces[0, ..., 0]))
    assert whole.box == (0, 0, 48, 48)
    with pytest.raises(UserError, match=r"none\.jpg: no such file"):
        tiny.predict_photo(tmp_path / "none.jpg")


def test_a_photo_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-photos\.txt"):
        fer_jax.load("tiny").predict_photo(scene(1))
