"""Decoupled distillation from the teachers that are right."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, dkd, oracle, oracle_dkd


def _softmax(logits):
    powers = np.exp(logits - np.max(logits))
    return powers / powers.sum()


def _by_the_definition(label, student, teachers, tau, alpha, beta, ce_weight):
    cross_entropy = -np.log(_softmax(student)[label])
    right = [_softmax(teacher / tau) for teacher in teachers if list(teacher).index(max(teacher)) == label]
    if not right:
        return cross_entropy
    p, q = np.mean(right, axis=0), _softmax(student / tau)
    binary = [np.array([of[label], 1 - of[label]]) for of in (p, q)]
    others = [np.delete(of, label) / (1 - of[label]) for of in (p, q)]
    tckd, nckd = (np.sum(one * np.log(one / other)) for one, other in (binary, others))
    return (1 - ce_weight) * tau**2 * (alpha * tckd + beta * nckd) + ce_weight * cross_entropy


def _random_batch(rng, batch=60, teachers=3, classes=4):
    labels = rng.integers(0, classes, batch)
    return labels, rng.normal(size=(batch, classes)) * 2, rng.normal(size=(batch, teachers, classes)) * 2


def _tensors(*arrays):
    return tuple(tf.constant(array) for array in arrays)


def _gradient(labels, student, teachers, *args, **settings):
    labels, student, teachers = _tensors(labels, student, teachers)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = oracle_dkd.loss(labels, student, teachers, *args, **settings)
    return tape.gradient(loss, student).numpy()


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("ce_weight", [0.0, 0.3])
@pytest.mark.parametrize("teachers", [1, 3])
def test_value_is_the_definition_example_by_example(rng, tau, ce_weight, teachers):
    batch = _random_batch(rng, teachers=teachers)
    num_right = (batch[2].argmax(axis=-1) == batch[0][:, np.newaxis]).sum(axis=1)
    assert {0, 1} <= set(num_right)
    value = oracle_dkd.loss(*_tensors(*batch), tau, ce_weight, dkd_alpha=0.5, dkd_beta=2.0)
    expected = [
        _by_the_definition(*example, tau, 0.5, 2.0, ce_weight) for example in zip(*batch, strict=True)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_value_by_hand():
    # The right teacher says (1/2, 3/8, 1/8), the wrong one whatever it likes; the student is undecided.
    teachers = np.log([[[4.0, 3.0, 1.0], [1.0, 70.0, 2.0]]])
    tckd = 0.5 * np.log(1.5) + 0.5 * np.log(0.75)
    nckd = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    value = oracle_dkd.loss(tf.constant([0]), tf.zeros([1, 3], tf.float64), tf.constant(teachers))
    np.testing.assert_allclose(value, [tckd + 8 * nckd], rtol=1e-9)


def test_gradient_is_the_slope_of_the_value(rng):
    labels, student, teachers = _random_batch(rng, batch=12)
    gradient = _gradient(labels, student, teachers, 2.0, 0.3, dkd_beta=3.0)
    for entry in range(student.shape[1]):
        step = 1e-5 * np.eye(student.shape[1])[entry]
        above, below = (
            oracle_dkd.loss(*_tensors(labels, moved, teachers), 2.0, 0.3, dkd_beta=3.0).numpy()
            for moved in (student + step, student - step)
        )
        np.testing.assert_allclose(gradient[:, entry], (above - below) / 2e-5, rtol=1e-5, atol=1e-8)


def test_all_teachers_right_is_dkd(rng):
    labels, student, teachers = _random_batch(rng)
    teachers[np.arange(len(labels)), :, labels] = 10.0
    tensors = _tensors(labels, student, teachers)
    np.testing.assert_allclose(oracle_dkd.loss(*tensors, 3.0, 0.2), dkd.loss(*tensors, 3.0, 0.2), rtol=1e-12)


def test_no_teacher_right_is_the_cross_entropy_in_value_and_gradient(rng):
    labels, student, teachers = _random_batch(rng)
    teachers[np.arange(len(labels)), :, labels] = -10.0
    value = oracle_dkd.loss(*_tensors(labels, student, teachers), 3.0, 0.2)
    np.testing.assert_array_equal(value, ce.loss(*_tensors(labels, student)))
    expected = np.array([_softmax(s) for s in student]) - np.eye(4)[labels]
    np.testing.assert_allclose(_gradient(labels, student, teachers, 3.0, 0.2), expected, rtol=1e-9)


def test_a_wrong_teacher_teaches_nothing(rng):
    labels, student, teachers = _random_batch(rng, teachers=2)
    rows = np.arange(len(labels))
    teachers[rows, 0, labels] = 10.0
    teachers[rows, 1, labels] = -10.0
    both = oracle_dkd.loss(*_tensors(labels, student, teachers), 2.0)
    alone = dkd.loss(*_tensors(labels, student, teachers[:, :1]), 2.0)
    np.testing.assert_allclose(both, alone, rtol=1e-12)


def test_a_single_teacher_teaches_what_it_knows_and_the_label_the_rest(rng):
    labels, student, teachers = _random_batch(rng, teachers=1)
    tensors = _tensors(labels, student, teachers)
    is_right = teachers[:, 0].argmax(axis=1) == labels
    assert 0 < is_right.sum() < len(labels)
    expected = np.where(is_right, dkd.loss(*tensors, 2.0), ce.loss(*tensors[:2]))
    np.testing.assert_allclose(oracle_dkd.loss(*tensors, 2.0), expected, rtol=1e-12)


def test_of_tied_logits_the_first_is_the_prediction():
    student, teachers = tf.constant([[1.0, 0.0, 0.5]]), tf.constant([[[1.0, 1.0, 0.0]]])
    first, second = tf.constant([0]), tf.constant([1])
    np.testing.assert_array_equal(
        oracle_dkd.loss(first, student, teachers), dkd.loss(first, student, teachers)
    )
    np.testing.assert_array_equal(oracle_dkd.loss(second, student, teachers), ce.loss(second, student))


def test_alpha_of_one_and_beta_of_what_is_not_the_label_s_is_the_oracle_s_gradient(rng):
    labels, student, teachers = _random_batch(rng)
    tau = 2.0
    left = []
    for label, ts in zip(labels, teachers, strict=True):
        right = [_softmax(teacher / tau) for teacher in ts if np.argmax(teacher) == label]
        left.append(1.0 - np.mean(right, axis=0)[label] if right else 0.0)
    gradient = _gradient(
        labels, student, teachers, tau, dkd_alpha=1.0, dkd_beta=tf.constant(left, tf.float64)
    )
    variable = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = oracle.loss(tf.constant(labels), variable, tf.constant(teachers), tau)
    np.testing.assert_allclose(gradient, tape.gradient(loss, variable), rtol=1e-8, atol=1e-12)
