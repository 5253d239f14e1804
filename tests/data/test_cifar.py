"""CIFAR from a prepared folder, and the refusal where there is none."""

import dataclasses
import socket

import numpy as np
import pytest

from okd_tf import data, errors


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_data_that_is_not_prepared_is_refused_in_one_line_without_the_network(name, tmp_path, monkeypatch):
    def connect(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    with pytest.raises(errors.UserError) as refusal:
        data.load(name, str(tmp_path))
    message = str(refusal.value)
    assert message.startswith("--data_dir: ")
    assert str(tmp_path / name) in message
    assert "--download" in message
    assert "\n" not in message


def test_an_unknown_dataset_is_refused_with_the_nearest_names():
    with pytest.raises(errors.UserError, match="did you mean cifar10") as refusal:
        data.load("cifar_10")
    assert "digits" in str(refusal.value)


@pytest.mark.parametrize("name", ["", "a\nb", "a\r", "a\u2028b", "\x1b[31m"])
def test_a_class_name_that_would_not_be_one_line_of_labels_txt_is_refused(name):
    source = data.load("digits")
    with pytest.raises(errors.UserError, match=r"^--dataset: the name of class 1 of 'mine' is "):
        dataclasses.replace(source, name="mine", class_names=("fine", name))


@pytest.mark.slow
def test_cifar100_has_its_published_sizes_and_unique_ids(load_source):
    source = load_source("cifar100")
    for part, size in ((source.train, 50_000), (source.test, 10_000)):
        assert part.images.shape == (size, 32, 32, 3)
        np.testing.assert_array_equal(part.ids, np.arange(size))
        np.testing.assert_array_equal(np.bincount(part.labels), np.full(100, size // 100))
    assert source.class_names[:3] == ("apple", "aquarium_fish", "baby")
    # Means of the training pixels as published everywhere: (0.5071, 0.4865, 0.4409) of 255.
    means = source.train.images.reshape(-1, 3).mean(axis=0) / 255
    np.testing.assert_allclose(means, (0.5071, 0.4865, 0.4409), atol=1e-3)
