"""Losses of which only some teachers are heard, against the definition, one example at a time."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import KD_LOSSES, ce, vote

LN3 = math.log(3.0)
ALPHA, BETA = 1.5, 3.0


def _softmax(logits):
    powers = np.exp(logits - np.max(logits))
    return powers / powers.sum()


def _kl(p, q):
    return float(np.sum(p * np.log(p / q)))


def _right(label, heard):
    return [teacher for teacher in heard if np.argmax(teacher) == label]


def _majority(label, heard):
    predictions = [int(np.argmax(teacher)) for teacher in heard]
    surest = np.sum([_softmax(teacher) for teacher in heard], axis=0)
    chosen = max(range(len(heard[0])), key=lambda c: (predictions.count(c), surest[c])) if heard else None
    return [teacher for teacher in heard if np.argmax(teacher) == chosen]


def _plain(label, student, teachers, tau):
    q = _softmax(student / tau)
    return tau**2 * np.mean([_kl(_softmax(teacher / tau), q) for teacher in teachers])


def _decoupled(label, student, teachers, tau):
    p, q = np.mean([_softmax(teacher / tau) for teacher in teachers], axis=0), _softmax(student / tau)
    others = np.arange(len(p)) != label
    binary = [np.array([one[label], 1 - one[label]]) for one in (p, q)]
    rest = [one[others] / one[others].sum() for one in (p, q)]
    return tau**2 * (ALPHA * _kl(*binary) + BETA * _kl(*rest))


DEFINITIONS = {
    "mean": (lambda label, heard: heard, _plain, {}),
    "vote": (_majority, _plain, {}),
    "oracle": (_right, _plain, {}),
    "dkd": (lambda label, heard: heard, _decoupled, {"dkd_alpha": ALPHA, "dkd_beta": BETA}),
    "oracle_dkd": (_right, _decoupled, {"dkd_alpha": ALPHA, "dkd_beta": BETA}),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_value_is_the_definition_over_the_teachers_that_are_heard(name, rng):
    batch, tau, share = 60, 2.0, 0.3
    labels = rng.integers(0, 3, batch)
    student = rng.normal(size=(batch, 3)) * 2
    teachers = rng.normal(size=(batch, 4, 3)) * 2
    heard = rng.integers(0, 2, (batch, 4)).astype(bool)
    heard[0] = False
    who, how, settings = DEFINITIONS[name]
    expected = []
    for label, logits, told, listened in zip(labels, student, teachers, heard, strict=True):
        cross_entropy = -math.log(_softmax(logits)[label])
        teaching = who(label, list(told[listened]))
        soft = how(label, logits, teaching, tau) if teaching else cross_entropy
        expected.append((1 - share) * soft + share * cross_entropy)
    value = KD_LOSSES[name](
        *map(tf.constant, (labels, student, teachers)), tau, share, heard=tf.constant(heard), **settings
    )
    np.testing.assert_allclose(value, expected, rtol=1e-8)


def test_value_by_hand_where_the_right_teacher_is_not_heard():
    # (3/4, 1/4) is right, (1/4, 3/4) is wrong; the student is undecided.
    arguments = (tf.constant([0]), tf.zeros([1, 2]), tf.constant([[[LN3, 0.0], [0.0, LN3]]]))
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    for heard, expected in (([True, False], divergence), ([False, True], math.log(2.0))):
        value = KD_LOSSES["oracle"](*arguments, heard=tf.constant([heard]))
        np.testing.assert_allclose(value, [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ([True, True, True], 0),
        ([True, False, True], 2),  # a vote each: the surer one
        ([False, True, True], 2),
        ([True, True, False], 0),
        ([False, False, True], 2),
    ],
)
def test_the_vote_and_what_breaks_its_ties_are_of_the_heard(heard, expected):
    teachers = tf.constant([[[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 9.0]]])
    assert vote.voted(teachers, tf.constant([heard])).numpy().tolist() == [expected]


def test_an_unheard_teacher_s_probability_breaks_no_tie():
    # A vote each for 0 and 1, class 0 likelier; the third, unheard, is all for class 1 but votes for 2.
    teachers = tf.constant([[[3.0, 0.0, -9.0], [0.0, 2.0, -9.0], [-9.0, 5.0, 5.1]]])
    assert vote.voted(teachers, tf.constant([[True, True, False]])).numpy().tolist() == [0]
    assert vote.voted(teachers).numpy().tolist() == [1]


def test_without_a_teacher_the_cross_entropy_has_nothing_to_hear(rng):
    labels, student = tf.constant([0, 1]), tf.constant(rng.normal(size=(2, 3)))
    value = ce.loss(labels, student, None, heard=tf.constant([[True, False], [False, False]]))
    np.testing.assert_array_equal(value, ce.loss(labels, student))
