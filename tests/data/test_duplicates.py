"""Copies of images, exact and near: what is found, and what is not taken for one."""

import dataclasses

import numpy as np
import pytest

from okd_tf import errors
from okd_tf.data import content, duplicates, examples, splits, views


def _smooth(seed, count=6, side=32, channels=3):
    """Images of blobs, as different as photos are: uint8 [count, side, side, channels]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, channels))
    return np.repeat(np.repeat(coarse, side // 8, axis=1), side // 8, axis=2).astype(np.uint8)


def _examples(images):
    return examples.Examples(np.arange(len(images)), images, np.arange(len(images), dtype=np.int32) % 2)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (12, 20), (5, 9)])
def test_a_thumbnail_is_the_mean_of_each_cell(height, width):
    """Against images repeated until each cell is a whole number of pixels."""
    images = np.random.default_rng(0).integers(0, 256, (3, height, width, 1)).astype(np.uint8)
    large = np.repeat(np.repeat(images, 8, axis=1), 8, axis=2).astype(float)
    means = large.reshape(3, 8, height, 8, width).mean(axis=(2, 4)).reshape(3, 64)
    assert np.abs(content.thumbnails(images) - means).max() <= 0.5 + 1e-9


def test_grey_weighs_colours_as_eyes_do():
    images = np.zeros((3, 8, 8, 3), np.uint8)
    images[range(3), :, :, range(3)] = 200
    assert content.thumbnails(images)[:, 0].tolist() == [60, 117, 23]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: np.rint(image * 0.7 + 30),  # less contrast
        lambda image: np.clip(image + np.random.default_rng(1).normal(0, 12, image.shape), 0, 255),
        lambda image: (image // 24) * 24,  # few levels
    ],
)
def test_a_changed_image_is_a_near_copy_of_its_own_original_only(change):
    images = _smooth(0)
    changed = np.stack([change(image) for image in images[[4, 1]].astype(float)]).astype(np.uint8)
    found = duplicates.near(_examples(np.concatenate([changed, _smooth(5, 3)])), _examples(images))
    assert found.tolist() == [4, 1, -1, -1, -1]


def test_shading_and_flat_images_make_no_copies():
    rng = np.random.default_rng(0)
    shades = np.linspace(0, 200, 32)[None, :, None, None] + rng.normal(0, 4, (6, 32, 32, 3))
    flat = 128 + rng.normal(0, 2, (2, 1, 1, 1)) + rng.normal(0, 3, (1, 32, 32, 3))
    images = _examples(np.clip(np.concatenate([shades, flat]), 0, 255).astype(np.uint8))
    assert (duplicates.near(images.take([0, 2, 4, 6]), images.take([1, 3, 5, 7])) < 0).all()


def test_one_object_in_two_colours_is_no_copy():
    image = _smooth(0, 1).astype(int)
    recoloured = image[..., [2, 0, 1]] // 2
    assert duplicates.near(_examples(image.astype(np.uint8)), _examples(recoloured.astype(np.uint8))) == [-1]


def test_digits_are_too_small_to_be_near_copies(digits):
    assert (duplicates.near(digits.test, digits.train) < 0).all()


def test_exact_copies_are_found_whatever_they_show():
    images = np.zeros((3, 4, 4, 1), np.uint8)
    images[1], images[2] = 7, 9
    found = duplicates.exact(_examples(images), _examples(images[[1]]))
    assert found.tolist() == [False, True, False]


def _source():
    """Test image 1 is training image 5, and test image 2 training image 9 with less contrast."""
    train, test = _smooth(0, 40), _smooth(1, 6)
    test[1], test[2] = train[5], np.rint(train[9] * 0.8 + 10)
    return examples.Source(
        "copies", ("a", "b"), _examples(train), _examples(test), views.CropFlip(padding=1, flip=True)
    )


def test_dropped_duplicates_leave_training_and_validation_and_the_test_split_stays(capsys):
    source = _source()
    without, plain = splits.carve(source, 0, drop_duplicates=True), splits.carve(source, 0)
    kept = {*without.train.ids.tolist(), *without.val.ids.tolist()}
    assert {*plain.train.ids.tolist(), *plain.val.ids.tolist()} - kept == {5, 9}
    np.testing.assert_array_equal(without.test.images, plain.test.images)
    assert without.record()["sha256"] != plain.record()["sha256"]
    assert "1 exact and 1 near copies of test images are left out" in capsys.readouterr().out
    fewer = splits.carve(source, 0, train_examples=10, drop_duplicates=True)
    assert len(fewer.train) == 10
    assert set(fewer.train.ids) <= set(without.train.ids)


def test_without_copies_nothing_changes():
    source = dataclasses.replace(_source(), test=_examples(_smooth(1, 6)))
    one, other = splits.carve(source, 0), splits.carve(source, 0, drop_duplicates=True)
    assert one.record() == other.record()


def test_a_part_that_is_all_copies_is_refused():
    source = _source()
    source = dataclasses.replace(source, val=source.test.take([1, 2]))
    with pytest.raises(errors.UserError, match=r"^--drop_duplicates: all 2 validation images are copies"):
        splits.carve(source, 0, drop_duplicates=True)
