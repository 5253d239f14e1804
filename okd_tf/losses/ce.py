"""Cross-entropy with the label: the loss of the teachers and of the baseline, without a teacher."""

import functools

import tensorflow as tf

from okd_tf.losses import mixed_labels


def loss(
    labels,
    student_logits,
    teacher_logits=None,
    temperature=1.0,
    ce_weight=0.0,
    *,
    heard=None,
    kd_weight=1.0,
    label_smoothing=0.0,
):
    """Return L(x, y) = (1 - e) CE(y) + e mean_k CE(k), with CE(k) = -log softmax(s(x))_k.

    e is the label smoothing of Szegedy et al. (2016), section 7: the target is the label with the weight 1 -
    e plus all K classes, the label included, with e / K each.

    labels int [batch] or `mixed_labels.Labels`, student_logits [batch, classes] -> [batch]. The other
    arguments belong to the common interface and have no effect.
    """
    del teacher_logits, temperature, ce_weight, heard, kd_weight
    if not label_smoothing:
        return mixed_labels.cross_entropy(labels, student_logits)
    return mixed_labels.linear(functools.partial(_smoothed, label_smoothing), labels, student_logits)


def _smoothed(share, labels, logits):
    classes = logits.shape[-1]
    target = (1.0 - share) * tf.one_hot(labels, classes, dtype=logits.dtype) + share / classes
    return tf.nn.softmax_cross_entropy_with_logits(target, logits)
