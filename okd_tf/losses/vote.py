"""Distillation from the majority: the teachers that agree with the ensemble's vote teach, right or wrong.

    L(x, y) = (1 / sum_i v_i) sum_i v_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau)),

    v_i = [argmax t_i = c],

c being the class that most teachers predict; ties go to the class with the largest mean probability
(1 / N) sum_i softmax(t_i), over all N teachers in the teacher mask, then to the first.

Its gradient is that of the cross-entropy to the mean soft target of these teachers. The meaning of "vote" is
our reading: the gate of the oracle loss with the majority in the place of the label.
"""

import tensorflow as tf

from okd_tf.losses import distillation

# Probabilities closer than this are equal. Rounding, which differs by place in the batch, decides no vote.
SAME = 1e-6


def voted(teacher_logits, heard=None):
    """Return the ensemble's vote c: teacher_logits [batch, teachers, classes] -> int64 [batch].

    heard bool [batch, teachers] is the teacher mask: only these teachers' votes and probabilities count; None
    is all.
    """
    votes = tf.one_hot(tf.argmax(teacher_logits, axis=-1), tf.shape(teacher_logits)[-1], dtype=tf.int32)
    probabilities = tf.nn.softmax(teacher_logits)
    if heard is not None:
        votes, probabilities = (
            tf.where(heard[..., tf.newaxis], said, tf.zeros_like(said)) for said in (votes, probabilities)
        )
    votes = tf.reduce_sum(votes, axis=1)
    leads = votes == tf.reduce_max(votes, axis=-1, keepdims=True)
    # Divided by how many are there, not by how many are heard: the order of classes is the same.
    mean = tf.reduce_mean(probabilities, axis=1)
    surest = tf.where(leads, mean, -tf.ones_like(mean))
    ties = surest >= tf.reduce_max(surest, axis=-1, keepdims=True) - SAME
    return tf.argmax(tf.cast(ties, tf.int32), axis=-1)


def majority(labels, teacher_logits, heard):
    """Return v_i = [argmax t_i = c]: whether each teacher in the mask agrees with the vote.

    labels (without effect), teacher_logits [batch, teachers, classes], heard (the teacher mask) bool
    [batch, teachers] -> float [batch, teachers], 1 or 0. Of a teacher's tied largest logits the first counts.
    """
    del labels
    agree = tf.argmax(teacher_logits, axis=-1) == voted(teacher_logits, heard)[:, tf.newaxis]
    return tf.cast(heard & agree, teacher_logits.dtype)


loss = distillation.loss(majority)
