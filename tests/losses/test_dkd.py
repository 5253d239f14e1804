"""Decoupled distillation."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, dkd, mean

# p = (1/2, 3/8, 1/8) of a teacher with these logits, against q = (1/3, 1/3, 1/3).
TEACHER = [[[math.log(4.0), math.log(3.0), 0.0]]]
TCKD = {0: 0.5 * math.log(0.5 * 3) + 0.5 * math.log(0.5 * 1.5)}
TCKD[1] = 3 / 8 * math.log(3 / 8 * 3) + 5 / 8 * math.log(5 / 8 * 1.5)
NCKD = {0: 3 / 4 * math.log(3 / 4 * 2) + 1 / 4 * math.log(1 / 4 * 2)}
NCKD[1] = 4 / 5 * math.log(4 / 5 * 2) + 1 / 5 * math.log(1 / 5 * 2)


def _softmax(logits):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _by_the_definition(label, student, teachers, tau, alpha, beta, ce_weight=0.0):
    """One example, with the probabilities of the paper written out."""
    p = np.mean([_softmax(teacher / tau) for teacher in teachers], axis=0)
    q = _softmax(student / tau)
    tckd = p[label] * np.log(p[label] / q[label]) + (1 - p[label]) * np.log((1 - p[label]) / (1 - q[label]))
    p_others, q_others = (np.delete(of, label) / (1 - of[label]) for of in (p, q))
    nckd = np.sum(p_others * np.log(p_others / q_others))
    divergence = tau**2 * (alpha * tckd + beta * nckd)
    return (1 - ce_weight) * divergence - ce_weight * math.log(_softmax(student)[label])


def _random_batch(rng, batch=40, teachers=3, classes=5):
    labels = rng.integers(0, classes, batch)
    return labels, rng.normal(size=(batch, classes)) * 2, rng.normal(size=(batch, teachers, classes)) * 2


def _gradient(labels, student, teachers, *args, **settings):
    student = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = dkd.loss(tf.constant(labels), student, tf.constant(teachers), *args, **settings)
    return tape.gradient(loss, student).numpy()


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.0, 1.0), (2.0, 3.0)])
def test_value_by_hand_against_an_undecided_student(label, alpha, beta):
    value = dkd.loss(
        tf.constant([label]), tf.zeros([1, 3]), tf.constant(TEACHER), dkd_alpha=alpha, dkd_beta=beta
    )
    np.testing.assert_allclose(value, [alpha * TCKD[label] + beta * NCKD[label]], rtol=1e-5)


def test_unless_told_alpha_is_one_and_beta_eight():
    value = dkd.loss(tf.constant([0]), tf.zeros([1, 3]), tf.constant(TEACHER))
    np.testing.assert_allclose(value, [TCKD[0] + 8 * NCKD[0]], rtol=1e-5)


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("ce_weight", [0.0, 0.3])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 8.0), (0.5, 2.0)])
@pytest.mark.parametrize("teachers", [1, 3])
def test_value_is_the_definition_example_by_example(rng, tau, ce_weight, alpha, beta, teachers):
    labels, student, teachers = _random_batch(rng, teachers=teachers)
    tensors = (tf.constant(labels), tf.constant(student), tf.constant(teachers))
    value = dkd.loss(*tensors, tau, ce_weight, dkd_alpha=alpha, dkd_beta=beta)
    expected = [
        _by_the_definition(*example, tau, alpha, beta, ce_weight)
        for example in zip(labels, student, teachers, strict=True)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize("teachers", [1, 3])
def test_alpha_of_one_and_beta_of_what_is_not_the_label_s_is_plain_distillation(rng, teachers):
    """KL(p || q) = TCKD + (1 - p_y) NCKD, the identity of the paper, in value and gradient."""
    labels, student, teachers = _random_batch(rng, teachers=teachers)
    tau = 3.0
    p = _softmax(teachers / tau).mean(axis=1)
    beta = tf.constant(1.0 - p[np.arange(len(labels)), labels])
    value = dkd.loss(
        tf.constant(labels), tf.constant(student), tf.constant(teachers), tau, dkd_alpha=1.0, dkd_beta=beta
    )
    # As of one teacher that says the mean target.
    as_one = tf.constant(tau * np.log(p)[:, np.newaxis])
    plain = mean.loss(tf.constant(labels), tf.constant(student), as_one, tau)
    np.testing.assert_allclose(value, plain, rtol=1e-9, atol=1e-12)
    gradient = _gradient(labels, student, teachers, tau, dkd_alpha=1.0, dkd_beta=beta)
    np.testing.assert_allclose(gradient, tau * (_softmax(student / tau) - p), rtol=1e-8, atol=1e-12)


def test_gradient_is_the_slope_of_the_value(rng):
    labels, student, teachers = _random_batch(rng, batch=10)
    gradient = _gradient(labels, student, teachers, 2.0, 0.3, dkd_beta=3.0)
    for entry in range(student.shape[1]):
        step = 1e-5 * np.eye(student.shape[1])[entry]
        above, below = (
            dkd.loss(
                tf.constant(labels), tf.constant(moved), tf.constant(teachers), 2.0, 0.3, dkd_beta=3.0
            ).numpy()
            for moved in (student + step, student - step)
        )
        np.testing.assert_allclose(gradient[:, entry], (above - below) / 2e-5, rtol=1e-5, atol=1e-8)


def test_the_label_s_logit_leaves_what_is_said_of_the_others_alone(rng):
    labels, student, teachers = _random_batch(rng)
    arguments = (2.0, 0.0)
    value = dkd.loss(
        tf.constant(labels), tf.constant(student), tf.constant(teachers[:, :1]), *arguments, dkd_alpha=0.0
    )
    rows = np.arange(len(labels))
    student[rows, labels] += rng.normal(size=len(labels))
    teachers[rows, 0, labels] += rng.normal(size=len(labels))
    moved = dkd.loss(
        tf.constant(labels), tf.constant(student), tf.constant(teachers[:, :1]), *arguments, dkd_alpha=0.0
    )
    np.testing.assert_allclose(moved, value, rtol=1e-9, atol=1e-12)
    gradient = _gradient(labels, student, teachers, *arguments, dkd_alpha=0.0)
    np.testing.assert_allclose(gradient[rows, labels], np.zeros(len(labels)), atol=1e-12)


def test_the_other_classes_order_leaves_what_is_said_of_the_label_alone(rng):
    labels, student, teachers = _random_batch(rng)
    labels[:] = 0
    value = dkd.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), 2.0, dkd_beta=0.0)
    turned = student[:, [0, 2, 3, 4, 1]]
    value_of_turned = dkd.loss(
        tf.constant(labels), tf.constant(turned), tf.constant(teachers), 2.0, dkd_beta=0.0
    )
    np.testing.assert_allclose(value_of_turned, value, rtol=1e-12)


def test_of_two_classes_there_is_nothing_to_say_of_the_others(rng):
    labels, student, teachers = _random_batch(rng, classes=2)
    tensors = (tf.constant(labels), tf.constant(student), tf.constant(teachers[:, :1]))
    np.testing.assert_allclose(dkd.loss(*tensors, 2.0), mean.loss(*tensors, 2.0), rtol=1e-9)


@pytest.mark.parametrize("height", [20.0, 100.0, 10000.0])
def test_a_sure_teacher_still_tells_the_others_apart(height):
    """In float32 1 - p_y is 0 here, and p^ is as it should be."""
    teacher = tf.constant([[[height, math.log(3.0), 0.0]]])
    student = tf.constant([[0.0, 0.0, 0.0]])
    value = dkd.loss(tf.constant([0]), student, teacher, dkd_alpha=0.0, dkd_beta=1.0)
    # Logits of this size are themselves this coarse.
    np.testing.assert_allclose(value, [NCKD[0]], rtol=1e-6 + 2 * np.spacing(np.float32(height)))


def test_teachers_count_by_what_they_leave_to_the_others():
    """p^ is of the mean target, not the mean of each p^: a teacher that is sure of the label says little."""
    teachers = np.log([[[0.98, 0.01, 0.01], [0.2, 0.6, 0.2]]])
    value = dkd.loss(tf.constant([0]), tf.zeros([1, 3], tf.float64), tf.constant(teachers), dkd_alpha=0.0)
    p = np.array([0.61, 0.21]) / 0.82
    np.testing.assert_allclose(value, [8 * np.sum(p * np.log(2 * p))], rtol=1e-9)


def test_right_and_wrong_teachers_alike_teach(rng):
    labels, student, teachers = _random_batch(rng)
    for height in (10.0, -10.0):  # all right, none right
        teachers[np.arange(len(labels)), :, labels] = height
        value = dkd.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), 2.0)
        expected = [
            _by_the_definition(*example, 2.0, 1.0, 8.0)
            for example in zip(labels, student, teachers, strict=True)
        ]
        np.testing.assert_allclose(value, expected, rtol=1e-7)


def test_tied_teachers_count_equally():
    teachers = tf.constant([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]])
    for label in (0, 1):
        both = dkd.loss(tf.constant([label]), tf.zeros([1, 3]), teachers)
        one = dkd.loss(tf.constant([label]), tf.zeros([1, 3]), teachers[:, :1])
        np.testing.assert_allclose(both, one, rtol=1e-6)


def test_full_weight_of_the_label_is_the_cross_entropy(rng):
    labels, student, teachers = _random_batch(rng)
    value = dkd.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), 3.0, 1.0)
    np.testing.assert_allclose(value, ce.loss(tf.constant(labels), tf.constant(student)), rtol=1e-12)
