"""Cross-entropy to the label."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, mixed_labels


def test_value_is_minus_log_of_the_label_s_probability():
    logits = tf.constant([[math.log(3.0), 0.0], [math.log(3.0), 0.0], [0.0, 0.0]])
    expected = [math.log(4 / 3), math.log(4), math.log(2)]
    np.testing.assert_allclose(ce.loss(tf.constant([0, 1, 1]), logits), expected, rtol=1e-6)


def test_teachers_temperature_and_weight_change_nothing(rng):
    labels, logits = tf.constant([1, 2, 0]), tf.constant(rng.normal(size=(3, 4)), tf.float32)
    teachers = tf.constant(rng.normal(size=(3, 2, 4)), tf.float32)
    np.testing.assert_array_equal(
        ce.loss(labels, logits), ce.loss(labels, logits, teachers, temperature=4.0, ce_weight=0.3)
    )


@pytest.mark.parametrize("label", [0, 1, 2])
def test_gradient_is_probability_minus_label(label):
    logits = tf.constant([[0.5, -1.0, 2.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = ce.loss(tf.constant([label]), logits)
    probabilities = np.exp([0.5, -1.0, 2.0]) / np.exp([0.5, -1.0, 2.0]).sum()
    np.testing.assert_allclose(tape.gradient(loss, logits)[0], probabilities - np.eye(3)[label], rtol=1e-12)


def test_smoothing_gives_its_share_to_all_classes_alike(rng):
    labels, logits = tf.constant([1, 3, 0]), tf.constant(rng.normal(size=(3, 4)), tf.float32)
    of_each = np.stack([ce.loss(tf.fill([3], label), logits) for label in range(4)])
    expected = 0.9 * np.take_along_axis(of_each, labels.numpy()[None], axis=0)[0] + 0.1 * of_each.mean(axis=0)
    np.testing.assert_allclose(ce.loss(labels, logits, label_smoothing=0.1), expected, rtol=1e-6)


def test_without_smoothing_it_is_the_same_to_the_bit(rng):
    labels, logits = tf.constant([1, 3, 0]), tf.constant(rng.normal(size=(3, 4)), tf.float32)
    np.testing.assert_array_equal(ce.loss(labels, logits, label_smoothing=0.0), ce.loss(labels, logits))


def test_with_smoothing_the_loss_is_least_where_the_label_has_its_share(rng):
    # Of three classes and 0.3: 0.8, 0.1, 0.1.
    labels, logits = tf.constant([0]), tf.Variable(tf.math.log([[0.8, 0.1, 0.1]]))
    with tf.GradientTape() as tape:
        loss = ce.loss(labels, logits, label_smoothing=0.3)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[0.0, 0.0, 0.0]], atol=1e-6)


def test_a_mixed_image_s_labels_are_smoothed_by_their_shares(rng):
    logits = tf.constant(rng.normal(size=(2, 4)), tf.float32)
    first, second, share = tf.constant([1, 3]), tf.constant([2, 3]), tf.constant([0.75, 1.0])
    one, other = (ce.loss(labels, logits, label_smoothing=0.1) for labels in (first, second))
    mixed = ce.loss(mixed_labels.Labels(first, second, share), logits, label_smoothing=0.1)
    np.testing.assert_allclose(mixed, share * one + (1 - share) * other, rtol=1e-6)
