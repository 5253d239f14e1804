"""Standardised logits, alone and in every loss with teachers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import KD_LOSSES, NEEDS_TEACHERS, ce, standardization

every_loss = pytest.mark.parametrize("name", sorted(NEEDS_TEACHERS))
# How sure teachers are of the label is read from their logits as they are.
every_unweighted_loss = pytest.mark.parametrize("name", sorted(NEEDS_TEACHERS - {"confidence"}))


def _standardized(logits):
    centred = logits - logits.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


def _random_batch(rng, batch=40, teachers=3, classes=4):
    labels = rng.integers(0, classes, batch)
    logits = rng.normal(size=(batch, teachers, classes)) * rng.uniform(0.5, 5.0, (batch, teachers, 1))
    return labels, rng.normal(size=(batch, classes)) * 3, logits


def _taught_batch(rng):
    """All teachers are right."""
    labels, student, teachers = _random_batch(rng)
    teachers[np.arange(len(labels)), :, labels] = teachers.max(axis=-1) + 0.5
    return labels, student, teachers


def _loss(name, labels, student, teachers, *args, standardize=True):
    tensors = (tf.constant(labels), tf.constant(student), tf.constant(teachers))
    return KD_LOSSES[name](*tensors, *args, standardize_logits=standardize).numpy()


def test_by_hand():
    given = tf.constant([[1.0, 2.0, 3.0], [10.0, 10.0, 40.0]])
    expected = [[-math.sqrt(1.5), 0.0, math.sqrt(1.5)], [-math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0)]]
    np.testing.assert_allclose(standardization.standardized(given), expected, rtol=1e-5, atol=1e-6)


def test_rows_have_mean_zero_and_deviation_one_whatever_their_shift_and_scale(rng):
    given = rng.normal(size=(7, 3, 5))
    found = standardization.standardized(tf.constant(given)).numpy()
    np.testing.assert_allclose(found.mean(axis=-1), np.zeros((7, 3)), atol=1e-12)
    np.testing.assert_allclose(found.std(axis=-1), np.ones((7, 3)), rtol=1e-4)
    moved = standardization.standardized(tf.constant(5.0 * given + 3.0)).numpy()
    np.testing.assert_allclose(moved, found, rtol=1e-3)


def test_constant_rows_are_zero_and_their_gradient_is_finite():
    given = tf.constant([[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = standardization.standardized(given)
        picked = found[:, 0]
    np.testing.assert_array_equal(found, np.zeros((2, 3)))
    assert np.all(np.isfinite(tape.gradient(picked, given)))


@every_unweighted_loss
def test_where_a_teacher_teaches_it_is_the_loss_of_the_standardised_logits(name, rng):
    labels, student, teachers = _taught_batch(rng)
    value = _loss(name, labels, student, teachers, 2.0)
    expected = _loss(name, labels, _standardized(student), _standardized(teachers), 2.0, standardize=False)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


@every_unweighted_loss
def test_the_scale_of_logits_does_not_matter_where_a_teacher_teaches(name, rng):
    labels, student, teachers = _taught_batch(rng)
    value = _loss(name, labels, student, teachers, 2.0)
    factors = rng.uniform(1.0, 3.0, (len(labels), 3, 1))
    scaled = _loss(name, labels, 7.0 * student - 2.0, factors * teachers + 1.0, 2.0)
    np.testing.assert_allclose(scaled, value, rtol=1e-4, atol=1e-5)
    plain = _loss(name, labels, student, teachers, 2.0, standardize=False)
    assert np.min(np.abs(value - plain)) > 1e-4


@every_loss
def test_the_label_s_cross_entropy_is_of_the_logits_as_they_are(name, rng):
    labels, student, teachers = _random_batch(rng)
    expected = ce.loss(tf.constant(labels), tf.constant(student))
    np.testing.assert_allclose(_loss(name, labels, student, teachers, 4.0, 1.0), expected, rtol=1e-12)
    mixed = _loss(name, labels, student, teachers, 4.0, 0.25)
    alone = _loss(name, labels, student, teachers, 4.0)
    taught = (teachers.argmax(axis=-1) == labels[:, np.newaxis]).any(axis=1) | ("oracle" not in name)
    share = np.where(taught, 0.25, 1.0)
    np.testing.assert_allclose(mixed, (1 - share) * alone + share * expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["oracle", "oracle_dkd"])
def test_what_no_teacher_knows_is_learnt_from_the_label_as_it_is(name, rng):
    labels, student, teachers = _random_batch(rng)
    teachers[np.arange(len(labels)), :, labels] = -10.0
    value = _loss(name, labels, student, teachers, 4.0)
    np.testing.assert_array_equal(value, ce.loss(tf.constant(labels), tf.constant(student)))


@pytest.mark.parametrize("name", ["vote", "oracle", "oracle_dkd", "masked"])
def test_who_teaches_is_decided_by_the_logits_as_they_are(name):
    """Standardising rounds: these two best logits would become equal, and the first the prediction."""
    surely = [0.0, 3.0, 0.0, 1.0]
    barely = [0.0, 1e-30, -1e4, -1e4]
    standard = standardization.standardized(tf.constant([barely])).numpy()
    assert (np.argmax(barely), np.argmax(standard)) == (1, 0)
    labels, student = np.array([1], np.int32), np.array([[0.5, 0.0, 1.0, 0.0]], np.float32)
    both, one = (np.array([rows], np.float32) for rows in ([surely, barely], [surely]))
    value = _loss(name, labels, student, both, 1.0)
    assert abs(value - _loss(name, labels, student, one, 1.0)) > 0.01
    np.testing.assert_allclose(value, _loss(name.replace("oracle_dkd", "dkd"), labels, student, both, 1.0))
    if name != "oracle_dkd":
        np.testing.assert_allclose(value, _loss("mean", labels, student, both, 1.0))


@pytest.mark.parametrize("scale", [0.1, 1.0, 1000.0])
def test_standardising_changes_no_prediction_of_a_teacher(scale, rng):
    _, _, teachers = _random_batch(rng)
    teachers = (scale * teachers).astype(np.float32)
    found = standardization.standardized(tf.constant(teachers)).numpy()
    np.testing.assert_array_equal(found.argmax(axis=-1), teachers.argmax(axis=-1))


@every_loss
def test_gradient_is_the_slope_of_the_value(name, rng):
    labels, student, teachers = _random_batch(rng, batch=10)
    variable = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = KD_LOSSES[name](
            tf.constant(labels), variable, tf.constant(teachers), 2.0, 0.3, standardize_logits=True
        )
    gradient = tape.gradient(loss, variable).numpy()
    for entry in range(student.shape[1]):
        step = 1e-5 * np.eye(student.shape[1])[entry]
        above, below = (
            _loss(name, labels, moved, teachers, 2.0, 0.3) for moved in (student + step, student - step)
        )
        np.testing.assert_allclose(gradient[:, entry], (above - below) / 2e-5, rtol=1e-5, atol=1e-7)


@every_loss
def test_a_student_need_not_match_the_size_of_its_teacher_s_logits(name, rng):
    labels, _, teachers = _taught_batch(rng)
    teachers[:] = teachers[:, :1]
    value = _loss(name, labels, 0.2 * teachers[:, 0] - 4.0, teachers, 2.0)
    np.testing.assert_allclose(value, np.zeros(len(labels)), atol=1e-3)
    assert np.min(_loss(name, labels, 0.2 * teachers[:, 0], teachers, 2.0, standardize=False)) > 1e-3
