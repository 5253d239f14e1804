"""What the cases read: noise as a dataset, and banks that need no teachers."""

import numpy as np
import pytest

from okd_tf import errors
from okd_tf.benchmark import stored


@pytest.fixture
def noise():
    return stored.load("noise", "", train_examples=20, val_examples=5, image_size=6, classes=3)


def test_noise_has_the_asked_sizes(noise):
    assert noise.image_shape == (6, 6, 3)
    assert (noise.classes, len(noise.train), len(noise.val)) == (3, 20, 5)
    assert noise.train.images.dtype == np.uint8
    assert set(noise.train.labels) == {0, 1, 2}


def test_examples_come_back(noise, tmp_path):
    stored.write(tmp_path, noise, 2, [])
    back = stored.read_splits(tmp_path)
    np.testing.assert_array_equal(back.train.images, noise.train.images)
    np.testing.assert_array_equal(back.val.labels, noise.val.labels)
    for name in ("name", "class_names", "mean", "std", "augmentation"):
        assert getattr(back, name) == getattr(noise, name)


def test_streamed_examples_are_the_same_and_stay_on_the_disk(noise, tmp_path):
    streamed = stored.streamed(tmp_path, noise)
    assert not isinstance(streamed.train.images, np.ndarray)
    np.testing.assert_array_equal(streamed.train.images[:], noise.train.images)
    np.testing.assert_array_equal(streamed.train.labels, noise.train.labels)
    assert streamed.val is noise.val


def test_there_is_a_bank_for_each_number_of_teachers(noise, tmp_path):
    stored.write(tmp_path, noise, 2, [4, 1, 4])
    for count in (1, 4):
        read = stored.open_bank(tmp_path, count, 2).reader("train")
        assert read(np.array([0, 19, 7]), np.array([0, 1, 1])).shape == (3, count, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"bank_1", "bank_4", "splits.json", "splits.npz"}


def test_a_disk_too_small_is_named_with_its_flag(noise, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 4096}))
    with pytest.raises(errors.UserError, match="change --bank_dir"):
        stored.write(tmp_path, noise, 2, [4])
    assert not list(tmp_path.iterdir())


def test_an_unknown_dataset_is_refused():
    with pytest.raises(errors.UserError, match=r"--dataset: unknown name 'cifar'.*noise"):
        stored.load("cifar", "", 0, 1, 8, 3)
