"""Labels of mixed images, and what the losses make of them in cases by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.losses import dkd, masked, mixed_labels, oracle, oracle_dkd

LN3, LN9 = math.log(3.0), math.log(9.0)
KL_OF_3_TO_1 = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # (3/4, 1/4) against (1/2, 1/2)
KL_OF_9_TO_1 = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
FAR = -1e4  # of a class that nobody believes in


def _mixed(first, second, share):
    return mixed_labels.Labels(tf.constant(first), tf.constant(second), tf.constant(share, tf.float32))


def test_a_batch_without_partners_has_plain_labels_and_one_with_them_has_both_and_their_share():
    label, partner, share = tf.constant([0, 1]), tf.constant([2, 1]), tf.constant([0.75, 1.0])
    assert mixed_labels.from_batch({"label": label}) is label
    found = mixed_labels.from_batch({"label": label, "label_b": partner, "share": share})
    assert found == mixed_labels.Labels(label, partner, share)
    assert (found.first, found.second, found.share) == (label, partner, share)


def test_agreement_is_the_share_of_the_image_that_is_named():
    labels = _mixed([0, 0, 1], [2, 2, 1], [0.75, 0.75, 0.25])
    predictions = tf.constant([[0, 1, 2], [2, 2, 0], [1, 0, 1]], tf.int64)
    expected = [[0.75, 0.0, 0.25], [0.25, 0.25, 0.75], [1.0, 0.0, 1.0]]
    np.testing.assert_array_equal(mixed_labels.agreement(labels, predictions), expected)
    np.testing.assert_array_equal(mixed_labels.agreement(labels, predictions[:, 0]), [0.75, 0.25, 1.0])
    plain = mixed_labels.agreement(labels.first, predictions)
    np.testing.assert_array_equal(plain, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    assert plain.dtype == tf.float32


def test_cross_entropy_is_that_to_the_mixed_one_hot_label_of_one_or_of_several_rows_of_logits(rng):
    logits = rng.normal(size=(5, 3, 4))
    labels = _mixed([0, 1, 2, 3, 1], [1, 1, 0, 2, 3], [0.5, 0.3, 1.0, 0.9, 0.1])
    share = labels.share.numpy().astype(np.float64)[:, np.newaxis]
    target = share * np.eye(4)[labels.first] + (1 - share) * np.eye(4)[labels.second]
    expected = -np.einsum(
        "bk,bnk->bn", target, np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    )
    found = mixed_labels.cross_entropy(labels, tf.constant(logits))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    found = mixed_labels.cross_entropy(labels, tf.constant(logits[:, 1]))
    np.testing.assert_allclose(found, expected[:, 1], rtol=1e-9)


@pytest.mark.parametrize(
    ("share", "teachers", "expected"),
    [
        # One names the first class, one the second, one neither.
        (
            0.75,
            [[LN3, 0.0, FAR], [0.0, LN9, FAR], [0.0, 0.0, 9.0]],
            0.75 * KL_OF_3_TO_1 + 0.25 * KL_OF_9_TO_1,
        ),
        # Two the first, one the second: 3/4, 3/4 and 1/4 of 7/4.
        (
            0.75,
            [[LN3, 0.0, FAR], [LN9, 0.0, FAR], [0.0, LN9, FAR]],
            (3 * KL_OF_3_TO_1 + 3 * KL_OF_9_TO_1 + KL_OF_9_TO_1) / 7,
        ),
        # Only the smaller part is named: who does teaches alone.
        (0.75, [[0.0, LN3, FAR], [0.0, 0.0, 9.0], [0.0, 0.0, 5.0]], KL_OF_3_TO_1),
        # Neither is: the mixed label, of a student that is undecided between the two.
        (0.75, [[0.0, 0.0, 9.0], [0.0, 0.0, 3.0], [0.0, 0.0, 5.0]], math.log(2.0)),
    ],
)
def test_oracle_weighs_each_teacher_by_the_share_of_the_image_that_it_names(share, teachers, expected):
    labels, student = _mixed([0], [1], [share]), tf.constant([[0.0, 0.0, FAR]])
    value = oracle.loss(labels, student, tf.constant([teachers]))
    np.testing.assert_allclose(value, [expected], rtol=1e-5)


def test_where_no_part_is_named_the_oracle_s_label_is_the_mixed_one():
    labels, student = _mixed([0], [1], [0.75]), tf.constant([[2.0, 1.0, 0.0]])
    log_sum = math.log(math.exp(2.0) + math.e + 1.0)
    for loss in (oracle.loss, oracle_dkd.loss):
        value = loss(labels, student, tf.constant([[[0.0, 0.0, 9.0]]]), 4.0, 0.3)
        np.testing.assert_allclose(value, [log_sum - 0.75 * 2.0 - 0.25 * 1.0], rtol=1e-6)


def test_a_teacher_that_is_not_heard_counts_for_no_part():
    labels, student = _mixed([0], [1], [0.75]), tf.zeros([1, 2])
    teachers = tf.constant([[[LN3, 0.0], [0.0, LN9]]])
    for heard, expected in (([True, False], KL_OF_3_TO_1), ([False, True], KL_OF_9_TO_1)):
        value = oracle.loss(labels, student, teachers, heard=tf.constant([heard]))
        np.testing.assert_allclose(value, [expected], rtol=1e-6)


def test_the_oracle_s_decoupled_divergence_is_of_one_target_and_linear_in_the_share(rng):
    # Teacher 0 names the first class, teacher 1 the second, teacher 2 neither.
    teachers = rng.normal(size=(1, 3, 4))
    teachers[0, [0, 1, 2], [0, 1, 3]] = 5.0
    student, teachers = tf.constant(rng.normal(size=(1, 4))), tf.constant(teachers)
    weights = tf.constant([[0.75, 0.25, 0.0]], tf.float64)
    first, second = (dkd.divergence(tf.constant([one]), student, teachers, weights, 2.0) for one in (0, 1))
    value = oracle_dkd.loss(_mixed([0], [1], [0.75]), student, teachers, 2.0)
    np.testing.assert_allclose(value, 0.75 * first + 0.25 * second, rtol=1e-9)
    # Not what teachers of one of the classes alone would teach.
    alone = [oracle_dkd.loss(tf.constant([one]), student, teachers, 2.0) for one in (0, 1)]
    assert abs(value - 0.75 * alone[0] - 0.25 * alone[1])[0] > 0.01


def test_a_masked_loss_on_a_mixed_image_is_by_hand():
    # The teacher says (1/2, 1/4, 1/8, 1/8): right of the first half; of class 1 it knows only 2 against 3.
    teachers, student = tf.math.log([[[4.0, 2.0, 1.0, 1.0]]]), tf.math.log([[1.0, 1.0, 1.0, 3.0]])
    p, q = np.array([4, 2, 1, 1]) / 8, np.array([1, 1, 1, 3]) / 6
    first = np.sum(p * np.log(p / q))
    second = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75) - math.log(1 / 6)
    value = masked.loss(_mixed([0], [1], [0.75]), student, teachers)
    np.testing.assert_allclose(value, [0.75 * first + 0.25 * second], rtol=1e-6)
