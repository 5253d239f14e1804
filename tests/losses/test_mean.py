"""Distillation from the whole ensemble."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import ce, mean

LN3, LN9 = math.log(3.0), math.log(9.0)


def test_value_is_the_average_of_the_divergences_by_hand():
    # Teachers (3/4, 1/4) and (9/10, 1/10) against an undecided student.
    teachers = tf.constant([[[LN3, 0.0], [LN9, 0.0]]])
    first = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    second = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    for label in (0, 1):
        value = mean.loss(tf.constant([label]), tf.zeros([1, 2]), teachers)
        np.testing.assert_allclose(value, [(first + second) / 2], rtol=1e-5)


def test_value_is_the_formula_written_out(rng):
    labels = rng.integers(0, 5, 7)
    student, teachers = rng.normal(size=(7, 5)) * 2, rng.normal(size=(7, 3, 5)) * 2

    def divergence(teacher, student, tau):
        p, q = np.exp(teacher / tau), np.exp(student / tau)
        p, q = p / p.sum(), q / q.sum()
        return tau**2 * np.sum(p * np.log(p / q))

    for tau in (1.0, 4.0):
        expected = [
            np.mean([divergence(teacher, s, tau) for teacher in ts])
            for s, ts in zip(student, teachers, strict=True)
        ]
        value = mean.loss(tf.constant(labels), tf.constant(student), tf.constant(teachers), tau)
        np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_ignores_the_label_without_ce_weight(rng):
    student = tf.constant(rng.normal(size=(4, 3)))
    teachers = tf.constant(rng.normal(size=(4, 2, 3)))
    one = mean.loss(tf.constant([0, 1, 2, 0]), student, teachers, 2.0)
    other = mean.loss(tf.constant([2, 2, 0, 1]), student, teachers, 2.0)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("ce_weight", [0.0, 0.25, 1.0])
def test_is_a_convex_mixture_with_the_cross_entropy(rng, ce_weight):
    labels, student = tf.constant([0, 1, 2, 0]), tf.constant(rng.normal(size=(4, 3)))
    teachers = tf.constant(rng.normal(size=(4, 2, 3)))
    divergence = mean.loss(labels, student, teachers, 3.0)
    expected = (1 - ce_weight) * divergence + ce_weight * ce.loss(labels, student)
    np.testing.assert_allclose(mean.loss(labels, student, teachers, 3.0, ce_weight), expected, rtol=1e-12)
