"""Detectors of faces: made by name, and what each needs; how a box becomes a crop."""

import os
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fer_jax.data import detectors
from fer_jax.data.detectors import Box, Crop, crop_box, make_detector
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError

cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install -r requirements-photos.txt")


@pytest.fixture(autouse=True)
def fresh():
    """Detectors that are made anew, since tests change what there is."""
    detectors._make.cache_clear()
    yield
    detectors._make.cache_clear()


def photo(x=40, y=100, side=160):
    face = Image.fromarray(draw_faces(1, seed=1).images[0, ..., 0])
    picture = Image.new("RGB", (640, 480), (120, 130, 110))
    picture.paste(face.resize((side, side), Image.Resampling.BICUBIC), (x, y))
    return picture


def test_crops_are_squares_by_shares_of_the_height():
    assert crop_box(Box(10, 20, 100, 100), Crop(0, 0, 1.2)) == Box(0, 10, 120, 120)
    np.testing.assert_allclose(crop_box(Box(0, 0, 60, 100), Crop(0.1, -0.2, 0.5)), (15, 5, 50, 50))


def test_a_detector_is_made_once():
    assert make_detector("haar") is make_detector("haar")


def test_a_name_that_is_unknown():
    with pytest.raises(UserError, match=r"config\.detector is 'mtccn'; expected"):
        make_detector("mtccn")


def test_opencv_without_cascades(monkeypatch):
    """As OpenCV 5 is."""
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(UserError, match=r"the detector 'haar' needs OpenCV 4, found 5\.0\.0; leave out"):
        make_detector("haar")


@pytest.mark.parametrize("name", ["none.xml", "haarcascade_frontalface_alt2.xml"])
def test_a_detector_that_cannot_be_opened(tmp_path, monkeypatch, name):
    monkeypatch.setattr(cv2.data, "haarcascades", str(tmp_path / "J\u00f6rg") + os.sep)
    (tmp_path / "J\u00f6rg").mkdir()
    (tmp_path / "J\u00f6rg" / name).write_text("<?xml version='1.0'?><opencv_storage></opencv_storage>")
    with pytest.raises(UserError, match=r"alt2.xml: (no such file|damaged).*; install it again"):
        make_detector("haar")


def test_a_detector_below_a_folder_with_umlauts(tmp_path, monkeypatch):
    """OpenCV itself cannot open such a path on Windows."""
    folder = tmp_path / "J\u00f6rg"
    shutil.copytree(cv2.data.haarcascades, folder)
    monkeypatch.setattr(cv2.data, "haarcascades", str(folder) + os.sep)
    assert len(make_detector("haar").find(photo())) == 1
