"""What every dataset must be, of whatever kind."""

import numpy as np
import pytest

from okd_tf import data, sources
from okd_tf.data import splits, views
from okd_tf.sources import request

pytestmark = pytest.mark.parametrize("name", data.DATASETS)


@pytest.fixture
def source(name, load_source):
    return load_source(name)


def test_is_labelled_uint8_images_under_unique_ascending_ids(source):
    for part in filter(None, (source.train, source.val, source.test)):
        assert part.ids.dtype == np.int64
        assert part.images[:1].dtype == np.uint8
        assert part.labels.dtype == np.int32
        assert part.images.shape[0] == len(part.ids) == len(part.labels) > 0
        assert np.all(np.diff(part.ids) > 0)
        assert part.images.shape[1:] == source.train.images.shape[1:]
    assert len(source.train.images.shape) == 4
    # The whole scale is in use: pixels are not 0..1 or 0..16.
    assert source.train.images[:100].max() > 200


def test_every_class_is_in_both_parts_and_named_once(source):
    classes = list(range(len(source.class_names)))
    assert np.unique(source.train.labels).tolist() == classes
    assert np.unique(source.test.labels).tolist() == classes
    assert len(set(source.class_names)) == len(classes)


def test_is_augmented_within_its_own_size(source):
    assert isinstance(source.augmentation, views.CropFlip)
    assert source.augmentation.padding < min(source.train.images.shape[1:3])


def test_is_carved_into_splits_that_share_no_example(source):
    wanted = min(1000, len(source.train) // 2)
    carved = splits.carve(source, seed=0, train_examples=wanted)
    assert len(carved.val) == len(source.train) // 10
    assert len(carved.train) == wanted
    assert not set(carved.train.ids) & set(carved.val.ids)
    assert carved.image_shape == source.train.images.shape[1:]


def test_takes_only_what_can_be_asked_for(name):
    assert sources.KINDS[name].takes <= set(request.Request.__dataclass_fields__) - {"name", "cache_dir"}
