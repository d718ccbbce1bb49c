"""Comparing the config of a command with that of a run on disk."""

import pytest

from fer_jax.checkpoints.choose import views_of_photos
from fer_jax.checkpoints.same_run import (
    EVALUATION_FIELDS,
    check_random_keys,
    check_same_run,
    config_for_evaluation,
    fields_of_run,
)
from fer_jax.checkpoints.weights import RANDOM_KEYS, Record
from fer_jax.errors import UserError
from tiny_run import command

SAVED = {
    "dataset": "synthetic",
    "skip_broken": False,
    "classes": "",
    "votes": "",
    "vote_target": "majority",
    "vote_share": 1.0,
    "split": "validation",
    "views": "one",
    "batch_size": 16,
    "epochs": 4,
    "learning_rate": 0.1,
    "mlp": {"hidden": [8], "dropout": 0.5},
}


def changed(**changes):
    return {**SAVED, **changes}


def check(saved, given):
    check_same_run(Record(saved, [], [], {}), given, "runs/x")


def merged(saved, given, overrides):
    record = Record(saved, [], [], {})
    return config_for_evaluation(record, command("eval", given, "runs/x", overrides=overrides), "runs/x")


def test_fields_have_dotted_names():
    younger = {"initial_weights": "", "cnn.stem_stride": 2, "cnn.activation": "relu", "cnn.side": 48}
    younger |= {"classes": "", "votes": "", "vote_target": "majority", "vote_share": 1.0}
    younger |= {"teacher_votes": "", "teacher_votes_share": 0.5}
    config = {"a": 1, "b": {"c": [2], "d": {"e": None}}, "serve": {"port": 1}, "distributed": True}
    assert fields_of_run(config) == younger | {"a": 1, "b.c": [2], "b.d.e": None}
    assert fields_of_run({}) == younger


def test_a_run_that_drew_its_random_numbers_otherwise():
    """Runs before 2026-11-26 have no such field."""
    check_random_keys(Record({}, [], [], {}, None, RANDOM_KEYS), "runs/x")
    with pytest.raises(
        UserError, match=r"^runs/x: begun by an earlier version .* --workdir=runs/x-2 for a new"
    ):
        check_random_keys(Record({}, [], [], {}), "runs/x")


@pytest.mark.parametrize("epochs", [4, 5])
def test_same_run_may_be_longer(epochs):
    check(SAVED, changed(epochs=epochs))


def test_same_run_may_be_read_and_scored_otherwise():
    check(changed(cache=True), changed(cache=False, patience=9, views="flip"))


def test_how_faces_are_found_is_of_the_command():
    """Whether the run has the fields, as those of today have, or lacks them."""
    given = changed(detector="haar", faces="whole", serve={"port": 1})
    for saved in (SAVED, changed(detector="", faces="")):
        check(saved, given)
        assert merged(saved, given, ["detector", "faces"]) == saved


def test_same_run_may_lack_fields_of_a_newer_version():
    check(SAVED, changed(later=1, mlp=SAVED["mlp"] | {"later": 2}))


def test_younger_field_that_would_do_nothing_is_refused():
    check(SAVED, changed(initial_weights=""))
    with pytest.raises(UserError, match=r"initial_weights is '' there, 'best' here"):
        check(SAVED, changed(initial_weights="best", epochs=9))


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
        check(SAVED, given)
    assert named in str(caught.value)
    assert "--workdir=runs/x-2" in str(caught.value)
    assert "epochs is 4 there, 5 here" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_evaluation_takes_what_may_be_given_anew():
    given = changed(dataset="a.csv", split="test", views="flip", batch_size=8, cache=False)
    assert merged(SAVED, given, list(EVALUATION_FIELDS)) == given


def test_evaluation_keeps_the_rest_from_the_checkpoint():
    """What the config file says, but the command line does not, is no wish."""
    given = changed(views="flip", learning_rate=0.2, mlp={"hidden": [9], "dropout": 0.1})
    assert merged(SAVED, given, []) == SAVED


def test_evaluation_accepts_the_same_value_again():
    assert merged(SAVED, SAVED, ["mlp.dropout", "epochs"]) == SAVED


def test_evaluation_refuses_by_name():
    given = changed(learning_rate=0.2, mlp={"hidden": [8], "dropout": 0.1})
    with pytest.raises(
        UserError, match=r"mlp.dropout is 0.5 there, 0.1 here, learning_rate is 0.1 there, 0.2 here"
    ):
        merged(SAVED, given, ["mlp.dropout", "learning_rate"])


def test_evaluation_takes_the_flags_of_a_longer_training():
    """As the best checkpoint may be older than what made the run longer."""
    given = changed(epochs=9, seeds=3)
    assert merged(SAVED, given, ["epochs", "seeds"]) == SAVED


def test_evaluation_reads_without_the_cache_where_told():
    given = changed(cache=False, epochs=9)
    assert merged(changed(cache=True), given, ["cache", "epochs"]) == changed(cache=False)


@pytest.mark.parametrize(
    ("views", "overrides", "expected"),
    [
        ("zoom", ["batch_size"], "flip"),
        ("zoom", ["views"], "zoom"),
        ("one", [], "one"),
        ("ten_crop", [], "ten_crop"),
    ],
)
def test_views_of_photos(views, overrides, expected):
    assert views_of_photos(changed(views=views), overrides) == expected
