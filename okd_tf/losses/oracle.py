"""Oracle distillation: for each example only the teachers that are right teach.

    L(x, y) = (1 / sum_i u_i) sum_i u_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau))    if any u_i = 1,
            = CE(y, softmax(s))                                                            otherwise,

    u_i = [argmax t_i = y].

Kang, Mun, Han, "Towards Oracle Knowledge Distillation with Neural Architecture Search" (AAAI 2020). The
formula is our reading of the paper's abstract and of public summaries.
"""

import tensorflow as tf

from okd_tf.losses import distillation


def right(labels, teacher_logits, heard):
    """u_i = [argmax t_i = y]: which of the teachers that are heard are right.

    labels int [batch], teacher_logits [batch, teachers, classes], heard bool [batch, teachers] -> the same.
    Of tied largest logits the first counts as the prediction, as it does in every accuracy reported here.
    """
    predictions = tf.argmax(teacher_logits, axis=-1, output_type=labels.dtype)
    return heard & (predictions == labels[:, tf.newaxis])


loss = distillation.loss(right)
