"""Comparing the config of a command with that of a run on disk."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.models import MODELS
from fer_jax.models.cnn import ACTIVATIONS
from fer_jax.train.optimizer import OPTIMIZERS, SCHEDULES
from fer_jax.transforms.augment import FILL_MODES
from fer_jax.transforms.normalize import BALANCES, NORMALIZATIONS
from fer_jax.transforms.views import VIEWS

EVALUATION_FIELDS = ("dataset", "split", "views", "batch_size", "cache")
"""What eval and predict may be given anew; all else comes from the checkpoint."""

_OF_THE_COMMAND = ("serve.", "distributed", "coordinator_address", "num_processes", "process_id")
"""Fields, or their beginnings, that no run depends on: where a command listens, who takes part in it now."""

_YOUNGER = {"initial_weights": "", "cnn.stem_stride": 2, "cnn.activation": "relu"}
"""What was done before a field was there; without it, a flag that an older run cannot follow is accepted."""

_WITHOUT_EFFECT = ("epochs", "seeds")
"""Fields of training that change nothing in what its checkpoint is evaluated to; a run may have been given
more epochs after its best checkpoint, and each of several seeds is a run of one."""

_NOT_OF_TRAINING = ("cache", "patience", "views")
"""What a run may be resumed with another of: how its data is read, when it ends, how it is scored then."""

SPLITS = ("validation", "test")

NONFINITE = ("stop", "skip")

_CHOICES = {
    "model": tuple(MODELS),
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "normalize": NORMALIZATIONS,
    "balance": BALANCES,
    "augmentation.fill_mode": FILL_MODES,
    "cnn.dtype": ("float32", "bfloat16"),
    "cnn.stem_stride": (1, 2),
    "cnn.activation": tuple(ACTIVATIONS),
    "views": VIEWS,
    "split": SPLITS,
    "nonfinite": NONFINITE,
}
_SIZES = ("cnn.widths", "cnn.blocks", "mlp.hidden")
_SHAPES = (*_SIZES, "cnn.stem_stride", "cnn.activation")
_AT_LEAST_ONE = ("batch_size", "epochs", "seeds", "synthetic.num_train", "synthetic.num_validation")
# Fractions that may be 0 but not 1; ranges, rates and counts that may not be negative.
_BELOW_ONE = (
    "validation_fraction",
    "label_smoothing",
    "ema_decay",
    "momentum",
    "cnn.dropout",
    "mlp.dropout",
    "augmentation.zoom_range",
)
_NOT_NEGATIVE = (
    "learning_rate",
    "warmup_epochs",
    "weight_decay",
    "clip_norm",
    "mixup_alpha",
    "cutmix_alpha",
    "patience",
    "seed",
    "synthetic.num_test",
)


def check_values(config: Mapping[str, Any]) -> None:
    """Looks at each field before anything is read or written.

    Raises:
      UserError: a value that cannot work; names the field and what it may be.
    """
    flat = flatten(config)
    ranges = tuple(
        n for n in flat if n.startswith("augmentation.") and n.endswith(("_range", "_probability"))
    )
    for name, choices in _CHOICES.items():
        _require(flat[name] in choices, name, flat[name], f"one of {', '.join(map(str, choices))}")
    for name in _AT_LEAST_ONE:
        _require(flat[name] >= 1, name, flat[name], "1 or more")
    for name in _BELOW_ONE:
        _require(0 <= flat[name] < 1, name, flat[name], "0 or more, and below 1")
    for name in (*_NOT_NEGATIVE, *ranges):
        _require(0 <= flat[name] < math.inf, name, flat[name], "a number of 0 or more")
    last = flat["seed"] + flat["seeds"] - 1
    _require(last < 2**63, "seed", flat["seed"], "seeds below 2 to the power of 63")
    _require(flat["serve.host"] != "", "serve.host", flat["serve.host"], "an address, as 127.0.0.1")
    _require(0 <= flat["serve.port"] <= 65535, "serve.port", flat["serve.port"], "0 to 65535")
    for name in ("augmentation.erasing_probability", "teacher_share"):
        _require(0 <= flat[name] <= 1, name, flat[name], "0 to 1")
    one_way = not (flat["mixup_alpha"] and flat["cutmix_alpha"])
    _require(one_way, "cutmix_alpha", flat["cutmix_alpha"], "0 where mixup_alpha is above 0")
    for name in _SIZES:
        sizes = bool(flat[name]) and all(isinstance(n, int) and n >= 1 for n in flat[name])
        _require(sizes, name, flat[name], "whole numbers of 1 or more")
    _check_sides(flat)
    same = len(flat["cnn.widths"]) == len(flat["cnn.blocks"]) <= 4
    _require(same, "cnn.blocks", flat["cnn.blocks"], "as long as cnn.widths, at most 4 stages")


def _check_sides(flat: Mapping[str, Any]) -> None:
    sides = flat["train_sides"]
    if flat["model"] != "cnn" or flat["normalize"] == "pixelwise":
        expected = f"({SIDE},): dense layers and pixelwise statistics are for one size"
        _require(list(sides) == [SIDE], "train_sides", sides, expected)
    # The stem may halve them, and each further stage does.
    step = flat["cnn.stem_stride"] * 2 ** (len(flat["cnn.widths"]) - 1)
    good = bool(sides) and all(isinstance(n, int) and step <= n <= SIDE and n % step == 0 for n in sides)
    _require(good, "train_sides", sides, f"multiples of {step}, at most {SIDE}")


def _require(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise UserError(f"config.{name} is {value!r}; expected {expected}")


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def fields_of_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config's fields, flat, with those younger than it, without those of the command alone."""
    flat = _YOUNGER | flatten(config)
    return {name: v for name, v in flat.items() if not name.startswith(_OF_THE_COMMAND)}


