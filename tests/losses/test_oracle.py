"""The oracle loss: only teachers that are right teach."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, mean, oracle

LN3, LN9 = math.log(3.0), math.log(9.0)
KL_OF_3_TO_1 = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # (3/4, 1/4) against (1/2, 1/2)
KL_OF_9_TO_1 = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)


def _softmax(logits):
    powers = np.exp(logits - np.max(logits))
    return powers / powers.sum()


def _by_the_definition(label, student, teachers, tau, ce_weight):
    """One example, teacher by teacher, as the formula is written."""
    divergences = []
    for teacher in teachers:
        if list(teacher).index(max(teacher)) == label:
            p, q = _softmax(teacher / tau), _softmax(student / tau)
            divergences.append(tau**2 * sum(p * (np.log(p) - np.log(q))))
    cross_entropy = -math.log(_softmax(student)[label])
    if not divergences:
        return cross_entropy
    return (1 - ce_weight) * sum(divergences) / len(divergences) + ce_weight * cross_entropy


def _random_batch(rng, batch=60, teachers=3, classes=4):
    labels = rng.integers(0, classes, batch)
    logits = rng.normal(size=(batch, teachers, classes)) * 2
    return labels, rng.normal(size=(batch, classes)) * 2, logits


def _gradient(labels, student, teachers, *args):
    student = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = oracle.loss(tf.constant(labels), student, tf.constant(teachers), *args)
    return tape.gradient(loss, student).numpy()


@pytest.mark.parametrize(
    ("label", "teachers", "expected"),
    [
        (0, [[LN3, 0.0]], KL_OF_3_TO_1),
        (1, [[LN3, 0.0]], math.log(2.0)),
        (0, [[LN3, 0.0], [0.0, LN9]], KL_OF_3_TO_1),
        (1, [[LN3, 0.0], [0.0, LN9]], KL_OF_9_TO_1),
        (0, [[LN3, 0.0], [LN9, 0.0]], (KL_OF_3_TO_1 + KL_OF_9_TO_1) / 2),
        (0, [[LN3, 0.0], [LN9, 0.0], [0.0, LN9]], (KL_OF_3_TO_1 + KL_OF_9_TO_1) / 2),
        (1, [[LN3, 0.0], [LN9, 0.0]], math.log(2.0)),
    ],
)
def test_value_by_hand_against_an_undecided_student(label, teachers, expected):
    value = oracle.loss(tf.constant([label]), tf.zeros([1, 2]), tf.constant([teachers]))
    np.testing.assert_allclose(value, [expected], rtol=1e-5)


def test_temperature_divides_logits_and_its_square_multiplies_the_divergence():
    teachers = tf.constant([[[2 * LN3, 0.0]]])
    value = oracle.loss(tf.constant([0]), tf.zeros([1, 2]), teachers, temperature=2.0)
    np.testing.assert_allclose(value, [4 * KL_OF_3_TO_1], rtol=1e-5)


def test_temperature_does_not_touch_examples_that_no_teacher_gets_right():
    teachers, student = tf.constant([[[0.0, 5.0]]]), tf.constant([[1.0, 2.0]])
    value = oracle.loss(tf.constant([0]), student, teachers, temperature=4.0, ce_weight=0.3)
    np.testing.assert_allclose(value, [math.log(1 + math.e)], rtol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("ce_weight", [0.0, 0.3])
def test_value_is_the_definition_example_by_example(rng, tau, ce_weight):
    labels, student, teachers = _random_batch(rng)
    value = oracle.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), tau, ce_weight)
    expected = [
        _by_the_definition(*example, tau, ce_weight)
        for example in zip(labels, student, teachers, strict=True)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_gradient_is_that_of_the_cross_entropy_to_the_mean_right_target(rng, tau):
    labels, student, teachers = _random_batch(rng)
    expected = []
    for label, s, ts in zip(labels, student, teachers, strict=True):
        right = [_softmax(teacher / tau) for teacher in ts if np.argmax(teacher) == label]
        if right:
            expected.append(tau * (_softmax(s / tau) - np.mean(right, axis=0)))
        else:
            expected.append(_softmax(s) - np.eye(len(s))[label])
    np.testing.assert_allclose(_gradient(labels, student, teachers, tau), expected, rtol=1e-9, atol=1e-12)


def test_gradient_is_the_slope_of_the_value(rng):
    labels, student, teachers = _random_batch(rng, batch=10)
    gradient = _gradient(labels, student, teachers, 2.0, 0.3)
    for entry in range(student.shape[1]):
        step = 1e-5 * np.eye(student.shape[1])[entry]
        above, below = (
            oracle.loss(tf.constant(labels), tf.constant(moved), tf.constant(teachers), 2.0, 0.3).numpy()
            for moved in (student + step, student - step)
        )
        np.testing.assert_allclose(gradient[:, entry], (above - below) / 2e-5, rtol=1e-5, atol=1e-8)


def test_oracle_ignores_the_wrong_teacher(rng):
    labels = tf.constant([1, 2])
    student = tf.constant(rng.normal(size=(2, 3)))
    right = np.array([[0.0, 2.0, 1.0], [0.5, 0.0, 3.0]])
    values = []
    for wrong in ([[9.0, 0.0, 0.0], [0.0, 7.0, 0.0]], [[1.0, 0.0, 0.9], [1.1, 0.0, 1.0]]):
        teachers = tf.constant(np.stack([right, wrong], axis=1))
        values.append(oracle.loss(labels, student, teachers, 2.0))
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_allclose(values[0], oracle.loss(labels, student, right[:, np.newaxis], 2.0), rtol=1e-12)


def test_all_teachers_right_is_the_mean_loss(rng):
    labels, student, teachers = _random_batch(rng)
    teachers[np.arange(len(labels)), :, labels] = 10.0
    arguments = (tf.constant(labels), tf.constant(student), tf.constant(teachers), 3.0, 0.2)
    np.testing.assert_allclose(oracle.loss(*arguments), mean.loss(*arguments), rtol=1e-12)


def test_all_teachers_wrong_is_the_cross_entropy(rng):
    labels, student, teachers = _random_batch(rng)
    teachers[np.arange(len(labels)), :, labels] = -10.0
    value = oracle.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), 3.0, 0.2)
    np.testing.assert_array_equal(value, ce.loss(tf.constant(labels), tf.constant(student)))


def test_a_student_like_its_only_right_teacher_has_nothing_to_learn():
    teachers = np.array([[[3.0, 1.0, 0.0], [0.0, 5.0, 0.0]]])
    student = teachers[:, 0] + 7.0
    labels = np.array([0])
    value = oracle.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), 2.0)
    np.testing.assert_allclose(value, [0.0], atol=1e-12)
    np.testing.assert_allclose(_gradient(labels, student, teachers, 2.0), np.zeros((1, 3)), atol=1e-12)


def test_of_tied_logits_the_first_is_the_prediction():
    teachers = tf.constant([[[1.0, 1.0, 0.0]]] * 3)
    assert oracle.right(tf.constant([0, 1, 2]), teachers, tf.ones([3, 1], tf.bool)).numpy().tolist() == [
        [1.0],
        [0.0],
        [0.0],
    ]


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_right_compares_each_teacher_with_the_label(dtype):
    teachers = tf.constant([[[0.0, 1.0], [1.0, 0.0]], [[3.0, 2.0], [2.0, 1.0]]])
    assert oracle.right(tf.constant([0, 0], dtype), teachers, tf.ones([2, 2], tf.bool)).numpy().tolist() == [
        [0.0, 1.0],
        [1.0, 1.0],
    ]


def test_a_single_teacher_teaches_what_it_knows_and_the_label_the_rest(rng):
    labels, student, teachers = _random_batch(rng, teachers=1)
    arguments = (tf.constant(labels), tf.constant(student), tf.constant(teachers), 2.0)
    is_right = teachers[:, 0].argmax(axis=1) == labels
    assert 0 < is_right.sum() < len(labels)
    expected = np.where(is_right, mean.loss(*arguments), ce.loss(arguments[0], arguments[1]))
    np.testing.assert_allclose(oracle.loss(*arguments), expected, rtol=1e-12)


def test_confident_logits_stay_finite():
    teachers, student = tf.constant([[[500.0, -500.0], [-500.0, 500.0]]]), tf.constant([[-500.0, 500.0]])
    value = oracle.loss(tf.constant([0]), student, teachers)
    np.testing.assert_allclose(value, [1000.0], rtol=1e-6)
    assert np.all(np.isfinite(_gradient([0], student.numpy(), teachers.numpy())))
