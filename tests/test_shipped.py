"""Weights that come with the package: written, read back, refused when damaged, chosen when due."""

import functools
import json

import jax
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax import pack_weights
from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.choose import choose, propose_for_photos
from fer_jax.checkpoints.restore import has_checkpoint, load_best
from fer_jax.checkpoints.weights import Record, Weights
from fer_jax.data.load import load_dataset
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.models import create_model, init_variables
from fer_jax.runtime.command import plain
from fer_jax.transforms.normalize import Normalization
from fer_jax.transforms.views import VIEWS
from tiny_run import command, run, run_training, tiny_config

CONFIG = plain(tiny_config())
FIGURES = {"parameters": 1}


@functools.cache
def weights():
    """Random ones, of an MLP."""
    model = create_model("mlp", CONFIG["mlp"])
    draw = np.random.default_rng(0)
    shapes = init_variables(model, jax.random.key(0))
    variables = jax.tree.map(lambda x: draw.normal(size=x.shape).astype(np.float32), shapes)
    mean, std = draw.uniform(1, 9, (2, 48, 48, 1)).astype(np.float32)
    return Weights(variables, Normalization(mean, std), {"flip": 1.25})


def save(folder, name="mlp", **changes):
    row = {"epoch": 3, "step": 12, "val_accuracy": 0.5, "seconds": 1.0}
    record = Record(CONFIG | changes, [row], list(LABELS), {"digest": "d"})
    shipped.write(name, weights(), record, FIGURES, folder)
    return folder


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """A package whose only weights are the random ones, named mlp."""
    monkeypatch.setattr(shipped, "FOLDER", save(tmp_path / "weights"))
    return tmp_path


def test_round_trip(tmp_path):
    found = shipped.read("mlp", save(tmp_path))
    loaded, row = found.weights, found.row
    assert found.record == Record(CONFIG, [row], list(LABELS), {"digest": "d"})
    assert (row["epoch"], loaded.temperature("flip"), loaded.temperature("one")) == (3, 1.25, 1)
    assert jax.tree.structure(loaded) == jax.tree.structure(weights())
    for read, written in zip(jax.tree.leaves(loaded), jax.tree.leaves(weights()), strict=True):
        # A kernel's numbers have five bits, to nearest; what is no kernel is kept to the last bit.
        exact = np.ndim(written) <= 1 or np.shape(written) == (48, 48, 1)
        np.testing.assert_allclose(read, written, rtol=0 if exact else 2**-5, atol=0 if exact else 1e-7)
        if not exact:
            bits = np.frexp(read)[0] * 2**5
            np.testing.assert_array_equal(bits, np.round(bits))


def test_what_is_measured_is_what_is_written(tmp_path):
    loaded = shipped.read("mlp", save(tmp_path)).weights
    for read, rounded in zip(
        jax.tree.leaves(loaded), jax.tree.leaves(shipped.round_to_shipped(weights())), strict=True
    ):
        np.testing.assert_array_equal(read, rounded)


def test_unknown_name(tmp_path):
    with pytest.raises(UserError, match=r"vgg: no such run, and no weights of this name .* \(mlp\)"):
        shipped.read("vgg", save(tmp_path))


def test_damaged_file(tmp_path):
    path = save(tmp_path) / "mlp.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"mlp.npz: damaged"):
        shipped.read("mlp", tmp_path)


def test_flipped_bits(tmp_path):
    """Each is either told of or makes no difference that NumPy sees."""
    path = save(tmp_path) / "mlp.npz"
    whole, refused = path.read_bytes(), 0
    for place in np.random.default_rng(0).integers(0, len(whole), 100):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            shipped.read("mlp", tmp_path)
        except UserError:
            refused += 1
    assert refused > 0


def test_pickled_objects_are_refused(tmp_path):
    save(tmp_path)
    np.savez(tmp_path / "mlp.npz", params=np.array([{"code": 1}], dtype=object))
    with pytest.raises(UserError, match=r"mlp.npz: damaged .*allow_pickle"):
        shipped.read("mlp", tmp_path)


def test_arrays_of_another_shape(tmp_path):
    save(tmp_path, mlp={"hidden": [9], "dropout": 0.0})
    with pytest.raises(UserError, match=r"mlp.npz: .*/.* is .*, expected "):
        shipped.read("mlp", tmp_path)


def chosen(where, name):
    return choose(command("predict", tiny_config(), where, shipped_name=name))


