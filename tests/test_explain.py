"""What a prediction hangs on, against finite differences, NumPy by hand and closed forms; and the sheets."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fer_jax import labels
from fer_jax.data import photos
from fer_jax.data.load import load_dataset
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.explain import run as run_explain
from fer_jax.explain import saliency as explain
from fer_jax.explain.ascent import first_kernels, make_ascent
from fer_jax.models import create_model, init_variables
from fer_jax.runtime.command import plain
from fer_jax.transforms.normalize import Normalization
from tiny_run import run, run_training, tiny_config

CNN = create_model("cnn", {"widths": (3, 5), "blocks": (1, 1), "dropout": 0.0})
STATISTICS = Normalization(np.full((1, 1, 1), 120, np.float32), np.full((1, 1, 1), 60, np.float32))
FACES = draw_faces(3, seed=2).images
LABELS = jnp.array([3, 0, 6], jnp.int32)
OF_CNN = {"model": CNN, "normalize_kind": "global"}


@functools.cache
def variables():
    """Of the tiny CNN, with statistics of BatchNorm that are not those of a fresh network."""
    draw = np.random.default_rng(0)
    fresh = init_variables(CNN, jax.random.key(0))
    return jax.tree.map(lambda x: x + draw.uniform(0.05, 0.3, x.shape).astype(np.float32), fresh)


def inputs():
    return (FACES.astype(np.float32) - 120) / 60


@jax.jit
def logits_of(x):
    return CNN.apply(variables(), x, train=False)


def test_saliency_is_the_slope_times_the_input():
    saliency = jax.jit(explain.make_saliency(**OF_CNN))(variables(), STATISTICS, FACES, LABELS)
    assert saliency.shape == (3, 48, 48)
    x, step = inputs(), 0.02
    rng = np.random.default_rng(1)
    numbers = []
    for row, column in rng.integers(0, 48, (12, 2)):
        change = np.zeros_like(x)
        change[:, row, column] = step
        slope = (logits_of(x + change) - logits_of(x - change)) / (2 * step)
        slope = np.asarray(slope)[np.arange(3), LABELS]
        numbers.append((saliency[:, row, column], slope * x[:, row, column, 0]))
    ours, expected = np.moveaxis(np.array(numbers), 1, 0)
    # A ReLU's kink within a step bends a few of the differences.
    assert np.mean(np.isclose(ours, expected, rtol=0.05, atol=2e-3)) > 0.9
    assert np.abs(expected).max() > 0.01


def test_smooth_grad_without_noise_is_the_gradient():
    smooth = explain.make_smooth_grad(**OF_CNN, samples=2, noise=0.0)
    smooth = jax.jit(smooth)(jax.random.key(0), variables(), STATISTICS, FACES, LABELS)
    saliency = jax.jit(explain.make_saliency(**OF_CNN))(variables(), STATISTICS, FACES, LABELS)
    np.testing.assert_allclose(smooth * np.abs(inputs()[..., 0]), np.abs(saliency), rtol=1e-4, atol=1e-6)


def test_grad_cam_by_hand():
    """After the last block come a mean and a dense layer, so its gradient is known in closed form."""
    layer = explain.grad_cam_layer(CNN)
    assert layer == "ResidualBlock_1"
    logits, maps = explain.apply_with_change(CNN, variables(), jnp.asarray(inputs()), layer, None)
    np.testing.assert_allclose(logits, logits_of(inputs()), rtol=1e-4, atol=1e-5)
    kernel = np.asarray(variables()["params"]["Dense_0"]["kernel"])
    maps = np.asarray(maps)
    np.testing.assert_allclose(
        maps.mean((1, 2)) @ kernel + np.asarray(variables()["params"]["Dense_0"]["bias"]), logits, rtol=1e-4
    )
    heat = np.maximum(np.einsum("nhwc,nc->nhw", maps, kernel[:, LABELS].T / maps[0, ..., 0].size), 0)
    heat = np.stack([ndimage.zoom(h, 4, order=1, mode="nearest", grid_mode=True) for h in heat])
    expected = heat / np.maximum(heat.max((1, 2), keepdims=True), 1e-12)
    ours = jax.jit(explain.make_grad_cam(**OF_CNN))(variables(), STATISTICS, FACES, LABELS)
    np.testing.assert_allclose(ours, expected, atol=1e-3)
    assert ours.max() == 1


def test_grad_cam_takes_the_deepest_maps_that_are_fine_enough():
    deep = create_model("cnn", {"widths": (2, 2, 2, 2), "blocks": (1, 2, 1, 1), "dropout": 0.0})
    assert explain.grad_cam_layer(deep) == "ResidualBlock_3"
    assert explain.grad_cam_layer(deep.clone(stem_stride=1)) == "ResidualBlock_4"
    mlp = create_model("mlp", {"hidden": (4,), "dropout": 0.0})
    assert explain.grad_cam_layer(mlp) is None
    with pytest.raises(ValueError, match="feature maps"):
        explain.make_grad_cam(model=mlp, normalize_kind="none")


def test_masked_face_keeps_the_most_important_share():
    importance = np.random.default_rng(0).uniform(size=(3, 48, 48)).astype(np.float32)
    masked = np.asarray(explain.hide_unimportant(FACES, importance, share=0.25))
    for face, mask, map_ in zip(FACES[..., 0].astype(float), masked[..., 0], importance, strict=True):
        kept = map_ >= np.sort(map_.ravel())[-576]
        np.testing.assert_array_equal(mask[kept], face[kept])
        np.testing.assert_allclose(mask[~kept], face.mean(), rtol=1e-5)


def test_blur_is_scipys():
    maps = np.random.default_rng(0).normal(size=(2, 48, 48)).astype(np.float32)
    kernel = np.array([1, 2, 1]) / 4
    expected = maps
    for axis in (1, 2):
        expected = ndimage.correlate1d(expected, kernel, axis, mode="nearest")
    np.testing.assert_allclose(explain.blur(maps), expected, atol=1e-5)


@pytest.mark.parametrize("layer", [None, "ResidualBlock_0"])
def test_ascent_raises_what_it_is_to_raise(layer):
    indices = jnp.array([0, 2], jnp.int32)
    ascend = make_ascent(**OF_CNN, layer=layer, steps=10)
    images, before, after = ascend(jax.random.key(0), variables(), STATISTICS, indices)
    assert (np.asarray(after) > np.asarray(before)).all()
    assert images.min() >= 0
    assert images.max() <= 255
    x = (np.asarray(images) - 120) / 60
    if layer is None:
        reached = np.asarray(logits_of(x))[[0, 1], indices]
    else:
        maps = explain.apply_with_change(CNN, variables(), jnp.asarray(x), layer, None)[1]
        reached = np.asarray(maps).mean((1, 2))[[0, 1], indices]
    np.testing.assert_allclose(after, reached, rtol=1e-3, atol=1e-4)


def test_first_kernels_are_sorted_by_size():
    kernel = np.arange(3 * 3 * 1 * 4, dtype=np.float32).reshape(3, 3, 1, 4)
    pictures = first_kernels({"Conv_0": {"kernel": kernel}}, most=3)
    np.testing.assert_array_equal(pictures, np.stack([kernel[:, :, 0, k] for k in (3, 2, 1)]))
    dense = np.zeros((48 * 48, 2), np.float32)
    dense[5 * 48 + 7, 1] = 1
    assert first_kernels({"Dense_0": {"kernel": dense}})[0, 5, 7] == 1


def test_which_faces_are_shown():
    labels = np.array([3, 0, 3, 6, 3, 0])
    assert run_explain.two_of_each(labels).tolist() == [1, 5, 0, 2, 3]
    chances = np.eye(7)[[3, 1, 0, 6, 2, 2]] * np.array([0.9, 0.5, 0.7, 0.9, 0.7, 0.8])[:, None]
    assert run_explain.confident_mistakes(chances, labels, most=3).tolist() == [5, 2, 4]


def write_sheets(where, source=None, output=None, **changes):
    run("explain", tiny_config(epochs=1, **changes), where, input=source, output=output)


def train(where, **changes):
    run_training(tiny_config(epochs=1, **changes), where)


def test_sheets_of_an_mlp(tmp_path, capsys):
    train(tmp_path / "run")
    capsys.readouterr()
    write_sheets(tmp_path / "run")
    printed = capsys.readouterr().out
    assert "left out: Grad-CAM, since the model 'mlp' has no feature maps" in printed
    lines = printed.splitlines()
    for name in ("saliency", "filters", "expressions", "errors"):
        # What is made is said before it, since it takes long.
        (begun,) = [n for n, line in enumerate(lines) if line.startswith(f"making {name}.png: ")]
        assert begun < lines.index(f"written: {tmp_path / 'run' / 'explain' / name}.png")
        with Image.open(tmp_path / "run" / "explain" / f"{name}.png") as sheet:
            assert min(sheet.size) > 200
    (tmp_path / "seeds" / "seed-0").mkdir(parents=True)
    with pytest.raises(UserError, match=r"several seeds; name one of them: --workdir=.*seed-0"):
        write_sheets(tmp_path / "seeds")


@pytest.mark.nightly
def test_sheets_of_an_input(tmp_path, capsys):
    train(tmp_path / "run")
    faces = draw_faces(3, seed=0)
    for image, id_ in zip(faces.images, "abc", strict=True):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / "in" / f"{id_}.png")
    write_sheets(tmp_path / "run", str(tmp_path / "in"), str(tmp_path / "out"))
    assert "left out: errors.png, since the faces of" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["expressions.png", "filters.png", "saliency.png"]


def test_faces_of_an_input_are_those_of_predict(tmp_path, capsys):
    """A photo is searched, not squeezed into one face; what is left out is named."""
    pytest.importorskip("cv2", reason="needs OpenCV: pip install -r requirements-photos.txt")
    photo = Image.new("L", (640, 480), 120)
    for face, place in zip(FACES[..., 0], ((40, 100), (380, 200)), strict=False):
        photo.paste(Image.fromarray(face).resize((180, 180)), place)
    album = tmp_path / "album"
    album.mkdir()
    photo.save(album / "a.jfif", format="jpeg", quality=95)
    Image.fromarray(FACES[2, ..., 0]).save(album / "b.png")
    Image.new("L", (48, 48)).save(album / "c.png")
    (album / "d.jpg").write_bytes(b"")
    (album / "e.txt").touch()
    faces = run_explain._faces_of_input(str(album))
    with Image.open(album / "a.jfif") as picture:
        found = photos.faces_of(picture.convert("L"))[1]
    assert len(found) == 2
    np.testing.assert_array_equal(faces.images[:2], found)
    np.testing.assert_array_equal(faces.images[2], FACES[2])
    assert faces.ids.tolist() == [str(album / n) for n in ("a.jfif", "a.jfif", "b.png", "c.png")]
    printed = capsys.readouterr().out
    assert "left out: 1 file that is no picture (1 .txt)" in printed
    assert f"1 of 4 faces has no contrast: {album / 'c.png'}" in printed
    assert f"left out: {album / 'd.jpg'}: cannot be read as a picture (an empty file)" in printed
    for name, what in (("c.png", "the only face has no contrast"), ("d.jpg", "an empty file")):
        with pytest.raises(UserError, match=what):
            run_explain._faces_of_input(str(album / name))
    Image.new("L", (200, 100)).save(album / "wall.png")
    with pytest.raises(UserError, match=r"wall.png: no face found in 1 picture"):
        run_explain._faces_of_input(str(album / "wall.png"))


@pytest.mark.nightly
def test_sheets_of_a_cnn(tmp_path, capsys):
    changes = {"model": "cnn", "cnn.widths": (2, 3), "cnn.blocks": (1, 1), "normalize": "global"}
    write_homework_csv(tmp_path / "train.csv", draw_faces(70, seed=1))
    train(tmp_path / "run", dataset=str(tmp_path / "train.csv"), validation_fraction=0.2, **changes)
    capsys.readouterr()
    write_sheets(tmp_path / "run", **changes)
    printed = capsys.readouterr().out
    assert "Grad-CAM" not in printed
    assert printed.count("written: ") == 4
    (tmp_path / "train.csv").unlink()
    with pytest.raises(UserError, match=r"train.csv: .*name faces to explain by --input=PATH"):
        write_sheets(tmp_path / "run", **changes)


def test_which_faces_and_views(tmp_path):
    config = plain(tiny_config(split="test"))
    shown = run_explain._load_faces(SimpleNamespace(config=config, labels=labels.LABELS), None)
    np.testing.assert_array_equal(shown.images, load_dataset(config).test.images)
    with pytest.raises(UserError, match="one view of a face"):
        run("explain", config | {"views": "flip"}, tmp_path, overrides=["views"])
