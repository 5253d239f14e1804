"""What is said of data that is too small, or of which splits share images."""

import dataclasses
import types

import numpy as np
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
    assert first.startswith("2 of the 9 test images (id 2, id 5) are training images as well")
    assert second.startswith("1 of the 9 test images (id 3) are validation images as well")


def test_a_near_copy_is_said_with_both_images_and_no_exact_one_is_said_twice():
    data = tiny.make_splits(shape=(16, 16, 3))
    images = data.test.images.copy()
    images[4] = np.rint(data.train.images[9] * 0.8 + 20)
    images[6] = data.train.images[3]
    data = dataclasses.replace(data, test=examples.Examples(data.test.ids, images, data.test.labels))
    exact, near = cautions.duplicates(data, lambda split, example_id: f"{split}/{example_id}")
    assert exact.startswith("1 of the 9 test images (test/6) are training images as well, pixel by pixel")
    assert near.startswith(
        "1 of the 9 test images seem to be near copies of training images (test/4 of train/9)"
    )
    assert "--drop_duplicates" in near


def test_copies_are_looked_for_once_in_each_state_of_the_data(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(cautions.split_file, "namer", lambda context: None)
    monkeypatch.setattr(cautions, "duplicates", lambda data, name: looked.append(data) or [f"of {data}"])

    def context(data):
        return types.SimpleNamespace(workdir=tmp_path, data=data, split_record={"sha256": data})

    for data in ("one", "one", "other"):
        assert cautions.known_duplicates(context(data)) == [f"of {data}"]
    assert looked == ["one", "other"]
    (tmp_path / cautions.NAME).write_text('{"split": "other"')
    assert cautions.known_duplicates(context("other")) == ["of other"]
