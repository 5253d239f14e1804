"""Which row stands where, and in which view."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.data import hashing, order

LABELS = np.array([2, 0, 0, 2, 0, 4, 0, 0, 2, 0])  # six, three and one; classes 1 and 3 have none


def _of(made, count, first=0):
    rows, shown = made(tf.range(first, first + count, dtype=tf.int64))
    assert rows.dtype == shown.dtype == tf.int64
    return rows.numpy(), shown.numpy()


def test_a_shuffled_epoch_is_two_shuffles_of_its_own_keys():
    made = order.Shuffled(11, 8, seed=5)
    for epoch in range(3):
        expected = tf.range(8, dtype=tf.int64)
        for seed in (5, 6):
            key = tf.stack(hashing.halves(hashing.splitmix64(tf.constant(epoch, tf.int64), seed)))
            expected = tf.random.experimental.index_shuffle(expected, key, tf.constant(10, tf.int64))
        rows, shown = _of(made, 8, 8 * epoch)
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_array_equal(shown, [epoch] * 8)


def test_every_round_has_each_class_once_in_an_order_of_its_own():
    rows, _ = _of(order.Balanced(LABELS, seed=3), 300)
    rounds = LABELS[rows].reshape(100, 3)
    assert {tuple(sorted(one)) for one in rounds} == {(0, 2, 4)}
    # All six orders of three classes; 100 draws miss one of them with a chance of 1e-7.
    assert len({tuple(one) for one in rounds}) == 6


@pytest.mark.parametrize(("label", "size"), [(0, 6), (2, 3), (4, 1)])
def test_every_cycle_of_a_class_has_each_of_its_rows_once_in_a_view_of_its_own(label, size):
    rows, shown = _of(order.Balanced(LABELS, seed=3), 3 * 60)
    own = LABELS[rows] == label
    cycles = rows[own].reshape(60 // size, size)
    assert {tuple(sorted(one)) for one in cycles} == {tuple(np.flatnonzero(label == LABELS))}
    np.testing.assert_array_equal(shown[own], np.repeat(np.arange(60 // size), size))
    if size > 1:
        assert len({tuple(one) for one in cycles}) > 1


def test_orders_of_a_class_s_cycles_and_of_other_classes_have_nothing_in_common():
    labels = np.arange(2000) % 2
    rows, _ = _of(order.Balanced(labels, seed=0), 2 * 1000 * 3)
    orders = [
        rows[labels[rows] == label][1000 * cycle :][:1000] // 2 for label in (0, 1) for cycle in range(3)
    ]
    for one, other in itertools.combinations(orders, 2):
        # Two random orders differ by the same shift at about 6 places and never at 20.
        assert np.bincount((other - one) % 1000).max() < 20


def test_a_part_of_a_balanced_order_is_the_same_wherever_it_begins():
    made = order.Balanced(LABELS, seed=3)
    whole = _of(made, 100)
    for first in (1, 37, 99):
        for part, expected in zip(_of(made, 100 - first, first), whole, strict=True):
            np.testing.assert_array_equal(part, expected[first:])


def test_another_seed_balances_in_another_order():
    (one, _), (other, _) = (_of(order.Balanced(LABELS, seed), 100) for seed in (3, 4))
    assert np.any(one != other)


def test_of_one_class_balanced_shows_all_rows_once_an_epoch():
    rows, shown = _of(order.Balanced(np.zeros(5, int), seed=1), 10)
    assert sorted(rows[:5]) == sorted(rows[5:]) == list(range(5))
    assert shown.tolist() == [0] * 5 + [1] * 5
