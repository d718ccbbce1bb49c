"""Exported graphs against the Flax network: every layer, every normalization, any number of faces."""

import importlib.util
import json

import jax
import numpy as np
import pytest

from fer_jax import run_evaluate, run_export, workdir
from fer_jax.checkpoint import Weights, weight_shapes
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic import draw_faces
from fer_jax.errors import UserError
from fer_jax.export_jax import to_jax_export
from fer_jax.export_onnx import to_onnx
from fer_jax.preprocess import NORMALIZATIONS, Normalization
from fer_jax.quantize import quantize
from fer_jax.run_export import run_jax_export, run_onnx
from tiny_run import tiny_config

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -r requirements-export.txt")
FACES = draw_faces(7, seed=3).images
CNN = {"model": "cnn", "cnn.widths": (3, 5, 4), "cnn.blocks": (1, 2, 1)}


def network(**changes):
    """A network with random weights and statistics of BatchNorm, and its config."""
    config = workdir.plain(tiny_config(**changes))
    draw = np.random.default_rng(0)
    shapes = weight_shapes(config)
    variables = jax.tree.map(
        lambda leaf: draw.normal(0, 0.3, leaf.shape).astype(np.float32), shapes.variables
    )
    variables["batch_stats"] = jax.tree.map(lambda x: np.abs(x) + 0.5, variables["batch_stats"])
    mean, std = draw.uniform(20, 90, (2, *shapes.normalization.mean.shape)).astype(np.float32)
    return Weights(variables, Normalization(mean, std), temperature=1.3), config


def expected(weights, config, faces):
    return run_evaluate.make_predictor(weights, config, views="one")(faces, len(faces))


@pytest.mark.parametrize(
    "changes",
    [CNN | {"normalize": kind} for kind in NORMALIZATIONS if kind != "pixelwise"]
    + [{"mlp.hidden": (6, 5), "normalize": "pixelwise"}],
    ids=lambda changes: f"{changes.get('model', 'mlp')}-{changes['normalize']}",
)
def test_onnx_is_the_network(changes):
    weights, config = network(**changes)
    run = run_onnx(to_onnx(weights, config).SerializeToString())
    # A face without contrast has no deviation to divide by.
    faces = np.concatenate([FACES[:6], np.full((1, 48, 48, 1), 77, np.uint8)])
    probabilities = expected(weights, config, faces)
    assert np.ptp(probabilities, axis=0).max() > 0.01
    np.testing.assert_allclose(run(faces), probabilities, atol=1e-4)
    np.testing.assert_allclose(run(faces[2:3]), probabilities[2:3], atol=1e-4)


@pytest.mark.parametrize("changes", [CNN, {}], ids=["cnn", "mlp"])
def test_serialized_function_is_the_network(changes):
    pytest.importorskip("flatbuffers", reason="pip install -r requirements-export.txt")
    weights, config = network(**changes)
    content = to_jax_export(weights, config)
    run = run_jax_export(content)
    probabilities = expected(weights, config, FACES)
    np.testing.assert_allclose(run(FACES), probabilities, atol=1e-4)
    np.testing.assert_allclose(run(FACES[2:3]), probabilities[2:3], atol=1e-4)
    assert set(jax.export.deserialize(bytearray(content)).platforms) == {"cpu", "cuda", "tpu"}


def test_int8_graph_is_small_and_near():
    weights, config = network(**CNN | {"cnn.widths": (8, 16, 32)})
    model = to_onnx(weights, config)
    content = quantize(model, draw_faces(64, seed=1).images)
    kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert len(content) < 0.5 * len(model.SerializeToString())
    ours, exact = run_onnx(content)(FACES), run_onnx(model.SerializeToString())(FACES)
    assert np.abs(ours - exact).mean() < 0.05


def export(where, output, *, overrides=(), shipped_name=None, **changes):
    given = workdir.plain(tiny_config(**changes))
    run_export.export(where, given, list(overrides), output, shipped_name=shipped_name)


def test_shipped_tiny(tmp_path, capsys):
    """All four files, from the weights that come with the package, and what they say of themselves."""
    export(tmp_path / "none", str(tmp_path / "out"), shipped_name="tiny")
    out = tmp_path / "out"
    names = sorted(path.name for path in out.iterdir())
    assert names == ["model-int8.onnx", "model.jax_export", "model.json", "model.onnx"]
    about = json.loads((out / "model.json").read_text())
    assert about["parameters"] <= 100_000
    assert about["input"] == {"name": "images", "dtype": "uint8", "shape": ["N", 48, 48, 1]}
    assert about["labels"][3] == "happy"
    assert about["int8"]["accuracy"] is None
    assert "fer2013.csv.gz is not at hand" in capsys.readouterr().out
    for name in ("model.onnx", "model-int8.onnx"):
        probabilities = run_onnx((out / name).read_bytes())(FACES)
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_int8_accuracy_is_measured_where_the_data_are(tmp_path):
    write_homework_csv(tmp_path / "faces.csv", draw_faces(140, seed=1))
    output = tmp_path / "out"
    arguments = {"overrides": ["dataset"], "dataset": str(tmp_path / "faces.csv")}
    export(tmp_path / "none", str(output), shipped_name="tiny", **arguments)
    about = json.loads((output / "model.json").read_text())["int8"]
    assert 0 < about["accuracy"] <= 1
    assert abs(about["accuracy"] - about["accuracy_of_float32"]) < 0.2
    with pytest.raises(UserError, match=r"missing\.csv"):
        export(
            tmp_path / "none",
            str(tmp_path / "not"),
            shipped_name="tiny",
            overrides=["dataset"],
            dataset=str(tmp_path / "missing.csv"),
        )
    assert not (tmp_path / "not").exists()


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="--output=DIR"):
        export(tmp_path, None, shipped_name="tiny")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    with pytest.raises(UserError, match=r"needs onnx: pip install -r requirements-export\.txt"):
        export(tmp_path, str(tmp_path / "out"), shipped_name="tiny")
    assert not (tmp_path / "out").exists()


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    wrong = to_onnx(*network(**CNN))
    monkeypatch.setattr(run_export, "to_onnx", lambda weights, config: wrong)
    with pytest.raises(UserError, match=r"model.onnx differs from the checkpoint by .*; nothing was written"):
        export(tmp_path / "none", str(tmp_path / "out"), shipped_name="tiny")
    assert not (tmp_path / "out").exists()
