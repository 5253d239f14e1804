"""Oracle distillation: for each example only the teachers that are right teach.

    L(x, y) = (1 / sum_i u_i) sum_i u_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau))    if any u_i = 1,
            = CE(y, softmax(s))                                                            otherwise,

    u_i = [argmax t_i = y].

On a mixture of two images a teacher counts by the share of the image that belongs to its predicted class,
u_i = share [argmax t_i = first] + (1 - share) [argmax t_i = second]. The target where no teacher is right is
`none_right` of `distillation.loss`; the paper's is the label.

Kang, Mun, Han, "Towards Oracle Knowledge Distillation with Neural Architecture Search" (AAAI 2020). The
formula is our reading of the paper's abstract and of public summaries.
"""

import tensorflow as tf

from okd_tf.losses import distillation, mixed_labels


def right(labels, teacher_logits, heard):
    """Return u_i, how far each teacher in the mask is right; 0 for the others.

    labels int [batch] or `mixed_labels.Labels`, teacher_logits [batch, teachers, classes], heard (the teacher
    mask) bool [batch, teachers] -> float [batch, teachers] in [0, 1]. Of tied largest logits the first counts
    as the prediction, as it does in every accuracy reported here.
    """
    predictions = tf.argmax(teacher_logits, axis=-1)
    agreement = mixed_labels.agreement(labels, predictions, teacher_logits.dtype)
    return tf.where(heard, agreement, tf.zeros_like(agreement))


loss = distillation.loss(right)
