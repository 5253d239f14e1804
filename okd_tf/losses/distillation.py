"""The Kullback-Leibler term that distillation losses share, written for one target row per example.

For teachers i with weights w_i that sum to 1 and soft targets p_i = softmax(t_i / tau),

    sum_i w_i KL(p_i || q) = CE(sum_i w_i p_i, q) - sum_i w_i H(p_i),        q = softmax(s / tau),

so the gradient in s needs the mean target alone, and the entropies only make the value the true divergence.
"""

import tensorflow as tf


def weighted_divergence(student_logits, teacher_logits, weights, temperature):
    """tau^2 sum_i w_i KL(softmax(t_i / tau) || softmax(s / tau)), the terms of Hinton et al. (2015), eq. 4.

    Args:
        student_logits: [batch, classes].
        teacher_logits: [batch, teachers, classes].
        weights: [batch, teachers]; a row may sum to 0, and its divergence is then 0.
        temperature: tau > 0. The factor tau^2 keeps gradients on the scale of the cross-entropy's.

    Returns:
        [batch], never negative but for rounding.
    """
    log_p = tf.nn.log_softmax(teacher_logits / temperature)
    p = tf.exp(log_p)
    log_q = tf.nn.log_softmax(student_logits / temperature)
    target = tf.einsum("bn,bnk->bk", weights, p)
    cross_entropy = -tf.reduce_sum(target * log_q, axis=-1)
    entropy = -tf.einsum("bn,bnk,bnk->b", weights, p, log_p)
    return temperature**2 * (cross_entropy - entropy)


def with_labels(labels, student_logits, divergence, ce_weight):
    """(1 - ce_weight) * divergence + ce_weight * CE(label), all [batch]; ce_weight is a number or [batch]."""
    if isinstance(ce_weight, float | int) and ce_weight == 0:
        return divergence
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=student_logits)
    return (1.0 - ce_weight) * divergence + ce_weight * cross_entropy
