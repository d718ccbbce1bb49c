"""Exported networks against the Flax modules, and ``--mode=export`` from weights to files."""

import dataclasses
import functools
import json
import re
import sys
from pathlib import Path

import jax
import numpy as np
import onnx
import pytest
from PIL import Image
from scipy.ndimage import zoom
from scipy.special import softmax

from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.weights import Record, Weights, weight_shapes
from fer_jax.classifier import Classifier
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.export import run as run_export
from fer_jax.export.files import jax_predict, onnx_predict, write
from fer_jax.export.int8 import quantize_onnx
from fer_jax.export.jax_export import export_jax
from fer_jax.export.onnx import build_onnx
from fer_jax.labels import LABELS
from fer_jax.models import create_model
from fer_jax.runtime.command import plain
from fer_jax.transforms.normalize import NORMALIZATIONS, Normalization, normalization_shape
from tiny_run import run, tiny_config

TEMPERATURE = 1.7
SIZES = {
    # Blocks with and without a projection, at two sizes.
    "cnn": {"widths": (4, 8), "blocks": (2, 1), "dropout": 0.5, "dtype": "float32"},
    "cnn-full-size": {"widths": (3, 6), "blocks": (1, 1), "dropout": 0.0, "stem_stride": 1},
    "cnn-larger": {"widths": (3, 6), "blocks": (1, 1), "dropout": 0.0, "side": 60},
    "cnn-silu": {"widths": (4, 8), "blocks": (1, 1), "dropout": 0.0, "activation": "silu"},
    "mlp": {"hidden": (9, 6), "dropout": 0.5},
}
CASES = [
    ("cnn", "global"),
    ("cnn", "samplewise"),
    ("cnn-full-size", "global"),
    ("cnn-larger", "global"),
    ("cnn-larger", "samplewise"),
    ("cnn-silu", "global"),
    *(("mlp", kind) for kind in NORMALIZATIONS),
]


@functools.cache
def faces():
    """Drawn ones, and two without any contrast."""
    flat = np.stack([np.zeros((48, 48, 1), np.uint8), np.full((48, 48, 1), 201, np.uint8)])
    return np.concatenate([draw_faces(6, seed=3).images, flat])


@functools.cache
def network(name, kind):
    """Weights, all of them random, BatchNorm's statistics too."""
    model = name.split("-")[0]
    config = {"model": model, model: SIZES[name], "normalize": kind, "batch_size": 16}
    draw = np.random.default_rng(5)

    def random(path, leaf):
        last = path[-1].key
        if last in ("var", "scale"):
            return draw.uniform(0.3, 2.5, leaf.shape).astype(np.float32)
        spread = np.sqrt(2 / np.prod(leaf.shape[:-1])) if last == "kernel" else 0.2
        return draw.normal(0, spread, leaf.shape).astype(np.float32)

    variables = jax.tree_util.tree_map_with_path(random, weight_shapes(config, 7).variables)
    mean, std = draw.uniform(60, 140, (2, *normalization_shape(kind))).astype(np.float32)
    weights = Weights(variables, Normalization(mean, std), {"one": TEMPERATURE, "flip": 9.0})
    return Classifier(weights, Record(config, [], list(LABELS), {}), "random weights")


@functools.cache
def expected(name, kind):
    """Probabilities (N, 7): scaling, normalization and softmax by NumPy and SciPy, the network by Flax."""
    weights, config = network(name, kind).weights, network(name, kind).config
    scale = SIZES[name].get("side", 48) / 48
    x = zoom(faces().astype(np.float64), (1, scale, scale, 1), order=1, mode="nearest", grid_mode=True)
    if kind == "samplewise":
        std = x.std((1, 2, 3), keepdims=True)
        x = (x - x.mean((1, 2, 3), keepdims=True)) / np.where(np.isclose(std, 0), 1, std)
    else:
        x = (x - weights.normalization.mean) / weights.normalization.std
    model = create_model(config["model"], SIZES[name])
    logits = jax.jit(lambda x: model.apply(weights.variables, x, train=False))(x.astype(np.float32))
    return softmax(np.asarray(logits, np.float64) / TEMPERATURE, -1)


def check(predict, want, count):
    got = predict(faces()[:count])
    assert (got.dtype, got.shape) == (np.float32, (count, 7))
    np.testing.assert_allclose(got, want[:count], atol=1e-4)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_onnx_equals_flax(name, kind):
    """Fails when a Flax module and its graph drift apart."""
    want = expected(name, kind)
    assert want.std(0).max() > 0.02  # else any constant would do
    predict = onnx_predict(build_onnx(network(name, kind)).SerializeToString())
    for count in (1, 7, len(faces())):
        check(predict, want, count)


