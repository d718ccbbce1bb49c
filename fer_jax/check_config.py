"""Check the value of every config field once, before anything is read or written.

It imports no JAX, so a wrong value is reported at once. A test compares the choices with the factories'.
"""

import functools
import operator
from typing import Any

from fer_jax.data.class_names import NUMBERINGS
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.runtime.command import side_of_network

CHOICES = {
    "model": ("mlp", "cnn"),
    "optimizer": ("adam", "sgd", "muon"),
    "schedule": ("cosine", "one_cycle"),
    "normalize": ("none", "pixelwise", "global", "samplewise"),
    "balance": ("none", "weights", "sampling"),
    "augmentation.fill_mode": ("constant", "nearest", "reflect", "wrap"),
    "cnn.dtype": ("float32", "bfloat16"),
    "cnn.stem_stride": (1, 2),
    "cnn.activation": ("relu", "silu"),
    "vote_target": ("majority", "probability"),
    "views": ("one", "flip", "zoom", "ten_crop"),
    "split": ("validation", "test"),
    "nonfinite": ("stop", "skip"),
}
"""Field -> its possible values."""

_BELOW_ONE = (
    "validation_fraction",
    "label_smoothing",
    "ema_decay",
    "momentum",
    "cnn.dropout",
    "mlp.dropout",
    "augmentation.zoom_range",
)
_MOST_EPOCHS = 1_000_000
_MOST_DRAWN = 1_000_000
"""Drawn faces; so many take 2.3 GB."""
_MOST_LAYERS = 100
_LARGEST_SIDE = 224

# Nobody needs more. A number with some zeros too many is refused at once, not after minutes or by the kernel.
_COUNTS = {
    "batch_size": 1_000_000,
    "epochs": _MOST_EPOCHS,
    "seeds": 1_000,
    "synthetic.num_train": _MOST_DRAWN,
    "synthetic.num_validation": _MOST_DRAWN,
}
_FROM_ZERO = {
    "learning_rate": 1_000_000,
    "warmup_epochs": _MOST_EPOCHS,
    "weight_decay": 1_000_000,
    "clip_norm": 1_000_000_000,
    "mixup_alpha": 1_000,
    "cutmix_alpha": 1_000,
    "patience": _MOST_EPOCHS,
    "checkpoint_minutes": 1_000_000,
    "seed": 2**63 - 1,
    "synthetic.num_test": _MOST_DRAWN,
    "augmentation.rotation_range": 360,
    "augmentation.width_shift_range": SIDE,
    "augmentation.height_shift_range": SIDE,
    "augmentation.brightness_range": 10,
    "augmentation.contrast_range": 10,
    "num_processes": 1_000_000,
    "video.frames_per_second": 1_000,
    "video.smoothing": 3_600,
}
_SIZES = {"cnn.widths": 65_536, "cnn.blocks": 1_000, "mlp.hidden": 1_000_000}
PROCESS_FIELDS = ("coordinator_address", "num_processes", "process_id")
"""Fields that say which process this is, in the order of ``distributed.joined``."""


def check_config(config: dict[str, Any]) -> None:
    """Check each field. Raises UserError, which names the field and what it may be."""
    for name, choices in CHOICES.items():
        _require(config, name, choices.__contains__, f"one of {', '.join(map(str, choices))}")
    for name, most in _COUNTS.items():
        _require(config, name, lambda v, most=most: 1 <= v <= most, f"1 to {most:,}")
    for name in _BELOW_ONE:
        _require(config, name, lambda v: 0 <= v < 1, "0 or more, and below 1")
    for name in ("augmentation.erasing_probability", "teacher_share", "vote_share", "teacher_votes_share"):
        _require(config, name, lambda v: 0 <= v <= 1, "0 to 1")
    for name, most in _FROM_ZERO.items():
        _require(config, name, lambda v, most=most: 0 <= v <= most, f"0 to {most:,}")
    for name, most in _SIZES.items():
        expected = f"whole numbers from 1 to {most:,}, at most {_MOST_LAYERS} of them"
        _require(config, name, lambda v, most=most: _are_counts(v, most), expected)
    highest = 2**63 - config["seeds"]
    _require(config, "seed", lambda v: v <= highest, "seeds below 2 to the power of 63")
    _require(config, "serve.host", lambda v: v != "", "an address, as 127.0.0.1")
    _require(config, "serve.port", lambda v: 0 <= v <= 65535, "0 to 65535")
    _require(config, "detector", _is_detector, "mtcnn, haar, the path of an .onnx file, or nothing")
    _require(config, "faces", lambda v: v in ("", "whole"), "whole, or nothing")
    if config["mixup_alpha"]:
        _require(config, "cutmix_alpha", lambda v: v == 0, "0 where mixup_alpha is above 0")
    _check_stages(config)
    _require(config, "synthetic.seed", lambda v: v < 2**63, "a seed below 2 to the power of 63, or -1")
    _require(config, "process_id", lambda v: v < 1_000_000, "the number of a process, from 0")
    if config["classes"]:
        _check_classes(config)
    if not config["votes"]:
        _require(config, "vote_share", lambda v: v == 1, "1.0 where config.votes is not set")
    else:
        expected = "no file where config.votes is set, which then are the labels"
        _require(config, "teacher_votes", lambda v: not v, expected)
    if config["distributed"]:
        _check_processes(config)


