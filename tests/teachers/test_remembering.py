"""Whether accuracies say that carved images are remembered."""

import numpy as np
import pytest

from okd_tf.teachers import memory


@pytest.mark.parametrize(
    ("train", "carved", "given", "expected"),
    [
        (0.99, 0.99, 0.63, True),  # knows by heart what it is measured on
        (0.99, 0.64, 0.63, False),  # overfits, and was not trained on the carved images
        (0.65, 0.64, 0.63, False),  # overfits nothing
        (0.99, 0.99, 0.985, False),  # an easy task: a gap that matters little
        (0.99, 0.80, 0.63, False),  # knows some of them, or they are easier: not as well as training images
        (1.0, 1.0, 0.63, True),
        (0.99, 0.99, None, False),  # equality alone proves nothing
    ],
)
def test_memory_is_known_by_images_that_cannot_have_been_seen(train, carved, given, expected):
    given = None if given is None else (given, 2000)
    assert memory.remembers((train, 8000), (carved, 1000), given) is expected


def test_few_images_prove_nothing():
    assert not memory.remembers((1.0, 40), (1.0, 8), (0.7, 10))


def test_equal_shares_are_seldom_taken_for_different_ones():
    """Of draws of one share, about one in a thousand may look higher."""
    right = np.random.default_rng(0).binomial(500, 0.8, (4000, 2)) / 500
    higher = [memory.is_higher((one, 500), (other, 500)) for one, other in right.tolist()]
    assert np.mean(higher) < 0.003


def test_all_right_is_not_higher_than_all_right():
    assert not memory.is_higher((1.0, 10), (1.0, 20))
    assert not memory.is_higher((0.0, 10), (0.0, 20))
