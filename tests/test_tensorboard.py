"""Event files for TensorBoard, read back record by record."""

import struct
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event

from fer_jax.errors import UserError
from tiny_run import read_rows, run_training, tiny_config


def scalars(folder):
    """(tag, epoch, value) of all records: a length, its checksum, an event, its checksum."""
    found = []
    for path in folder.glob("events.out.tfevents.*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    return found


@pytest.mark.nightly
def test_a_resumed_run_has_each_epoch_once(tmp_path):
    run_training(tiny_config(tensorboard=True), tmp_path)
    run_training(tiny_config(tensorboard=True, epochs=3), tmp_path)
    found = scalars(tmp_path / "tensorboard")
    for tag, field in (
        ("loss/train", "train_loss"),
        ("accuracy/val", "val_accuracy"),
        ("images_per_second", "images_per_second"),
    ):
        expected = [(row["epoch"], row[field]) for row in read_rows(tmp_path)]
        values = [(epoch, value) for name, epoch, value in found if name == tag]
        assert [epoch for epoch, _ in values] == [1, 2, 3]
        assert [v for _, v in values] == pytest.approx([v for _, v in expected])


def test_off_by_default(tmp_path, trained_run):
    trained_run(tmp_path, epochs=1)
    assert not (tmp_path / "tensorboard").exists()


def test_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-tensorboard\.txt"):
        run_training(tiny_config(tensorboard=True), tmp_path)
