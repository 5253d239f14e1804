"""What every dataset must be."""

import numpy as np
import pytest

from okd_tf import data
from okd_tf.data import splits, views

pytestmark = pytest.mark.parametrize("name", data.DATASETS)


def test_is_labelled_uint8_images_under_unique_ascending_ids(name, load_source):
    source = load_source(name)
    assert source.name == name
    for part in (source.train, source.test):
        assert part.ids.dtype == np.int64
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int32
        assert part.images.shape[0] == len(part.ids) == len(part.labels) > 0
        assert np.all(np.diff(part.ids) > 0)
    assert source.train.images.shape[1:] == source.test.images.shape[1:]
    assert source.train.images.ndim == 4
    # The whole scale is in use: pixels are not 0..1 or 0..16.
    assert source.train.images.max() > 200


def test_every_class_is_in_both_parts_and_named_once(name, load_source):
    source = load_source(name)
    classes = list(range(len(source.class_names)))
    assert np.unique(source.train.labels).tolist() == classes
    assert np.unique(source.test.labels).tolist() == classes
    assert len(set(source.class_names)) == len(classes)


def test_is_augmented_within_its_own_size(name, load_source):
    source = load_source(name)
    assert isinstance(source.augmentation, views.CropFlip)
    assert source.augmentation.padding < min(source.train.images.shape[1:3])


def test_is_carved_into_splits_that_share_no_example(name, load_source):
    source = load_source(name)
    carved = splits.carve(source, seed=0, train_examples=1000)
    assert len(carved.val) == len(source.train) // 10
    assert len(carved.train) == 1000
    assert not set(carved.train.ids) & set(carved.val.ids)
    assert carved.image_shape == source.train.images.shape[1:]
