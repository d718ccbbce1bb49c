"""What a run prints while it trains: numbers of one and many, bars only where they tell something."""

import numpy as np

from fer_jax.data.faces import Splits
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.runtime.progress import EpochProgress
from fer_jax.train import announce
from fer_jax.train.epochs import Epochs
from fer_jax.train.loop import Plan

ROW = {"train_loss": 1.5, "train_accuracy": 0.4, "val_loss": 1.6, "val_accuracy": 0.3}


def printed_of(faces, capsys):
    announce.data("some.csv", Splits(faces, faces, None), 0.1)
    return capsys.readouterr().out


def test_bars_of_classes(capsys):
    faces = draw_faces(70, seed=0)
    assert printed_of(faces, capsys).endswith("\n  10 training faces of each of 7 classes\n")
    faces = draw_faces(205, seed=0)
    assert printed_of(faces, capsys).endswith("\n  29 to 30 training faces of each of 7 classes\n")
    rare = faces.take((faces.labels != 1) | (np.arange(205) < 28))
    lines = printed_of(rare, capsys).splitlines()[-7:]
    bars = {line.split()[0]: line.count("█") for line in lines}
    counts = np.bincount(rare.labels, minlength=7)
    assert bars["disgust"] == round(40 * counts[1] / counts.max()) < 10
    assert bars["happy"] >= 38


def test_one_and_many(tmp_path, capsys):
    plan = Plan(Epochs(1), batch_size=16, order=None, step_key=None)
    announce.training(plan, 20, 48, tmp_path)
    assert "training: 1 epoch of 1 step; writes" in capsys.readouterr().out
    announce.training(plan._replace(epochs=Epochs(2)), 32, 48, tmp_path)
    assert "training: 2 epochs of 2 steps; writes" in capsys.readouterr().out


def test_line_of_an_epoch(capsys):
    """It names the image size where sizes grow, and says that its time is that of all epochs so far."""
    sizes = {None: "epoch  3/20  training: ", 32: "epoch  3/20 at 32 pixels  training: "}
    for size, expected in sizes.items():
        progress = EpochProgress(
            epoch=3, epochs=20, steps=5, batch_size=16, epochs_left=17.0, image_size=size
        )
        progress.close(ROW | {"images_per_second": 100.0, "seconds": 75.0})
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(expected)
        assert line.endswith("100 images/s, 1:15 min in all")
