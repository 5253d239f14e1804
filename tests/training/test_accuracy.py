"""The accuracy of a network while it trains."""

import keras
import numpy as np
import tensorflow as tf

from okd_tf.losses import mixed_labels
from okd_tf.training import accuracy

LOGITS = tf.constant([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 1.0, 5.0], [2.0, 2.0, 0.0]])
LABELS = tf.constant([0, 0, 2, 1])


def test_of_plain_labels_it_is_keras_s_own_metric_in_state_and_value():
    mine, theirs = accuracy.metric("mine"), keras.metrics.SparseCategoricalAccuracy("theirs")
    for rows in (slice(0, 3), slice(1, 4)):
        for one in (mine, theirs):
            one.update_state(LABELS[rows], LOGITS[rows])
    assert mine.name == "mine"
    assert [variable.name for variable in mine.variables] == [variable.name for variable in theirs.variables]
    for one, another in zip(mine.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(one, another)
    np.testing.assert_array_equal(mine.result(), theirs.result())


def test_of_mixed_labels_it_is_the_mean_share_that_is_named_counted_by_examples():
    # Named are 0, 1, 2 and, of tied logits the first, 0.
    labels = mixed_labels.Labels(LABELS, tf.constant([1, 1, 0, 0]), tf.constant([0.75, 0.75, 1.0, 0.5]))
    metric = accuracy.metric()
    metric.update_state(labels, LOGITS)
    assert metric.name == "accuracy"
    np.testing.assert_allclose(metric.result(), (0.75 + 0.25 + 1.0 + 0.5) / 4)
    metric.update_state(LABELS[:1], LOGITS[:1])
    np.testing.assert_allclose(metric.result(), (2.5 + 1.0) / 5)
