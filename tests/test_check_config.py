"""Checking the values of a command's config."""

import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from configs import best, cnn, cnn_muon, default, mlp, plus, tiny
from fer_jax.check_config import CHOICES, check_config
from fer_jax.data import detectors
from fer_jax.errors import UserError
from fer_jax.models import MODELS
from fer_jax.models.cnn import ACTIVATIONS
from fer_jax.runtime.command import plain
from fer_jax.train.optimizer import OPTIMIZERS, SCHEDULES
from fer_jax.transforms.augment import FILL_MODES
from fer_jax.transforms.normalize import NORMALIZATIONS
from fer_jax.transforms.views import VIEWS


def test_choices_are_those_of_the_factories():
    """The check needs no JAX, so it has a list of its own."""
    assert CHOICES["model"] == tuple(MODELS)
    assert CHOICES["cnn.activation"] == tuple(ACTIVATIONS)
    assert CHOICES["optimizer"] == OPTIMIZERS
    assert CHOICES["schedule"] == SCHEDULES
    assert CHOICES["augmentation.fill_mode"] == FILL_MODES
    assert CHOICES["normalize"] == NORMALIZATIONS
    assert CHOICES["views"] == VIEWS


@pytest.mark.parametrize("module", [best, cnn, cnn_muon, mlp, plus, tiny])
def test_our_own_configs_are_good(module):
    check_config(plain(module.get_config()))


@pytest.mark.parametrize("name", ["", *detectors.NAMES, "~/nets/Yunet.ONNX"])
def test_detectors_that_there_are(name):
    check_config(plain(mlp.get_config()) | {"detector": name, "faces": "whole"})


def test_faces_may_be_scaled_to_what_the_stages_halve():
    config = plain(cnn.get_config()) | {"train_sides": [36, 48]}
    with pytest.raises(UserError, match=r"^config.train_sides is \[36, 48\]; expected multiples of 8, "):
        check_config(config)
    config["cnn"]["stem_stride"] = 1
    check_config(config)


def test_a_network_may_see_larger_faces():
    config = plain(cnn.get_config()) | {"train_sides": [48, 64]}
    with pytest.raises(UserError, match=r"^config.train_sides is .* at most 48, which is cnn.side$"):
        check_config(config)
    config["cnn"]["side"] = 64
    check_config(config)
    pixelwise = config | {"normalize": "pixelwise", "train_sides": [48]}
    with pytest.raises(UserError, match=r"^config.cnn.side is 64; expected 48 where normalize is pixelwise"):
        check_config(pixelwise)
    with pytest.raises(UserError, match=r"^config.cnn.side is 60; expected a multiple of 8 from 48 to 224$"):
        check_config(config | {"cnn": config["cnn"] | {"side": 60}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("augmentation.fill_mode", "mirror"),
        ("augmentation.zoom_range", -0.1),
        ("synthetic.num_train", 0),
        ("mlp.dropout", 1.0),
        ("learning_rate", float("nan")),
        ("mlp.hidden", []),
        ("mlp.hidden", [8, 0]),
        ("mlp.hidden", ["a"]),
        ("cnn.widths", [32]),
        ("cnn.stem_stride", 3),
        ("cnn.activation", "tanh"),
        ("optimizer", "rmsprop"),
        ("momentum", 1.0),
        ("train_sides", [32]),
        ("train_sides", []),
        ("mixup_alpha", -0.1),
        ("cutmix_alpha", -0.1),
        ("teacher_share", 1.1),
        ("vote_share", 0.5),  # of no votes
        ("teacher_votes_share", -0.1),
        ("schedule", "step"),
        ("seeds", 0),
        ("nonfinite", "ignore"),
        ("detector", "mtccn"),
        ("detector", "net.pb"),
        ("faces", "all"),
    ],
)
def test_bad_values_are_named(name, value):
    config = plain(mlp.get_config())
    group, _, field = name.rpartition(".")
    (config[group] if group else config)[field] = value
    # Of two lists that must be as long as each other, either may be named.
    with pytest.raises(UserError, match=r"^config\." + name.replace("widths", "(widths|blocks)")):
        check_config(config)


def numbers():
    fields = flatten_dict(plain(default.get_config()), sep=".")
    return [name for name, value in fields.items() if type(value) in (int, float)]


@pytest.mark.parametrize("name", numbers())
def test_every_number_has_an_upper_bound(name):
    """A few zeros too many are refused at once: loops, memory and drawing would take them at their word."""
    fields = flatten_dict(plain(default.get_config()), sep=".")
    fields[name] = type(fields[name])(2**63)
    with pytest.raises(UserError, match=r"^config\.(seed|" + name + r") is "):
        check_config(unflatten_dict(fields, sep="."))
