"""Teachers weighed by how well they know the label."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import confidence, mean, mixed_labels


def _softmax(logits):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _weights(target, teachers):
    """The paper's, of the teachers [teachers, classes] that are heard, as they are written."""
    if len(teachers) == 1:
        return np.ones(1)
    errors = np.array([-np.sum(target * np.log(_softmax(teacher))) for teacher in teachers])
    return (1 - np.exp(errors) / np.exp(errors).sum()) / (len(teachers) - 1)


def _value(target, student, teachers, tau, ce_weight):
    cross_entropy = -np.sum(target * np.log(_softmax(student)))
    if not len(teachers):
        return cross_entropy
    q = _softmax(student / tau)
    divergences = [np.sum(p * np.log(p / q)) for p in _softmax(teachers / tau)]
    soft = tau**2 * np.sum(_weights(target, teachers) * divergences)
    return (1 - ce_weight) * soft + ce_weight * cross_entropy


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("teachers", [1, 2, 4])
def test_value_is_the_paper_s_formula_over_the_teachers_that_are_heard(mixed, teachers, rng):
    batch, classes, tau, ce_weight = 50, 4, 2.0, 0.3
    first, second = rng.integers(0, classes, (2, batch))
    share = rng.uniform(0.1, 1.0, batch) if mixed else np.ones(batch)
    student, logits = rng.normal(size=(batch, classes)), 2 * rng.normal(size=(batch, teachers, classes))
    heard = rng.integers(0, 2, (batch, teachers)).astype(bool)
    heard[0], heard[1] = False, True
    targets = (
        share[:, np.newaxis] * np.eye(classes)[first] + (1 - share)[:, np.newaxis] * np.eye(classes)[second]
    )
    expected = [
        _value(target, own, told[listened], tau, ce_weight)
        for target, own, told, listened in zip(targets, student, logits, heard, strict=True)
    ]
    labels = mixed_labels.Labels(*map(tf.constant, (first, second, share))) if mixed else tf.constant(first)
    value = confidence.loss(
        labels, tf.constant(student), tf.constant(logits), tau, ce_weight, heard=tf.constant(heard)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def _normalised(labels, teachers, heard=None):
    heard = np.ones(np.shape(teachers)[:2], bool) if heard is None else heard
    weights = confidence.weights(tf.constant(labels), tf.constant(teachers, tf.float32), tf.constant(heard))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def test_weights_by_hand():
    # Probabilities of the label 1/2, 1/4 and 1/4: exp(CE) is 2, 4 and 4, of 10.
    teachers = np.log([[[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]])
    np.testing.assert_allclose(_normalised([0], teachers), [[0.4, 0.3, 0.3]], rtol=1e-6)
    heard = np.array([[True, False, True]])
    np.testing.assert_allclose(_normalised([0], teachers, heard), [[2 / 3, 0.0, 1 / 3]], rtol=1e-6)


def test_teachers_that_know_the_label_alike_teach_alike_and_one_that_does_not_at_all_does_not_teach():
    alike = np.array([[[5.0, 0.0, 1.0], [5.0, 1.0, 0.0]]], np.float32)
    np.testing.assert_allclose(_normalised([0], alike), [[0.5, 0.5]], rtol=1e-6)
    for far in (1e2, 1e4, 1e30):
        teachers = np.array([[[5.0, 0.0], [0.0, far], [5.0, 0.0]]], np.float32)
        np.testing.assert_allclose(_normalised([0], teachers), [[0.5, 0.0, 0.5]], atol=1e-6)


def test_a_wrong_teacher_teaches_less_than_in_the_mean_but_teaches():
    student = tf.zeros([1, 2])
    both = tf.constant([[[2.0, 0.0], [0.0, 2.0]]])
    weights = _normalised([0], both)[0]
    assert 0.0 < weights[1] < 0.5 < weights[0]
    value, equal = (loss(tf.constant([0]), student, both) for loss in (confidence.loss, mean.loss))
    np.testing.assert_allclose(value, equal, rtol=1e-6)  # both are as far from the student
    towards = tf.constant([[1.0, 0.0]])
    value, equal = (loss(tf.constant([0]), towards, both) for loss in (confidence.loss, mean.loss))
    assert value[0] < equal[0]