@pytest.mark.parametrize(
    ("name", "kind"), [("cnn", "global"), ("cnn-larger", "global"), ("mlp", "samplewise")]
)
def test_jax_export_equals_flax(name, kind):
    data = export_jax(network(name, kind))
    exported = jax.export.deserialize(bytearray(data))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    # A GPU would else multiply with the 11 bits of TF32, a TPU with the 8 of bfloat16.
    products = re.findall(r"stablehlo\.(?:convolution|dot_general).*", exported.mlir_module())
    assert products
    assert all("HIGHEST" in line for line in products)
    predict = jax_predict(data)
    for count in (1, 7):
        check(predict, expected(name, kind), count)


def test_inputs_and_outputs():
    graph = build_onnx(network("mlp", "none")).graph

    def described(values):
        return [
            (v.name, v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in shape.dim])
            for v in values
            for shape in [v.type.tensor_type.shape]
        ]

    assert described(graph.input) == [("images", 2, ["N", 48, 48, 1])]  # 2 is uint8 in ONNX, 1 float32
    assert described(graph.output) == [("probabilities", 1, ["N", 7])]


def test_a_layer_that_the_graph_does_not_know():
    classifier = network("mlp", "none")
    weights = classifier.weights
    params = weights.variables["params"] | {"Dense_9": {"bias": np.zeros(3)}}
    weights = weights._replace(variables=weights.variables | {"params": params})
    with pytest.raises(ValueError, match="does not use params/Dense_9/bias"):
        build_onnx(dataclasses.replace(classifier, weights=weights))


def test_a_network_that_onnx_export_does_not_know():
    with pytest.raises(UserError, match=r"model='vit': ONNX export knows mlp and cnn"):
        build_onnx(dataclasses.replace(network("mlp", "none"), config={"model": "vit"}))


def test_bfloat16_is_exported_in_float32():
    classifier = network("cnn", "global")
    sizes = classifier.config["cnn"] | {"dtype": "bfloat16"}
    data = export_jax(dataclasses.replace(classifier, config=classifier.config | {"cnn": sizes}))
    check(jax_predict(data), expected("cnn", "global"), 7)


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_int8_stays_near(name, capfd, caplog):
    model = build_onnx(network(name, "global" if name == "cnn" else "none")).SerializeToString()
    quantized = quantize_onnx(model, faces())
    ours, theirs = onnx_predict(model)(faces()), onnx_predict(quantized)(faces())
    assert 1e-6 < np.abs(ours - theirs).max() < 0.05
    constants = {c.name: c.data_type for c in onnx.load_from_string(quantized).graph.initializer}
    kernels = {
        n: t for n, t in constants.items() if "kernel" in n and not n.endswith(("scale", "zero_point"))
    }
    assert kernels.pop("logits/kernel") == onnx.TensorProto.FLOAT
    assert set(kernels.values()) == {onnx.TensorProto.INT8}
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.fixture(scope="module")
def trained(tmp_path_factory, trained_run):
    return trained_run(tmp_path_factory.mktemp("runs") / "mlp")


def given():
    return plain(tiny_config())


def test_a_run(trained, tmp_path, capsys):
    run("export", given(), trained, output=str(tmp_path / "out"))
    about = json.loads((tmp_path / "out" / "model.json").read_text())
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*about["files"], "model.json"])
    assert about["labels"] == list(LABELS)
    row = json.loads((trained / "metrics.jsonl").read_text().splitlines()[about["trained"]["epoch"] - 1])
    assert about["accuracy"] == {
        "split": "validation",
        "views": "one",
        "accuracy": row["val_accuracy"],
        "num_examples": 21,
    }
    # Measured anew on the same faces, by another library.
    assert about["int8"]["accuracy_of_float32"] == pytest.approx(row["val_accuracy"], abs=1.1 / 21)
    assert about["int8"]["calibrated_on"] == "70 training faces of synthetic"
    for name, figures in about["files"].items():
        assert figures["bytes"] == (tmp_path / "out" / name).stat().st_size
    assert re.search(
        r"model\.onnx +\d+ kB  differs from the checkpoint by \S+ at most", capsys.readouterr().out
    )


