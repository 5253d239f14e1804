"""Deterministic sums of several tensors: the same bits every time.

TensorFlow's `AddN` begins with an input whose memory it may reuse, which depends on timing; the gradient of a
tensor that is read three times is such a sum, and graph optimisation makes one of any tree of additions. Two
terms give the same bits in either order; sums of more terms use this module.
"""

import itertools

import tensorflow as tf


def total(terms):
    """Return the sum of tensors of one shape, added from the first to the last."""
    first, *others = terms
    result, shape = first, tf.shape(first)
    # Flat in every other addition: the change of shape in between keeps graph optimisation from taking them
    # for one tree.
    shapes = itertools.cycle([[-1], tf.concat([[1], shape], axis=0)])
    for term, own in zip(others, shapes, strict=False):
        result = tf.reshape(result, own) + tf.reshape(term, own)
    return tf.ensure_shape(tf.reshape(result, shape), first.shape)


def fan_out(tensor, count):
    """Return `count` references to a tensor, one for each reader: its gradient is the `total` of theirs."""

    @tf.custom_gradient
    def references(value):
        return [tf.identity(value) for _ in range(count)], lambda *gradients: total(gradients)

    return references(tensor)
