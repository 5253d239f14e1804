"""Distillation from the averaged ensemble: every teacher teaches every example, right or wrong."""

import tensorflow as tf

from okd_tf.losses import distillation


def loss(labels, student_logits, teacher_logits, temperature=1.0, ce_weight=0.0):
    """L(x, y) = (1 / N) sum_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau)), N teachers.

    labels int [batch], student_logits [batch, classes], teacher_logits [batch, teachers, classes] -> [batch].
    Its gradient is that of the cross-entropy to the teachers' mean soft target (Hinton et al., "Distilling
    the Knowledge in a Neural Network", 2015); the oracle loss differs from it by the gate and nothing else.
    """
    everyone = tf.ones_like(teacher_logits[..., 0])
    weights = everyone / tf.reduce_sum(everyone, axis=1, keepdims=True)
    divergence = distillation.weighted_divergence(student_logits, teacher_logits, weights, temperature)
    return distillation.with_labels(labels, student_logits, divergence, ce_weight)