def _check_classes(config: dict[str, Any]) -> None:
    """Check that the classes are a numbering that is known, or a list of names."""
    names = [name.strip() for name in config["classes"].split(",")]
    known = ", ".join(NUMBERINGS)
    expected = f"one of {known}, or two or more different names, as neutral,happy,sad"
    is_list = len(names) > 1 and all(names) and len(set(names)) == len(names)
    _require(config, "classes", lambda v: v in NUMBERINGS or is_list, expected)
    _require(
        config, "votes", lambda v: not v, "no votes where config.classes is set: they have eight classes"
    )


def _check_stages(config: dict[str, Any]) -> None:
    """Check the CNN's stages, and that the image sizes can be halved from stage to stage."""
    stages, side = len(config["cnn"]["widths"]), side_of_network(config)
    if config["model"] != "cnn" or config["normalize"] == "pixelwise":
        expected = f"({SIDE},): dense layers and pixelwise statistics are for one size"
        _require(config, "train_sides", lambda v: list(v) == [SIDE], expected)
    if config["model"] == "cnn" and config["normalize"] == "pixelwise":
        expected = f"{SIDE} where normalize is pixelwise, which has a mean for each of its pixels"
        _require(config, "cnn.side", lambda v: v == SIDE, expected)
    # The stem may halve the image, and each further stage does.
    step = config["cnn"]["stem_stride"] * 2 ** (stages - 1)
    fits = f"a multiple of {step} from {SIDE} to {_LARGEST_SIDE}"
    _require(config, "cnn.side", lambda v: SIDE <= v <= _LARGEST_SIDE and v % step == 0, fits)
    _require(
        config,
        "train_sides",
        lambda v: _are_counts(v, side) and all(step <= n and n % step == 0 for n in v),
        f"multiples of {step}, at most {side}, which is cnn.side",
    )
    expected = "as long as cnn.widths, at most 4 stages"
    _require(config, "cnn.blocks", lambda v: len(v) == stages <= 4, expected)


def _check_processes(config: dict[str, Any]) -> None:
    """Check that the fields that say which process this is are all set, or none of them."""
    is_set = bool(config["coordinator_address"]), config["num_processes"] > 0, config["process_id"] >= 0
    if any(is_set) and not all(is_set):
        names = ", ".join(f"config.{name}" for name in PROCESS_FIELDS)
        raise UserError(f"set all of {names}, or none of them to ask the scheduler")
    if all(is_set):
        last = config["num_processes"] - 1
        _require(config, "process_id", lambda v: v <= last, f"0 to {last}")


def _require(config: dict[str, Any], name: str, holds: Any, expected: str) -> None:
    value = functools.reduce(operator.getitem, name.split("."), config)
    if not holds(value):
        raise UserError(f"config.{name} is {value!r}; expected {expected}")


def _is_detector(name: str) -> bool:
    return name in ("", "mtcnn", "haar") or name.lower().endswith(".onnx")


def _are_counts(values: Any, most: int) -> bool:
    are_whole = all(isinstance(value, int) and 1 <= value <= most for value in values)
    return 1 <= len(values) <= _MOST_LAYERS and are_whole
