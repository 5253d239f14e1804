"""What a network of a run learns from: its objective, whom it hears of which example, how classes count."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors, losses, settings
from okd_tf.pipeline import lessons
from okd_tf.pipeline.context import Context
from okd_tf.pipeline.teaching import Teaching
from okd_tf.teachers import folds


@pytest.mark.parametrize("name", losses.KD_LOSSES)
def test_an_objective_has_the_settings_that_its_loss_takes(name):
    said = {
        "standardize_logits": True,
        "none_right": "both",
        "dkd_alpha": 0.5,
        "dkd_beta": 3.0,
        "label_smoothing": 0.1,
    }
    chosen = settings.Settings(workdir="a", temperature=2.0, ce_weight=0.25, kd_weight=3.0, **said)
    made = lessons.objective(Context(chosen), name)
    assert (made.name, made.temperature, made.ce_weight, made.kd_weight) == (name, 2.0, 0.25, 3.0)
    assert made.settings == {setting: said[setting] for setting in losses.SETTINGS[name]}


def test_the_factor_of_what_teachers_say_follows_the_classes_where_none_is_given(monkeypatch):
    monkeypatch.setattr(Context, "data", types.SimpleNamespace(classes=100))
    given = dataclasses.replace(settings.Settings(workdir="a"), views=2)
    monkeypatch.setattr(Context, "settings", given)
    run = Context(given)
    weights = {name: lessons.objective(run, name).kd_weight for name in ("oracle", "dkd")}
    assert weights == {"oracle": 4.0, "dkd": 1.0}


@pytest.fixture
def held_out_run(tmp_path, splits, monkeypatch):
    """A run that hears held-out teachers only, by how its settings differ; its two teachers are but names."""
    names = [tmp_path / "teachers" / f"teacher_{index:02}.keras" for index in (0, 1)]
    for path, one in zip(names, folds.assigned(splits.train.ids, 2, 2, seed=0), strict=True):
        folds.write(path, one)
        path.touch()
    monkeypatch.setattr(Context, "data", splits)
    stored = types.SimpleNamespace(
        reader=lambda part: lambda rows, views: np.zeros((len(rows), 2, 10), np.float32)
    )
    monkeypatch.setattr(Teaching, "bank", stored)

    def make(**changes):
        chosen = {"teacher_folds": 2, "held_out_only": True, **changes}
        return Context(settings.Settings(workdir=str(tmp_path), **chosen))

    return make


@pytest.mark.parametrize("views", [0, 2])
def test_of_an_example_those_are_heard_that_held_it_out_stored_or_live(held_out_run, splits, views):
    run = held_out_run(views=views)
    part = dict(zip(splits.train.ids.tolist(), folds.parts(splits.train.ids, 2, 0).tolist(), strict=True))
    batch = lessons.training_batches(run, "oracle", "student training").batch(tf.constant(3))
    assert ("teacher_logits" in batch) == (views > 0)
    for one, heard in zip(batch["id"].numpy().tolist(), batch["heard"].numpy().tolist(), strict=True):
        assert heard == [part[one] == 0, part[one] == 1]


@pytest.mark.parametrize("batches", [lessons.training_batches, lessons.validation_batches])
def test_classes_count_the_same_in_training_and_in_the_validation_batches_of_a_search(splits, batches):
    counts = np.bincount(splits.train.labels)
    seen = {}
    for balance in settings.choices.BALANCES:
        run = Context(settings.Settings(workdir="a", balance=balance))
        run.data = splits
        seen[balance] = batches(run, "ce", "search").batch(tf.constant(1))
    assert not any("weight" in seen[balance] for balance in ("none", "sampling"))
    weighted = seen["weights"]
    expected = len(splits.train) / (10 * counts[weighted["label"]])
    np.testing.assert_allclose(weighted["weight"], expected, rtol=1e-6)
    np.testing.assert_array_equal(weighted["id"], seen["none"]["id"])
    # A batch may begin and end within a round.
    assert np.ptp(np.bincount(seen["sampling"]["label"])) <= 2 < np.ptp(np.bincount(seen["none"]["label"]))


def test_all_are_heard_on_validation_and_where_nothing_else_is_wanted(held_out_run):
    first = tf.constant(0)
    run, plain = held_out_run(), held_out_run(held_out_only=False)
    for batches in (
        lessons.validation_batches(run, "oracle", "search validation"),
        lessons.training_batches(run, "ce", "student training"),
        lessons.training_batches(plain, "oracle", "student training"),
    ):
        assert "heard" not in batches.batch(first)


def test_a_run_of_a_comparison_hears_whom_its_origin_hears(held_out_run, tmp_path):
    origin = held_out_run()
    chosen = settings.Settings(workdir=str(tmp_path / "compare"), teacher_folds=2, held_out_only=True)
    borrowing = Context(chosen, origin=origin)
    assert borrowing.teaching.seen is origin.teaching.seen
    batches = (
        lessons.training_batches(run, "oracle", "training").batch(tf.constant(0))
        for run in (origin, borrowing)
    )
    np.testing.assert_array_equal(*(batch["heard"] for batch in batches))


def test_without_any_record_left_nothing_is_trained_on_labels_in_silence(held_out_run, tmp_path):
    for path in (tmp_path / "teachers").glob("*.json"):
        path.unlink()
    with pytest.raises(errors.UserError, match=r"^--held_out_only: beside no teacher is a record"):
        lessons.training_batches(held_out_run(), "oracle", "student training")
