"""Wrong teachers heard only about the classes that they do not get wrong."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, masked, mean


def _softmax(logits):
    powers = np.exp(logits - np.max(logits))
    return powers / powers.sum()


def _value(label, student, teachers, tau, ce_weight):
    """One example, teacher by teacher, as the formula is written."""
    cross_entropy = -math.log(_softmax(student)[label])
    if not len(teachers):
        return cross_entropy
    divergence = wrong = 0.0
    for teacher in teachers:
        classes = np.arange(len(teacher))
        if np.argmax(teacher) != label:
            wrong += 1 / len(teachers)
            classes = [k for k in classes if teacher[k] < teacher[label]]
        if len(classes) > 1:
            p, q = _softmax(teacher[classes] / tau), _softmax(student[classes] / tau)
            divergence += tau**2 * np.sum(p * np.log(p / q)) / len(teachers)
    return (1 - ce_weight) * (divergence + wrong * cross_entropy) + ce_weight * cross_entropy


def _batch(rng, batch=80, teachers=3, classes=5):
    labels = rng.integers(0, classes, batch)
    return labels, rng.normal(size=(batch, classes)) * 2, rng.normal(size=(batch, teachers, classes)) * 2


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("ce_weight", [0.0, 0.3])
def test_value_is_the_definition_over_the_teachers_that_are_heard(rng, tau, ce_weight):
    labels, student, teachers = _batch(rng)
    heard = rng.integers(0, 2, teachers.shape[:2]).astype(bool)
    heard[0] = False
    value = masked.loss(
        *map(tf.constant, (labels, student, teachers)), tau, ce_weight, heard=tf.constant(heard)
    )
    expected = [
        _value(label, own, told[listened], tau, ce_weight)
        for label, own, told, listened in zip(labels, student, teachers, heard, strict=True)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        # The teacher says (4, 2, 1, 1) / 8, the student (1, 1, 1, 3) / 6.
        (0, 0.5 * math.log(3.0) + 0.25 * math.log(1.5) + math.log(0.75) / 8 + math.log(0.25) / 8),
        # Wrong: of 2 and 3 it says (1, 1) / 2, the student (1, 3) / 4.
        (1, 0.5 * math.log(2.0) + 0.5 * math.log(2 / 3) + math.log(6.0)),
        # Nothing is below the label, and what is level with it is masked.
        (2, math.log(6.0)),
        (3, math.log(2.0)),
    ],
)
def test_value_by_hand_of_four_classes(label, expected):
    teachers, student = np.log([[[4.0, 2.0, 1.0, 1.0]]]), np.log([[1.0, 1.0, 1.0, 3.0]])
    value = masked.loss(tf.constant([label]), tf.constant(student), tf.constant(teachers))
    np.testing.assert_allclose(value, [expected], rtol=1e-9)


def test_a_right_and_a_wrong_teacher_teach_half_each_and_the_label_for_the_wrong_one():
    student = np.log([[1.0, 1.0, 1.0, 3.0]])
    right, wrong = np.log([1.0, 4.0, 2.0, 1.0]), np.log([4.0, 2.0, 1.0, 1.0])
    p, q = np.array([1, 4, 2, 1]) / 8, np.array([1, 1, 1, 3]) / 6
    apart = 0.5 * math.log(2.0) + 0.5 * math.log(2 / 3) + math.log(6.0)
    value = masked.loss(tf.constant([1]), tf.constant(student), tf.constant([[right, wrong]]))
    np.testing.assert_allclose(value, [0.5 * np.sum(p * np.log(p / q)) + 0.5 * apart], rtol=1e-9)


def test_all_right_is_the_mean(rng):
    labels, student, teachers = _batch(rng)
    teachers[np.arange(len(labels)), :, labels] = 10.0
    tensors = tuple(map(tf.constant, (labels, student, teachers)))
    np.testing.assert_allclose(masked.loss(*tensors, 3.0, 0.2), mean.loss(*tensors, 3.0, 0.2), rtol=1e-9)


def test_what_a_wrong_teacher_thinks_of_the_label_and_of_what_it_takes_for_it_does_not_matter(rng):
    labels, student, teachers = _batch(rng, classes=6)
    rows = np.arange(len(labels))
    teachers[rows, :, labels] = 10.0
    teachers[rows, :, (labels + 1) % 6] = 11.0
    moved = teachers.copy()
    moved[rows, :, labels] += 3.0
    moved[rows, :, (labels + 1) % 6] += 5.0
    one, other = (masked.loss(*map(tf.constant, (labels, student, told)), 2.0) for told in (teachers, moved))
    np.testing.assert_allclose(one, other, rtol=1e-12)
    # And the rest does.
    assert np.max(np.abs(one - ce.loss(tf.constant(labels), tf.constant(student)))) > 0.1


def test_gradient_is_the_slope_of_the_value(rng):
    labels, student, teachers = _batch(rng, batch=12)
    variable = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = masked.loss(tf.constant(labels), variable, tf.constant(teachers), 2.0, 0.3)
    gradient = tape.gradient(loss, variable).numpy()
    for entry in range(student.shape[1]):
        step = 1e-5 * np.eye(student.shape[1])[entry]
        above, below = (
            masked.loss(*map(tf.constant, (labels, moved, teachers)), 2.0, 0.3).numpy()
            for moved in (student + step, student - step)
        )
        np.testing.assert_allclose(gradient[:, entry], (above - below) / 2e-5, rtol=1e-5, atol=1e-8)


def test_of_two_classes_a_wrong_teacher_says_nothing():
    labels, student = tf.constant([0, 1]), tf.constant([[0.3, 1.0], [2.0, 0.5]])
    teachers = tf.constant([[[0.0, 4.0]], [[4.0, 0.0]]])
    np.testing.assert_array_equal(masked.loss(labels, student, teachers), ce.loss(labels, student))
