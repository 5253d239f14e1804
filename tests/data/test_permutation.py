"""Permutations of few and of many places."""

import collections
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.data import permutation


def _swapped(size, keys, seed=3):
    """The permutations of these keys: int64 [keys, size]."""
    places, of = np.tile(np.arange(size), len(keys)), np.repeat(keys, size)
    found = permutation.swapped(
        tf.constant(places), tf.fill(len(places), tf.constant(size, tf.int64)), tf.constant(of), seed
    )
    return found.numpy().reshape(len(keys), size)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 257])
def test_each_key_s_is_a_permutation(size):
    for one in _swapped(size, np.arange(30)):
        assert sorted(one) == list(range(size))


@pytest.mark.parametrize(("size", "bound"), [(2, 10.8), (3, 20.5), (4, 49.7)])
def test_no_permutation_is_favoured(size, bound):
    drawn = collections.Counter(map(tuple, _swapped(size, np.arange(6000)).tolist()))
    count = math.factorial(size)
    assert len(drawn) == count
    # Chi-square with count - 1 degrees of freedom: 1 in 1000 is above the bound.
    assert sum((times - 6000 / count) ** 2 / (6000 / count) for times in drawn.values()) < bound


def test_permutations_of_keys_that_follow_each_other_have_nothing_in_common():
    size = 5000
    orders = [np.arange(size), *_swapped(size, np.arange(6)), *_swapped(size, np.arange(2), seed=4)]
    for one, other in itertools.combinations(orders, 2):
        # Two random orders differ by the same shift, or are mirrored about the same place, at about 7 places.
        assert np.bincount((other - one) % size).max() < 20
        assert np.bincount((other + one) % size).max() < 20


def test_a_place_s_own_size_and_key_alone_count():
    sizes, keys = np.array([5, 1, 300, 5]), np.array([7, 7, 2, 8])
    together = permutation.swapped(
        tf.constant([4, 0, 17, 4], tf.int64), tf.constant(sizes), tf.constant(keys), 3
    )
    alone = [_swapped(size, np.array([key]))[0] for size, key in zip(sizes, keys, strict=True)]
    assert together.numpy().tolist() == [alone[0][4], 0, alone[2][17], alone[3][4]]
