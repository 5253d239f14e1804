"""Training accuracy of a network, on plain and on mixed images."""

import keras
import tensorflow as tf

from okd_tf.losses import mixed_labels


def named_share(labels, logits):
    """Return the share of each image that belongs to the predicted class.

    labels int [batch] or `mixed_labels.Labels`, logits [batch, classes] -> float32 [batch]: 1 or 0 on a plain
    image; for `Labels` see `mixed_labels.agreement`.
    """
    if not isinstance(labels, mixed_labels.Labels):
        return keras.metrics.sparse_categorical_accuracy(labels, logits)
    return mixed_labels.agreement(labels, tf.argmax(logits, axis=-1))


def metric(name="accuracy"):
    """Return a Keras metric, the mean of `named_share` over examples: `update_state(labels, logits)`."""
    return keras.metrics.MeanMetricWrapper(named_share, name)
