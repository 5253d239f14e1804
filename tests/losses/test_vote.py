"""Distillation from the majority."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, mean, oracle, vote
from okd_tf.teachers import diagnosis

LN3, LN9 = math.log(3.0), math.log(9.0)
KL_OF_3_TO_1 = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # (3/4, 1/4) against (1/2, 1/2)
KL_OF_9_TO_1 = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)


def _softmax(logits):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _majority(teachers):
    """The vote of one example, class by class: (votes, mean probability), and of equals the first."""
    predictions = [int(np.argmax(teacher)) for teacher in teachers]
    probabilities = np.mean([_softmax(teacher) for teacher in teachers], axis=0)
    return max(range(len(teachers[0])), key=lambda c: (predictions.count(c), probabilities[c], -c))


def _by_the_definition(label, student, teachers, tau, ce_weight):
    chosen = _majority(teachers)
    q = _softmax(student / tau)
    divergences = []
    for teacher in teachers:
        if np.argmax(teacher) == chosen:
            p = _softmax(teacher / tau)
            divergences.append(tau**2 * sum(p * np.log(p / q)))
    return (1 - ce_weight) * np.mean(divergences) - ce_weight * math.log(_softmax(student)[label])


def _random_batch(rng, batch=60, teachers=4, classes=4):
    labels = rng.integers(0, classes, batch)
    return labels, rng.normal(size=(batch, classes)) * 2, rng.normal(size=(batch, teachers, classes)) * 2


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(
    ("teachers", "expected"),
    [
        ([[LN3, 0.0]], KL_OF_3_TO_1),
        ([[LN3, 0.0], [LN9, 0.0], [0.0, LN9]], (KL_OF_3_TO_1 + KL_OF_9_TO_1) / 2),
        ([[0.0, LN3], [LN9, 0.0], [0.0, LN3]], KL_OF_3_TO_1),
        # One vote each: the surer teacher decides.
        ([[LN3, 0.0], [0.0, LN9]], KL_OF_9_TO_1),
        ([[LN9, 0.0], [0.0, LN3]], KL_OF_9_TO_1),
    ],
)
def test_value_by_hand_against_an_undecided_student_whatever_the_label(label, teachers, expected):
    value = vote.loss(tf.constant([label]), tf.zeros([1, 2]), tf.constant([teachers]))
    np.testing.assert_allclose(value, [expected], rtol=1e-5)


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("ce_weight", [0.0, 0.3])
@pytest.mark.parametrize("teachers", [1, 2, 4])
def test_value_is_the_definition_example_by_example(rng, tau, ce_weight, teachers):
    labels, student, teachers = _random_batch(rng, teachers=teachers)
    value = vote.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), tau, ce_weight)
    expected = [
        _by_the_definition(*example, tau, ce_weight)
        for example in zip(labels, student, teachers, strict=True)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_gradient_is_that_of_the_cross_entropy_to_the_mean_target_of_those_that_agree(rng):
    labels, student, teachers = _random_batch(rng)
    tau = 3.0
    variable = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = vote.loss(tf.constant(labels), variable, tf.constant(teachers), tau)
    expected = []
    for s, ts in zip(student, teachers, strict=True):
        agree = [_softmax(teacher / tau) for teacher in ts if np.argmax(teacher) == _majority(ts)]
        expected.append(tau * (_softmax(s / tau) - np.mean(agree, axis=0)))
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, rtol=1e-9, atol=1e-12)


def test_gradient_is_the_slope_of_the_value(rng):
    labels, student, teachers = _random_batch(rng, batch=10)
    arguments = (tf.constant(teachers), 2.0, 0.3)
    variable = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = vote.loss(tf.constant(labels), variable, *arguments)
    gradient = tape.gradient(loss, variable).numpy()
    for entry in range(student.shape[1]):
        step = 1e-5 * np.eye(student.shape[1])[entry]
        above, below = (
            vote.loss(tf.constant(labels), tf.constant(moved), *arguments).numpy()
            for moved in (student + step, student - step)
        )
        np.testing.assert_allclose(gradient[:, entry], (above - below) / 2e-5, rtol=1e-5, atol=1e-8)


def test_an_outvoted_teacher_teaches_nothing_even_if_it_alone_is_right(rng):
    student = tf.constant(rng.normal(size=(1, 3)))
    wrong = np.array([[0.0, 2.0, 1.0], [0.5, 4.0, 3.0]])
    values = []
    for right in ([9.0, 0.0, 0.0], [1.0, 0.0, 0.9]):
        teachers = tf.constant(np.concatenate([wrong, [right]])[np.newaxis])
        values.append(vote.loss(tf.constant([0]), student, teachers, 2.0))
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_allclose(values[0], mean.loss(tf.constant([0]), student, wrong[np.newaxis], 2.0))


def test_teachers_that_all_say_the_same_are_the_whole_ensemble(rng):
    labels, student, teachers = _random_batch(rng)
    for agreed in (labels, (labels + 1) % 4):  # all right, none right
        told = teachers.copy()
        told[np.arange(len(labels)), :, agreed] = 10.0
        arguments = (tf.constant(labels), tf.constant(student), tf.constant(told), 3.0, 0.2)
        np.testing.assert_allclose(vote.loss(*arguments), mean.loss(*arguments), rtol=1e-12)


def test_a_right_majority_is_the_oracle(rng):
    labels, student, teachers = _random_batch(rng)
    teachers[np.arange(len(labels)), :3, labels] = 10.0
    arguments = (tf.constant(labels), tf.constant(student), tf.constant(teachers), 3.0, 0.2)
    np.testing.assert_allclose(vote.loss(*arguments), oracle.loss(*arguments), rtol=1e-12)


def test_a_single_teacher_is_the_majority(rng):
    labels, student, teachers = _random_batch(rng, teachers=1)
    arguments = (tf.constant(labels), tf.constant(student), tf.constant(teachers), 3.0, 0.2)
    np.testing.assert_allclose(vote.loss(*arguments), mean.loss(*arguments), rtol=1e-12)


@pytest.mark.parametrize(
    ("teachers", "expected"),
    [
        ([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], 0),  # equals: the first class
        ([[0.0, 2.0, 0.0], [2.0, 0.0, 0.0]], 0),
        ([[2.0, 0.0, 0.0], [0.0, 2.1, 0.0]], 1),
        ([[2.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 1.9, 0.1]], 2),
        (
            [
                [3.0, 0.0, 1.7],
                [0.0, 3.0, 1.7],
                [0.0, 1.7, 3.0],
                [1.7, 0.0, 3.0],
                [1.7, 3.0, 0.0],
                [3.0, 1.7, 0.0],
            ],
            0,
        ),
        # Class 0 is the likeliest of all, and has no vote.
        ([[1.0, 1.1, -9.0], [1.0, -9.0, 1.1]], 1),
        ([[0.0, 0.0, 0.0]], 0),  # of a teacher's equals the first
    ],
)
def test_of_tied_classes_the_likeliest_is_the_vote_and_then_the_first(teachers, expected):
    assert vote.voted(tf.constant([teachers])).numpy().tolist() == [expected]


def test_the_vote_is_the_one_that_the_diagnosis_measures(rng):
    labels, _, teachers = _random_batch(rng, batch=500)
    voted = vote.voted(tf.constant(teachers)).numpy()
    assert np.mean(voted == labels) == diagnosis.diagnose(teachers.transpose(1, 0, 2), labels)["vote"]


def test_full_weight_of_the_label_is_the_cross_entropy(rng):
    labels, student, teachers = _random_batch(rng)
    value = vote.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), 3.0, 1.0)
    np.testing.assert_allclose(value, ce.loss(tf.constant(labels), tf.constant(student)), rtol=1e-12)
