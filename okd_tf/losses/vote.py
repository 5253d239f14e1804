"""Distillation from the majority: the teachers that agree with the ensemble's vote teach, right or wrong.

    L(x, y) = (1 / sum_i v_i) sum_i v_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau)),

    v_i = [argmax t_i = c],

c the class that most teachers predict; of tied classes the one with the largest mean probability
(1 / N) sum_i softmax(t_i), all N teachers counted, and of those the first.

Its gradient is that of the cross-entropy to the mean soft target of these teachers. What "vote" is to mean is
our reading: the gate of the oracle loss with the majority in the place of the label.
"""

import tensorflow as tf

from okd_tf.losses import distillation

# Probabilities closer than this are equal. Rounding, which differs by place in the batch, decides no vote.
SAME = 1e-6


def voted(teacher_logits):
    """The ensemble's vote c: teacher_logits [batch, teachers, classes] -> int64 [batch]."""
    classes = tf.shape(teacher_logits)[-1]
    votes = tf.reduce_sum(tf.one_hot(tf.argmax(teacher_logits, axis=-1), classes, dtype=tf.int32), axis=1)
    leads = votes == tf.reduce_max(votes, axis=-1, keepdims=True)
    mean = tf.reduce_mean(tf.nn.softmax(teacher_logits), axis=1)
    surest = tf.where(leads, mean, -tf.ones_like(mean))
    ties = surest >= tf.reduce_max(surest, axis=-1, keepdims=True) - SAME
    return tf.argmax(tf.cast(ties, tf.int32), axis=-1)


def majority(labels, teacher_logits):
    """v_i = [argmax t_i = c]: which teachers agree with the vote.

    labels int [batch], without effect, teacher_logits [batch, teachers, classes] -> bool [batch, teachers].
    Of a teacher's tied largest logits the first counts.
    """
    del labels
    return tf.argmax(teacher_logits, axis=-1) == voted(teacher_logits)[:, tf.newaxis]


loss = distillation.loss(majority)