@pytest.mark.parametrize("name", ["tiny"])
def test_shipped(name, tmp_path, monkeypatch):
    """With int8, calibrated on drawn faces where the data set that it was trained on is not there."""
    monkeypatch.chdir(tmp_path)
    run("export", given(), tmp_path / "no-run", output="out", shipped_name=name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    about = json.loads((tmp_path / "out" / "model.json").read_text())
    # What was measured with the weights as they are in the package, not with those of the run.
    measured = shipped.read_about(name)["figures"]["validation"]["one"]["accuracy"]
    assert (about["accuracy"]["accuracy"], about["accuracy"]["num_examples"]) == (measured, 3589)
    assert about["int8"]["accuracy"] is None
    assert "fer2013.csv" in about["int8"]["reason"]
    assert about["int8"]["calibrated_on"] == "512 built-in drawn faces"
    images = draw_faces(70, seed=9).images
    whole, small = (
        onnx_predict((tmp_path / "out" / file).read_bytes())(images)
        for file in ("model.onnx", "model-int8.onnx")
    )
    assert np.mean(whole.argmax(-1) == small.argmax(-1)) > 0.9
    assert np.abs(whole - small).mean() < 0.02


def test_data_set_named_and_missing(tmp_path):
    config = given() | {"dataset": str(tmp_path / "no.csv")}
    with pytest.raises(UserError, match=r"no\.csv"):
        run(
            "export",
            config,
            tmp_path,
            overrides=["dataset"],
            output=str(tmp_path / "out"),
            shipped_name="tiny",
        )
    assert not (tmp_path / "out").exists()


def test_a_file_that_differs_is_not_written(trained, tmp_path, monkeypatch):
    def wrong(classifier):
        weights = classifier.weights
        weights = weights._replace(temperatures={"one": weights.temperature("one") * 1.1})
        return build_onnx(dataclasses.replace(classifier, weights=weights))

    monkeypatch.setattr(run_export, "build_onnx", wrong)
    with pytest.raises(UserError, match=r"model\.onnx: its probabilities differ .* nothing was written"):
        run("export", given(), trained, output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "flatbuffers"])
def test_missing_library(library, trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"needs {library}: pip install -r requirements-export\.txt"):
        run("export", given(), trained, output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_bad_requests(trained, tmp_path):
    with pytest.raises(UserError, match="--mode=export needs --output=DIR"):
        run("export", given(), trained, output=None)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file; a folder"):
        run("export", given(), trained, output=str(tmp_path / "file"))
    with pytest.raises(UserError, match="file: is a file; a folder"):
        run("export", given(), trained, output=str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match=r"config\.views is 'flip'; .* one view"):
        run("export", given() | {"views": "flip"}, trained, overrides=["views"], output=str(tmp_path / "out"))
    (tmp_path / "seed-3").mkdir()
    with pytest.raises(UserError, match=r"several seeds; .* --workdir=.*seed-3"):
        run("export", given(), tmp_path, output=str(tmp_path / "out"))
    with pytest.raises(UserError, match="no checkpoint there"):
        run("export", given(), tmp_path / "nothing", output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_write_all_or_none(tmp_path):
    """An earlier network's int8 file does not stay beside another network's files."""
    write(tmp_path, {"model.onnx": b"1", "model-int8.onnx": b"1"})
    write(tmp_path, {"model.onnx": b"2"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"model.onnx": b"2"}
    with pytest.raises(UserError):
        write(tmp_path, {"model.onnx": b"3", "no/such/folder": b"3"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"model.onnx": b"2"}


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "views"), [("cnn", "zoom"), ("best", "flip")])
def test_shipped_larger_networks(name, views, tmp_path, capsys):
    """No int8; one view is said where the run is evaluated with several."""
    run("export", given(), tmp_path / "no-run", output=str(tmp_path), shipped_name=name)
    assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", "model.jax_export", "model.json"}
    assert f"views={views}" in capsys.readouterr().out


def test_snippets_of_the_documentation(trained, tmp_path, monkeypatch, capsys):
    """Both give the same figures."""
    text = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    Image.fromarray(draw_faces(1, seed=0).images[0, ..., 0]).save(tmp_path / "face.png")
    monkeypatch.chdir(tmp_path)
    run("export", given(), trained, output="exported")
    capsys.readouterr()
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    printed = []
    for snippet in snippets:
        exec(snippet, {})
        printed.append(capsys.readouterr().out)
    assert len(printed) == 2
    assert printed[0] == printed[1]
    assert re.fullmatch(r"\[\[(0?\.\d* *){7}\]\]\n", printed[0])
