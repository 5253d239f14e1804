"""Masked distillation: a wrong teacher teaches only about the classes that it ranks below the label.

    L(x, y) = (1 / N) sum_i D_i + (1 / N) sum_i [argmax t_i != y] CE(y, softmax(s)),

    D_i = tau^2 KL(softmax(t_i / tau) || softmax(s / tau))              if argmax t_i = y,
          tau^2 KL(softmax_K(t_i / tau) || softmax_K(s / tau))          otherwise,

softmax_K over the classes K = {k: t_ik < t_iy} alone: those that teacher i ranks below the label. D_i is 0
where K has fewer than two classes. N teachers are in the teacher mask; if it is empty, the loss is CE.

The second case is the masked correlation distillation of Sun et al., "Knowledge Distillation with Refined
Logits" (RLD, ICCV 2025): the label and all classes that the teacher ranks at least as high are left out, and
its knowledge of the others is kept. The rest is ours: plain distillation from teachers that are right (RLD
masks their label, and teaches it by the teacher's largest probability), several teachers of equal weight, and
the label's cross-entropy weighted by the share of wrong teachers.

On a mixed image the loss is share L(x, first) + (1 - share) L(x, second).
"""

import tensorflow as tf

from okd_tf.losses import ce, mixed_labels, standardization
from okd_tf.ops import ordered


def kept_classes(labels, teacher_logits):
    """Return the classes that each teacher teaches about, and whether it is right.

    Args:
        labels: int [batch].
        teacher_logits: [batch, teachers, classes].

    Returns:
        Classes, bool [batch, teachers, classes]: all if the teacher is right, those below the label if it is
        wrong; right, bool [batch, teachers]. Of tied largest logits the first counts as the prediction.
    """
    right = mixed_labels.agreement(labels, tf.argmax(teacher_logits, axis=-1)) > 0.0
    classes = tf.range(tf.shape(teacher_logits)[-1], dtype=labels.dtype)
    is_label = (labels[:, tf.newaxis] == classes)[:, tf.newaxis]
    of_others = tf.zeros_like(teacher_logits)
    of_label = tf.reduce_sum(tf.where(is_label, teacher_logits, of_others), axis=-1, keepdims=True)
    return right[..., tf.newaxis] | (teacher_logits < of_label), right


def divergences(student_logits, teacher_logits, kept, temperature):
    """Return tau^2 KL(softmax_K(t_i / tau) || softmax_K(s / tau)) for each teacher.

    student_logits [batch, classes], teacher_logits [batch, teachers, classes], kept, the classes K, bool of
    the same shape -> [batch, teachers]; 0 where fewer than two classes are kept.
    """
    several = tf.reduce_sum(tf.cast(kept, tf.int32), axis=-1) >= 2
    # Where nothing can be compared all classes are: what is left out need only be finite.
    kept |= ~several[..., tf.newaxis]
    log_p = _log_softmax(teacher_logits / temperature, kept)
    log_q = _log_softmax((student_logits / temperature)[:, tf.newaxis], kept)
    # A class left out adds exp(0) (0 - 0).
    divergence = tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)
    return temperature**2 * tf.where(several, divergence, tf.zeros_like(divergence))


def _log_softmax(logits, kept):
    """Return log softmax over the kept classes, at least one in each row; 0 at all others."""
    others = tf.constant(float("-inf"), logits.dtype)
    return tf.where(kept, tf.nn.log_softmax(tf.where(kept, logits, others)), tf.zeros([], logits.dtype))


def loss(
    labels,
    student_logits,
    teacher_logits,
    temperature=1.0,
    ce_weight=0.0,
    *,
    heard=None,
    kd_weight=1.0,
    standardize_logits=False,
):
    """Return (1 - c) k D + (c + (1 - c) W) CE with the interface of all losses.

    D is (1 / N) sum_i D_i, W the share of wrong teachers in the mask (1 if it is empty), c `ce_weight` and k
    `kd_weight`.
    """
    if heard is None:
        heard = tf.ones_like(teacher_logits[..., 0], tf.bool)

    def of_plain(label, student):
        kept, right = kept_classes(label, teacher_logits)
        each = tf.cast(heard, student.dtype)
        weights = each / tf.maximum(1.0, tf.reduce_sum(each, axis=1, keepdims=True))
        taught = tf.reduce_sum(tf.where(right, weights, tf.zeros_like(weights)), axis=1)
        hard, soft = ordered.fan_out(student, 2)
        told = teacher_logits
        if standardize_logits:
            soft, told = map(standardization.standardized, (soft, told))
        divergence = tf.reduce_sum(weights * divergences(soft, told, kept, temperature), axis=1)
        of_label = ce_weight + (1.0 - ce_weight) * (1.0 - taught)
        return kd_weight * (1.0 - ce_weight) * divergence + of_label * ce.loss(label, hard)

    return mixed_labels.linear(of_plain, labels, student_logits)
