"""What a run makes of its settings."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import data, errors, settings
from okd_tf.data import views
from okd_tf.pipeline import lessons
from okd_tf.pipeline.context import Context


def test_runs_of_two_seeds_share_their_splits(digits):
    def split(**changes):
        return Context(settings.Settings(workdir="a", **changes), source=digits).split_record

    assert split(seed=1) == split(seed=0)
    assert split(split_seed=1)["sha256"] != split()["sha256"]
    assert split(split_seed=1)["val"] == split()["val"]


def test_views_are_what_the_settings_ask_for_and_part_of_what_stages_depend_on(digits):
    def of(**changes):
        return Context(settings.Settings(workdir="a", **changes), source=digits)

    usual, turned = of(), of(augmentation=("crop_flip", "rotate"), augmentation_ops=1, batch_size=128)
    assert usual.data.augmentation == digits.augmentation
    assert turned.data.augmentation == views.Operated(views.CropFlip(1, True), ("rotate",), 1, 9)
    assert of(crop_padding=2).data.augmentation == views.CropFlip(2, False)
    before, after = usual.split_record, turned.split_record
    assert {name for name in before if before[name] != after[name]} == {"views"}
    # Stored logits of the one are not taken for those of the other.
    assert usual.teaching.bank_key() != turned.teaching.bank_key()
    batch = lessons.training_batches(turned, "ce", "student training").batch(tf.constant(0))
    assert batch["image"].shape == (128, 8, 8, 1)


def test_a_dataset_that_is_given_comes_to_a_size_as_a_named_one_does_and_takes_no_keys(digits):
    def of(**changes):
        return Context(settings.Settings(workdir="a", **changes), source=digits).data

    named = data.load("digits", image_size=(12, 10), channels=3)
    found = of(image_size="12x10", channels=3)
    assert found.image_shape == (12, 10, 3)
    np.testing.assert_array_equal(found.test.images, named.test.images)
    with pytest.raises(
        errors.UserError,
        match=r"^--label_key requires .* \(got a dataset that is given from Py",
    ):
        of(label_key="coarse")


def test_each_role_has_a_recipe_of_its_own_where_its_settings_are_given():
    chosen = settings.Settings(
        workdir="a",
        learning_rate=0.1,
        weight_decay=1e-3,
        student_weight_decay=2e-3,
        teacher_learning_rate=0.3,
        momentum=0.8,
        nesterov=False,
        keep="average",
        average_decay=0.9,
    )
    recipes = {name: Context(chosen).recipe_of(name) for name in settings.choices.TRAINING}
    assert {name: (one.learning_rate, one.weight_decay) for name, one in recipes.items()} == {
        "teachers": (0.3, 1e-3),
        "search": (0.1, 1e-3),
        **dict.fromkeys(("assistant", "choice", "finals", "student", "budgets"), (0.1, 2e-3)),
        **dict.fromkeys(("baseline", "opponents", "trials"), (0.1, 2e-3)),
    }
    for one in recipes.values():
        assert (one.momentum, one.nesterov, one.keep, one.average_decay) == (0.8, False, "average", 0.9)
