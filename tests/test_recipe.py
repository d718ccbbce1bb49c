"""What a run trains with, by its config and its machine."""

import json

import jax
import pytest

from configs import cnn
from fer_jax.checkpoints import choose
from fer_jax.data.load import load_dataset
from fer_jax.runtime.command import plain
from fer_jax.train.recipe import with_sides_for
from tiny_run import TINY, run


def tiny_cnn(sides):
    """A config of a small network that takes faces of any size."""
    config = cnn.get_config()
    small = {"cnn.widths": (4,), "cnn.blocks": (1,), "epochs": 1, "train_sides": sides}
    config.update_from_flattened_dict({k: v for k, v in TINY.items() if "mlp" not in k} | small)
    return config


def test_only_a_cpu_trains_at_smaller_sizes():
    config = plain(tiny_cnn((24, 48)))
    assert with_sides_for(config, ("epochs",), "cpu") == config
    for platform in ("gpu", "tpu"):
        assert with_sides_for(config, ("epochs",), platform) == config | {"train_sides": [48]}
        assert with_sides_for(config, ("epochs", "train_sides"), platform) == config
    assert config["train_sides"] == [24, 48]
    config["cnn"]["side"] = 64
    assert with_sides_for(config, (), "gpu")["train_sides"] == [64]


@pytest.mark.nightly
def test_a_gpus_run_says_so_first_and_saves_it(tmp_path, capsys, monkeypatch, no_plots):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    run("train", tiny_cnn((24, 48)), tmp_path)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("training at 48 pixels throughout: on a GPU")
    assert first.endswith("'--config.train_sides=(24, 48)'")
    assert json.loads((tmp_path / "config.json").read_text())["train_sides"] == [48]


def test_trains_and_scores_at_the_networks_own_side(tmp_path, capsys, no_plots):
    config = tiny_cnn((56,))
    config.cnn.side = 56
    run("train", config, tmp_path)
    assert "on faces of" not in capsys.readouterr().out  # which would say that validation has other pixels
    trained = choose.load(str(tmp_path))
    assert trained.model.side == 56
    validation = load_dataset(plain(config)).validation
    right = trained.predict(validation.images).argmax(1) == validation.labels
    assert right.mean() == pytest.approx(trained.row["val_accuracy"], abs=1e-6)


@pytest.mark.nightly
def test_a_gpus_run_at_sizes_of_the_command(tmp_path, capsys, monkeypatch, no_plots):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    run("train", tiny_cnn((48, 48)), tmp_path, overrides=["train_sides"])
    assert "throughout" not in capsys.readouterr().out
    assert json.loads((tmp_path / "config.json").read_text())["train_sides"] == [48, 48]