def test_chosen_without_a_checkpoint_only(ours, trained_run):
    where = ours / "runs" / "mlp"
    title = chosen(where, "mlp").title
    assert title == "fer_jax/weights/mlp.npz, which comes with fer_jax, epoch 3, trained on synthetic"
    assert not where.exists()
    with pytest.raises(UserError, match="no checkpoint there"):
        chosen(where, None)
    with pytest.raises(UserError, match="no checkpoint there"):
        chosen(where, "another")
    # A run that has got no further, or whose checkpoints are damaged, is no reason to take others.
    where.mkdir(parents=True)
    (where / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no checkpoint there"):
        chosen(where, "mlp")
    (where / "config.json").unlink()
    trained_run(where, epochs=1)
    assert chosen(where, "mlp").title == f"{where}, epoch 1, trained on synthetic"


def test_predict_and_eval(ours, capsys):
    faces = draw_faces(21, seed=2)
    write_homework_csv(ours / "faces.csv", faces)
    given, where = plain(tiny_config()), ours / "runs" / "mlp"
    paths = {"input": str(ours / "faces.csv"), "output": str(ours / "out.csv")}
    run("predict", given, where, probabilities=True, shipped_name="mlp", **paths)
    chances = pd.read_csv(ours / "out.csv")[list(LABELS)].to_numpy()
    loaded = shipped.round_to_shipped(weights())
    logits = create_model("mlp", CONFIG["mlp"]).apply(
        loaded.variables,
        (faces.images.astype(np.float32) - loaded.normalization.mean) / loaded.normalization.std,
        train=False,
    )
    np.testing.assert_allclose(chances, jax.nn.softmax(logits / 1.25), atol=2e-5)
    np.testing.assert_allclose(fer_jax.load("mlp").predict(faces.images), chances, atol=2e-5)

    given["dataset"] = str(ours / "faces.csv")
    run("eval", given, where, overrides=["dataset"], shipped_name="mlp")
    assert json.loads((where / "eval" / "metrics.json").read_text())["num_examples"] == 21
    assert "trained on other faces" in capsys.readouterr().out
    assert not has_checkpoint(where)


def test_load_says_what_there_is(ours):
    with pytest.raises(UserError, match=r"vgg: no such run, .* \(mlp\)"):
        fer_jax.load("vgg")


@pytest.mark.nightly
def test_pack(tmp_path, trained_run):
    """The best checkpoint of a run, with temperatures that lower the losses."""
    where = trained_run(tmp_path / "run", views="flip")
    figures = pack_weights.pack(where, "mine", tmp_path)
    found = shipped.read("mine", tmp_path)
    row = found.row
    assert row == load_best(where).row
    assert figures["parameters"] == 2304 * 8 + 8 * 7 + 7 + 16
    faces = load_dataset(plain(tiny_config())).validation
    for views in VIEWS:
        result = figures["validation"][views]
        assert result["loss"] <= result["loss_before_temperature"]
        chances = found.predict(faces.images, views=views)
        loss = -np.log(chances[np.arange(len(faces)), faces.labels]).mean()
        assert loss == pytest.approx(result["loss"], rel=1e-3)
    assert figures["validation"]["one"]["accuracy"] == pytest.approx(row["val_accuracy"], abs=1 / 21)
    chances = found.predict(pack_weights.check_faces(), views="one")
    np.testing.assert_allclose(chances, figures["synthetic_probabilities"], atol=1e-5)


@pytest.mark.nightly
def test_packed_names_are_no_paths(ours):
    """Of the data set, whose name may have commas, and of each of several teachers."""
    data = ours / "some, folder" / "faces, all.csv"
    data.parent.mkdir()
    write_homework_csv(data, draw_faces(70, seed=2))
    run_training(tiny_config(epochs=1, dataset=str(data)), ours / "a")
    found = load_best(ours / "a")
    shipped.write("other", found.weights, found.record, FIGURES, ours / "weights")
    teachers = f"{ours / 'a'}, other"
    config = tiny_config(epochs=1, dataset=str(data), teacher=teachers, initial_weights=teachers)
    run_training(config, ours / "b")
    pack_weights.pack(ours / "b", "mine", ours)
    config = shipped.read("mine", ours).record.config
    assert (config["dataset"], config["teacher"], config["initial_weights"]) == (
        "faces, all.csv",
        "a,other",
        "a,other",
    )


@pytest.mark.parametrize(
    "name", ["tiny", *(pytest.param(n, marks=pytest.mark.nightly) for n in shipped.names() if n != "tiny")]
)
def test_ours_give_the_recorded_probabilities(name):
    """What was recorded when the file was made, to the differences between machines."""
    chances = shipped.read(name).predict(pack_weights.check_faces(), views="one")
    recorded = shipped.read_about(name)["figures"]["synthetic_probabilities"]
    np.testing.assert_allclose(chances, recorded, atol=1e-3)
    assert (shipped.FOLDER / f"{name}.npz").stat().st_size < 20e6


def test_cut_files_are_one_line(tmp_path):
    """As a disk that was full leaves them."""
    shipped.write("name", weights(), Record(CONFIG, [{"epoch": 1}], list(LABELS), {}), FIGURES, tmp_path)
    for suffix in (".json", ".npz"):
        path = tmp_path / f"name{suffix}"
        whole = path.read_bytes()
        path.write_bytes(whole[:50])
        with pytest.raises(UserError, match=rf"^{path}: damaged \(.*\); install fer_jax again$"):
            shipped.read("name", tmp_path)
        path.write_bytes(whole)
    shipped.read("name", tmp_path)


@pytest.mark.parametrize(("name", "proposed"), [("best", True), ("plus", False), (None, False)])
def test_the_weights_for_photos_are_proposed(tmp_path, capsys, name, proposed):
    propose_for_photos(command("predict", tiny_config(), tmp_path, shipped_name=name))
    assert ("--config=plus" in capsys.readouterr().out) == proposed
