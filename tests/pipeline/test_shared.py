"""What the stages of a run share."""

import types

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import data, errors, losses, settings
from okd_tf.data import views
from okd_tf.pipeline import shared
from okd_tf.teachers import folds


def test_runs_of_two_seeds_share_their_splits(digits):
    def split(**changes):
        return shared.Context(settings.Settings(workdir="a", **changes), source=digits).split_record

    assert split(seed=1) == split(seed=0)
    assert split(split_seed=1)["sha256"] != split()["sha256"]
    assert split(split_seed=1)["val"] == split()["val"]


@pytest.mark.parametrize("name", losses.KD_LOSSES)
def test_an_objective_has_the_settings_that_its_loss_takes(name):
    said = {"standardize_logits": True, "dkd_alpha": 0.5, "dkd_beta": 3.0}
    chosen = settings.Settings(workdir="a", temperature=2.0, ce_weight=0.25, **said)
    made = shared.Context(chosen).objective(name)
    assert (made.name, made.temperature, made.ce_weight) == (name, 2.0, 0.25)
    assert made.settings == {setting: said[setting] for setting in losses.SETTINGS[name]}


def test_views_are_what_the_settings_ask_for_and_part_of_what_stages_depend_on(digits):
    def of(**changes):
        return shared.Context(settings.Settings(workdir="a", **changes), source=digits)

    usual, turned = of(), of(augmentation=("crop_flip", "rotate"), augmentation_ops=1)
    assert usual.data.augmentation == digits.augmentation
    assert turned.data.augmentation == views.Operated(views.CropFlip(1, True), ("rotate",), 1, 9)
    assert of(crop_padding=2).data.augmentation == views.CropFlip(2, False)
    before, after = usual.split_record, turned.split_record
    assert {name for name in before if before[name] != after[name]} == {"views"}
    # Stored logits of the one are not taken for those of the other.
    assert usual.bank_key() != turned.bank_key()
    batch = turned.training_batches("ce", "student training").batch(tf.constant(0))
    assert batch["image"].shape == (128, 8, 8, 1)


def test_a_dataset_that_is_given_comes_to_a_size_as_a_named_one_does_and_takes_no_keys(digits):
    def of(**changes):
        return shared.Context(settings.Settings(workdir="a", **changes), source=digits).data

    named = data.load("digits", image_size=(12, 10), channels=3)
    found = of(image_size="12x10", channels=3)
    assert found.image_shape == (12, 10, 3)
    np.testing.assert_array_equal(found.test.images, named.test.images)
    with pytest.raises(errors.UserError, match=r"^--label_key: is not of a dataset that is given from Py"):
        of(label_key="coarse")


@pytest.fixture
def held_out_run(tmp_path, splits, monkeypatch):
    """A run that hears held-out teachers only, by how its settings differ; its two teachers are but names."""
    names = [tmp_path / "teachers" / f"teacher_{index:02}.keras" for index in (0, 1)]
    for path, one in zip(names, folds.assigned(splits.train.ids, 2, 2, seed=0), strict=True):
        folds.write(path, one)
        path.touch()
    monkeypatch.setattr(shared.Context, "data", splits)
    stored = types.SimpleNamespace(
        reader=lambda part: lambda rows, views: np.zeros((len(rows), 2, 10), np.float32)
    )
    monkeypatch.setattr(shared.Context, "bank", stored)

    def make(**changes):
        chosen = {"teacher_folds": 2, "held_out_only": True, **changes}
        return shared.Context(settings.Settings(workdir=str(tmp_path), **chosen))

    return make


@pytest.mark.parametrize("views", [0, 2])
def test_of_an_example_those_are_heard_that_held_it_out_stored_or_live(held_out_run, splits, views):
    run = held_out_run(views=views)
    part = dict(zip(splits.train.ids.tolist(), folds.parts(splits.train.ids, 2, 0).tolist(), strict=True))
    batch = run.training_batches("oracle", "student training").batch(tf.constant(3))
    assert ("teacher_logits" in batch) == (views > 0)
    for one, heard in zip(batch["id"].numpy().tolist(), batch["heard"].numpy().tolist(), strict=True):
        assert heard == [part[one] == 0, part[one] == 1]


@pytest.mark.parametrize("part", ["training", "validation"])
def test_classes_count_the_same_in_training_and_in_the_validation_batches_of_a_search(splits, part):
    counts = np.bincount(splits.train.labels)
    seen = {}
    for balance in settings.choices.BALANCES:
        run = shared.Context(settings.Settings(workdir="a", balance=balance))
        run.data = splits
        seen[balance] = getattr(run, f"{part}_batches")("ce", "search").batch(tf.constant(1))
    assert not any("weight" in seen[balance] for balance in ("none", "sampling"))
    weighted = seen["weights"]
    expected = len(splits.train) / (10 * counts[weighted["label"]])
    np.testing.assert_allclose(weighted["weight"], expected, rtol=1e-6)
    np.testing.assert_array_equal(weighted["id"], seen["none"]["id"])
    # A batch may begin and end within a round.
    assert np.ptp(np.bincount(seen["sampling"]["label"])) <= 2 < np.ptp(np.bincount(seen["none"]["label"]))


def test_all_are_heard_on_validation_and_where_nothing_else_is_wanted(held_out_run):
    first = tf.constant(0)
    assert "heard" not in held_out_run().validation_batches("oracle", "search validation").batch(first)
    assert "heard" not in held_out_run().training_batches("ce", "student training").batch(first)
    plain = held_out_run(held_out_only=False)
    assert "heard" not in plain.training_batches("oracle", "student training").batch(first)


def test_a_run_of_a_comparison_hears_whom_its_origin_hears(held_out_run, tmp_path):
    origin = held_out_run()
    chosen = settings.Settings(workdir=str(tmp_path / "compare"), teacher_folds=2, held_out_only=True)
    borrowing = shared.Context(chosen, origin=origin)
    assert borrowing.seen is origin.seen
    batches = (
        run.training_batches("oracle", "training").batch(tf.constant(0)) for run in (origin, borrowing)
    )
    np.testing.assert_array_equal(*(batch["heard"] for batch in batches))


def test_without_any_record_left_nothing_is_trained_on_labels_in_silence(held_out_run, tmp_path):
    for path in (tmp_path / "teachers").glob("*.json"):
        path.unlink()
    with pytest.raises(errors.UserError, match=r"^--held_out_only: beside no teacher is a record"):
        held_out_run().training_batches("oracle", "student training")
