"""The digits that come with scikit-learn."""

import numpy as np
import sklearn.datasets

from okd_tf.data import splits


def test_sizes_and_shape_are_those_of_the_collection(digits):
    assert len(digits.train) + len(digits.test) == 1797
    assert digits.test.images.shape == (360, 8, 8, 1)
    assert digits.class_names == tuple("0123456789")


def test_each_id_is_the_place_of_its_image_in_the_collection(digits):
    collection = sklearn.datasets.load_digits()
    for part in (digits.train, digits.test):
        np.testing.assert_array_equal(part.labels, collection.target[part.ids])
        # 0..16 in the collection, 0..255 here: within half a step of the straight line.
        expected = collection.images[part.ids] / 16 * 255
        assert np.abs(part.images[..., 0] - expected).max() <= 0.5
    assert digits.train.images.max() == 255


def test_train_and_test_share_no_example(digits):
    assert not set(digits.train.ids) & set(digits.test.ids)


def test_test_part_is_the_same_for_every_seed(digits):
    for seed in (1, 2, 3):
        np.testing.assert_array_equal(splits.carve(digits, seed).test.ids, digits.test.ids)


def test_test_part_is_no_run_of_the_collection_and_has_all_digits(digits):
    assert np.diff(digits.test.ids).max() > 5
    assert np.bincount(digits.test.labels, minlength=10).min() >= 20
