"""What is said of data that is too small."""

import pytest

from okd_tf.pipeline import cautions


def test_of_data_that_is_large_enough_nothing_is_said():
    assert cautions.of(100, 10, 50, "oracle") == []


def test_few_images_a_class_are_said_with_what_can_be_done():
    (said,) = cautions.of(48, 10, 50, "oracle")
    assert said.startswith("48 training images are 4.8 a class: ")
    assert "--train_loss=auto" in said
    (said,) = cautions.of(48, 10, 50, "auto")
    assert "--train_loss=auto" not in said


@pytest.mark.parametrize(("count", "points"), [(1, 50), (16, 12), (49, 7)])
def test_how_uncertain_a_choice_on_few_validation_images_is(count, points):
    """The standard error of a share is at most 0.5 / sqrt(images)."""
    (said,) = cautions.of(100, 10, count, "auto")
    assert said.startswith(f"{count} validation images: an accuracy on them is uncertain by up to {points} ")
    assert "--val_examples" in said
