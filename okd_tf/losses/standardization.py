"""Standardised logits: students match the teachers' preferences, and not the size of their logits.

Sun, Ren, Li, Wang, Cao, "Logit Standardization in Knowledge Distillation" (CVPR 2024).
"""

import tensorflow as tf

# Added to the variance: logits whose deviation is far below 0.001 count as constant.
EPSILON = 1e-6


def standardized(logits):
    """Return z(x) = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) over the classes of each row.

    logits [..., classes] -> [..., classes]. Rows that differ by a constant and a positive factor become the
    same; constant rows become 0.
    """
    centred = logits - tf.reduce_mean(logits, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * tf.math.rsqrt(variance + EPSILON)
