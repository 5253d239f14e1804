"""Distillation by confidence: every teacher teaches every example, the better it fits the label the more.

    L(x, y) = sum_i w_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau)),

    w_i = (1 / (N - 1)) (1 - exp(CE_i) / sum_j exp(CE_j)),    CE_i = CE(y, softmax(t_i)),

over the N teachers in the teacher mask; a single one has the weight 1.

Zhang, Chen, Wang, "Confidence-Aware Multi-Teacher Knowledge Distillation" (CA-MKD, ICASSP 2022), eq. 2 and 3:
their weights of the soft targets. The paper adds the label's cross-entropy, as `ce_weight` does here, and a
loss of intermediate features, which is left out. On a mixed image CE_i is the mixed cross-entropy.
"""

import tensorflow as tf

from okd_tf.losses import distillation, mixed_labels


def weights(labels, teacher_logits, heard):
    """Return (N - 1) w_i sum_j e_j = sum_j e_j - e_i, with e_i = exp(CE_i - max_j CE_j); 1 where N = 1.

    labels int [batch] or `mixed_labels.Labels`, teacher_logits [batch, teachers, classes], heard (the teacher
    mask) bool [batch, teachers] -> float [batch, teachers], 0 for masked teachers. `distillation.loss`
    divides by the sum, so that factors of a row do not matter.
    """
    cross_entropy = mixed_labels.cross_entropy(labels, teacher_logits)
    zeros = tf.zeros_like(cross_entropy)
    # Cross-entropies are never negative, so that 0 for those not heard does not raise the largest.
    largest = tf.reduce_max(tf.where(heard, cross_entropy, zeros), axis=1, keepdims=True)
    # Those not heard may be above it, and their powers are not used: only bounded.
    powers = tf.where(heard, tf.exp(tf.minimum(cross_entropy - largest, 0.0)), zeros)
    others = tf.reduce_sum(powers, axis=1, keepdims=True) - powers
    several = tf.reduce_sum(tf.cast(heard, tf.int32), axis=1, keepdims=True) > 1
    return tf.where(heard, tf.where(several, others, tf.ones_like(others)), zeros)


loss = distillation.loss(weights)
