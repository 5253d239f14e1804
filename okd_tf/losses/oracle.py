"""Oracle distillation: for each example only the teachers that are right teach.

Kang, Mun, Han, "Towards Oracle Knowledge Distillation with Neural Architecture Search" (AAAI 2020). The
formula is our reading of the paper's abstract and of public summaries.
"""

import tensorflow as tf

from okd_tf.losses import distillation


def right(labels, teacher_logits):
    """u_i = [argmax t_i = y]: which teachers are right.

    labels int [batch], teacher_logits [batch, teachers, classes] -> bool [batch, teachers]. Of tied largest
    logits the first counts as the prediction, as it does in every accuracy reported here.
    """
    predictions = tf.argmax(teacher_logits, axis=-1, output_type=labels.dtype)
    return predictions == labels[:, tf.newaxis]


def loss(labels, student_logits, teacher_logits, temperature=1.0, ce_weight=0.0):
    """L(x, y) = (1 / sum_i u_i) sum_i u_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau)) if any u_i = 1,
    and the cross-entropy to the label otherwise.

    labels int [batch], student_logits [batch, classes], teacher_logits [batch, teachers, classes] -> [batch].
    """
    u = tf.cast(right(labels, teacher_logits), student_logits.dtype)
    num_right = tf.reduce_sum(u, axis=1)
    weights = u / tf.maximum(num_right, 1.0)[:, tf.newaxis]
    divergence = distillation.weighted_divergence(student_logits, teacher_logits, weights, temperature)
    untaught = tf.ones_like(num_right)
    return distillation.with_labels(
        labels, student_logits, divergence, tf.where(num_right > 0, ce_weight * untaught, untaught)
    )
