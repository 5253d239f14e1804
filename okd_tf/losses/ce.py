"""Cross-entropy to the label: the loss of the teachers and of the baseline, with no teacher in it."""

import tensorflow as tf


def loss(labels, student_logits, teacher_logits=None, temperature=1.0, ce_weight=0.0, *, heard=None):
    """L(x, y) = -log softmax(s(x))_y.

    labels int [batch], student_logits [batch, classes] -> [batch]. The other arguments belong to the common
    interface and change nothing here.
    """
    del teacher_logits, temperature, ce_weight, heard
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=student_logits)
