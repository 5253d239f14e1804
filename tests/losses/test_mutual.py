"""The loss of a student that learns with peers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, mean, mutual

LN3 = math.log(3.0)
UNDECIDED, SURE = [0.0, 0.0], [LN3, 0.0]  # (1/2, 1/2) and (3/4, 1/4)
FROM_SURE = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # KL(sure || undecided)
FROM_UNDECIDED = 0.5 * math.log(2 / 3) + 0.5 * math.log(2.0)  # KL(undecided || sure)


def _value(label, student, peers, *args):
    return float(mutual.loss(tf.constant([label]), tf.constant([student]), tf.constant([peers]), *args)[0])


def test_values_of_two_students_by_hand():
    for label in (0, 1):
        assert _value(label, UNDECIDED, [SURE]) == pytest.approx(math.log(2.0) + FROM_SURE, rel=1e-5)
    # The same pair from the other side: its peer's word is the first argument of the divergence.
    assert _value(0, SURE, [UNDECIDED]) == pytest.approx(math.log(4 / 3) + FROM_UNDECIDED, rel=1e-5)
    assert _value(1, SURE, [UNDECIDED]) == pytest.approx(math.log(4.0) + FROM_UNDECIDED, rel=1e-5)


def test_temperature_and_ce_weight_are_on_the_divergence_alone():
    twice = [2 * LN3, 0.0]
    assert _value(0, UNDECIDED, [twice], 2.0) == pytest.approx(math.log(2.0) + 4 * FROM_SURE, rel=1e-5)
    assert _value(0, UNDECIDED, [SURE], 1.0, 0.25) == pytest.approx(
        math.log(2.0) + 0.75 * FROM_SURE, rel=1e-5
    )


def test_of_several_peers_the_divergences_are_averaged():
    value = _value(1, UNDECIDED, [SURE, UNDECIDED, UNDECIDED])
    assert value == pytest.approx(math.log(2.0) + FROM_SURE / 3, rel=1e-5)


def test_is_the_cross_entropy_and_the_distillation_from_all_peers(rng):
    labels, student = tf.constant([0, 1, 2, 0]), tf.constant(rng.normal(size=(4, 3)))
    peers = tf.constant(rng.normal(size=(4, 2, 3)))
    for weight in (0.0, 0.3):
        expected = ce.loss(labels, student) + (1 - weight) * mean.loss(labels, student, peers, 3.0)
        np.testing.assert_allclose(mutual.loss(labels, student, peers, 3.0, weight), expected, rtol=1e-12)


def test_equal_students_have_the_cross_entropy_and_its_gradient(rng):
    labels, logits = tf.constant([0, 1, 2, 0]), tf.constant(rng.normal(size=(4, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        value = mutual.loss(labels, logits, logits[:, tf.newaxis], 2.0)
        expected = ce.loss(labels, logits)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(tape.gradient(value, logits), tape.gradient(expected, logits), atol=1e-12)


def test_no_gradient_flows_into_the_peers():
    student, peers = tf.constant([UNDECIDED]), tf.constant([[SURE]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([student, peers])
        value = mutual.loss(tf.constant([0]), student, peers)
    assert tape.gradient(value, peers) is None
    # softmax(s) - onehot + softmax(s) - p, with s = (1/2, 1/2), p = (3/4, 1/4).
    np.testing.assert_allclose(tape.gradient(value, student), [[-0.75, 0.75]], rtol=1e-5)
