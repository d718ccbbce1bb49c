"""The curves of a run: whose they are, and where its image size changes."""

import json

import pytest

from configs import best, cnn
from fer_jax.evaluate import plots
from fer_jax.runtime.command import make_command, plain
from fer_jax.train import outputs
from fer_jax.train.epochs import Epochs, image_size_of, size_changes
from fer_jax.train.recipe import epochs_of
from tiny_run import run_training, tiny_config

ROW = {"train_loss": 1.5, "train_accuracy": 0.4, "val_loss": 1.6, "val_accuracy": 0.3}


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be written."""
    figures = []
    for module in (outputs, plots):
        monkeypatch.setattr(module, "save_figure", lambda figure, path: figures.append(figure))
    return figures


def curves(workdir, drawn, config, epochs):
    workdir.mkdir(parents=True)
    (workdir / "config.json").write_text(json.dumps(config))
    outputs.save_curves(workdir / "curves.png", [ROW | {"epoch": n + 1} for n in range(epochs)])
    return drawn.pop()


@pytest.mark.parametrize("sizes", [(48,), (32, 48), (32, 32, 40, 48), (48, 32, 48)])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 20])
def test_where_the_size_changes(sizes, count):
    """Against the size of every epoch."""
    epochs = Epochs(count, image_sizes=sizes)
    each = {epoch: image_size_of(epoch, epochs) for epoch in range(1, count + 1)}
    expected = {epoch: size for epoch, size in each.items() if size != each.get(epoch - 1)}
    assert size_changes(epochs) == (expected if len(expected) > 1 else {})


def test_built_in_faces_have_their_full_size():
    """From the first epoch on: what smaller faces would teach looks like a failed network at full size."""

    def sizes(mode, config, *overrides):
        flags = {"overrides": overrides, "input": None, "output": None, "probabilities": False}
        return epochs_of(make_command(mode, config, name="x", workdir=None, **flags).config).image_sizes

    for config in (cnn.get_config(), best.get_config()):
        grown = tuple(config.train_sides)
        assert len(set(grown)) > 1
        assert sizes("train", config) == (config.cnn.side,)
        assert sizes("train", config, "train_sides") == grown
        config.dataset = "fer2013.csv"
        assert sizes("train", config) == grown


def test_curves_name_the_run_and_mark_its_sizes(tmp_path, drawn):
    config = plain(cnn.get_config()) | {"dataset": "/home/me/fer2013.csv", "epochs": 8}
    figure = curves(tmp_path / "runs" / "cnn", drawn, config, 8)
    assert figure.get_suptitle() == "runs/cnn, fer2013.csv"
    for axis in figure.axes:
        assert [text.get_text() for text in axis.texts] == ["32 px", "40 px", "48 px"]
        assert [text.xy[0] for text in axis.texts] == [0.5, 4.5, 6.5]
    # Only what has been trained.
    assert len(curves(tmp_path / "runs" / "half", drawn, config, 4).axes[0].texts) == 1
    full = config | {"dataset": "synthetic", "train_sides": [48]}
    figure = curves(tmp_path / "runs" / "seeds" / "seed-1", drawn, full, 8)
    assert figure.get_suptitle() == "seeds/seed-1, built-in faces"
    assert not figure.axes[0].texts


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"dataset": 1}'])
def test_curves_without_a_config(tmp_path, drawn, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    outputs.save_curves(tmp_path / "curves.png", [ROW | {"epoch": 1}])
    assert drawn[0].get_suptitle() == ""


def test_confusion_matrix_names_the_run(tmp_path, drawn):
    run_training(tiny_config(epochs=1), tmp_path / "runs" / "mine")
    titles = [axis.get_title() for figure in drawn for axis in figure.axes]
    assert any(title.startswith("runs/mine, built-in faces\nvalidation: ") for title in titles)
    assert any(title == "runs/mine, built-in faces\nvalidation, views: one" for title in titles)


def test_all_layers_are_in_a_file(tmp_path, no_plots, capsys):
    run_training(tiny_config(epochs=1), tmp_path)
    table = (tmp_path / "network.txt").read_text()
    assert "2304 x 8" in table
    assert "all layers are in network.txt" in capsys.readouterr().out
