"""What is said of data that is too small, or of which splits share images."""

import dataclasses

import pytest
import tiny

from okd_tf.data import examples
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


def test_images_that_two_splits_share_are_counted():
    data = tiny.make_splits()
    assert cautions.duplicates(data) == []
    images = data.test.images.copy()
    images[[2, 5]] = data.train.images[[7, 7]]
    images[3] = data.val.images[0]
    data = dataclasses.replace(data, test=examples.Examples(data.test.ids, images, data.test.labels))
    first, second = cautions.duplicates(data)
    assert first.startswith("2 of the 9 test images (the first has id 2) are training images as well")
    assert second.startswith("1 of the 9 test images (the first has id 3) are validation images as well")