def check_same_run(saved: Mapping[str, Any], given: Mapping[str, Any], workdir: str) -> None:
    """Refuses to resume a run with another config, but for more ``epochs`` and what training does not use.

    A field that the run lacks is younger than the run, and its default means what was done before.

    Raises:
      UserError: names the fields that differ, and proposes another workdir.
    """
    old, new = fields_of_run(saved), fields_of_run(given)
    compared = sorted(old.keys() - set(_NOT_OF_TRAINING))
    differing = [name for name in compared if old[name] != new.get(name)]
    if "epochs" in differing and new["epochs"] > old["epochs"]:
        differing.remove("epochs")
    if differing:
        changes = ", ".join(f"{name} is {old[name]!r} there, {new.get(name)!r} here" for name in differing)
        raise UserError(
            f"{workdir}: holds a run with another config ({changes}); "
            f"add --workdir={workdir}-2 for a new run, or give the run's own values"
        )


def views_in_pictures(config: Mapping[str, Any], overrides: Sequence[str] = ()) -> str:
    """The test-time views of faces in pictures: ``flip`` instead of ``zoom``, unless the command names it.

    A detector crops faces now looser, now tighter than FER2013 has them, and there ``zoom`` is less
    accurate than ``flip`` (docs/photos.md).

    Args:
      config: of the network, with what the command may give anew.
      overrides: dotted names of the fields that the command line set.
    """
    views = config["views"]
    return "flip" if views == "zoom" and "views" not in overrides else views


def differing_network(saved: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The saved values of the fields that shape a network and its input, where ``given`` has others.

    Both are plain.
    """
    old, new = fields_of_run(saved), fields_of_run(given)
    names = ["model", "normalize", *(n for n in _SHAPES if n.startswith(f"{saved['model']}."))]
    return {name: old[name] for name in names if old[name] != new[name]}


def merge_for_evaluation(
    saved: Mapping[str, Any], given: Mapping[str, Any], overrides: list[str], workdir: str
) -> dict[str, Any]:
    """The run's config with what evaluation may be given anew.

    Args:
      saved: the checkpoint's config.
      given: the command's config.
      overrides: dotted names of the fields that the command line set.
      workdir: for the message.

    Raises:
      UserError: a field was set that belongs to the checkpoint, to another value.
    """
    old, new = fields_of_run(saved), fields_of_run(given)
    free = (*EVALUATION_FIELDS, *_WITHOUT_EFFECT)
    refused = [f for f in overrides if f not in free and old.get(f) != new.get(f)]
    if refused:
        changes = ", ".join(f"{name} is {old.get(name)!r} there, {new.get(name)!r} here" for name in refused)
        raise UserError(
            f"{workdir}: trained with other settings ({changes}); they come from the checkpoint; "
            f"only {', '.join(EVALUATION_FIELDS)} may be given anew"
        )
    return {**saved, **{name: given[name] for name in overrides if name in EVALUATION_FIELDS}}
