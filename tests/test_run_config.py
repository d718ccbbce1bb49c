"""Checking the values of a command's config, and comparing it with that of a run on disk."""

import pytest

from configs import best, cnn, mlp, tiny
from fer_jax.check_config import (
    EVALUATION_FIELDS,
    check_same_run,
    check_values,
    flatten,
    merge_for_evaluation,
    views_in_pictures,
)
from fer_jax.errors import UserError
from fer_jax.runtime.files import plain

SAVED = {
    "dataset": "synthetic",
    "split": "validation",
    "views": "one",
    "batch_size": 16,
    "epochs": 4,
    "learning_rate": 0.1,
    "mlp": {"hidden": [8], "dropout": 0.5},
}


def changed(**changes):
    return {**SAVED, **changes}


def test_flatten_joins_names_by_dots():
    assert flatten({"a": 1, "b": {"c": [2], "d": {"e": None}}}) == {"a": 1, "b.c": [2], "b.d.e": None}
    assert flatten({}) == {}


@pytest.mark.parametrize("epochs", [4, 5])
def test_same_run_may_be_longer(epochs):
    check_same_run(SAVED, changed(epochs=epochs), "runs/x")


def test_same_run_may_be_read_and_scored_otherwise():
    check_same_run(changed(cache=True), changed(cache=False, patience=9, views="flip"), "runs/x")


def test_same_run_may_lack_fields_of_a_newer_version():
    check_same_run(SAVED, changed(later=1, mlp=SAVED["mlp"] | {"later": 2}), "runs/x")


def test_younger_field_that_would_do_nothing_is_refused():
    check_same_run(SAVED, changed(initial_weights=""), "runs/x")
    with pytest.raises(UserError, match=r"initial_weights is '' there, 'best' here"):
        check_same_run(SAVED, changed(initial_weights="best", epochs=9), "runs/x")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (changed(epochs=3), "epochs is 4 there, 3 here"),
        (changed(epochs=5, learning_rate=0.2), "learning_rate is 0.1 there, 0.2 here"),
        (changed(mlp={"hidden": [8], "dropout": 0.1}), "mlp.dropout is 0.5 there, 0.1 here"),
        (changed(split="test", batch_size=8), "batch_size is 16 there, 8 here, split is 'validation' there"),
        (
            {name: value for name, value in SAVED.items() if name != "split"},
            "split is 'validation' there, None",
        ),
    ],
)
def test_another_run_is_refused(given, named):
    with pytest.raises(UserError) as caught:
        check_same_run(SAVED, given, "runs/x")
    assert named in str(caught.value)
    assert "--workdir=runs/x-2" in str(caught.value)
    assert "epochs is 4 there, 5 here" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_evaluation_takes_what_may_be_given_anew():
    given = changed(dataset="a.csv", split="test", views="flip", batch_size=8, cache=False)
    assert merge_for_evaluation(SAVED, given, list(EVALUATION_FIELDS), "runs/x") == given


def test_evaluation_keeps_the_rest_from_the_checkpoint():
    """What the config file says, but the command line does not, is no wish."""
    given = changed(views="flip", learning_rate=0.2, mlp={"hidden": [9], "dropout": 0.1})
    assert merge_for_evaluation(SAVED, given, [], "runs/x") == SAVED


def test_evaluation_accepts_the_same_value_again():
    assert merge_for_evaluation(SAVED, SAVED, ["mlp.dropout", "epochs"], "runs/x") == SAVED


def test_evaluation_refuses_by_name():
    given = changed(learning_rate=0.2, mlp={"hidden": [8], "dropout": 0.1})
    with pytest.raises(
        UserError, match=r"mlp.dropout is 0.5 there, 0.1 here, learning_rate is 0.1 there, 0.2 here"
    ):
        merge_for_evaluation(SAVED, given, ["mlp.dropout", "learning_rate"], "runs/x")


def test_evaluation_takes_the_flags_of_a_longer_training():
    """As the best checkpoint may be older than what made the run longer."""
    given = changed(epochs=9, seeds=3)
    assert merge_for_evaluation(SAVED, given, ["epochs", "seeds"], "runs/x") == SAVED


def test_evaluation_reads_without_the_cache_where_told():
    given = changed(cache=False, epochs=9)
    assert merge_for_evaluation(changed(cache=True), given, ["cache", "epochs"], "runs/x") == changed(
        cache=False
    )


@pytest.mark.parametrize("module", [best, cnn, mlp, tiny])
def test_our_own_configs_are_good(module):
    check_values(plain(module.get_config()))


def test_faces_may_be_scaled_to_what_the_stages_halve():
    config = plain(cnn.get_config()) | {"train_sides": [36, 48]}
    with pytest.raises(UserError, match=r"^config.train_sides is \[36, 48\]; expected multiples of 8, "):
        check_values(config)
    config["cnn"]["stem_stride"] = 1
    check_values(config)


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
        ("schedule", "step"),
        ("seeds", 0),
        ("nonfinite", "ignore"),
    ],
)
def test_bad_values_are_named(name, value):
    config = plain(mlp.get_config())
    group, _, field = name.rpartition(".")
    (config[group] if group else config)[field] = value
    # Of two lists that must be as long as each other, either may be named.
    with pytest.raises(UserError, match=r"^config\." + name.replace("widths", "(widths|blocks)")):
        check_values(config)


@pytest.mark.parametrize(
    ("views", "overrides", "expected"),
    [
        ("zoom", ["batch_size"], "flip"),
        ("zoom", ["views"], "zoom"),
        ("one", [], "one"),
        ("ten_crop", [], "ten_crop"),
    ],
)
def test_views_in_pictures(views, overrides, expected):
    assert views_in_pictures(changed(views=views), overrides) == expected
