"""Decoupled distillation: teachers' knowledge of the label, and of the other classes, weighted separately.

Zhao, Cui, Song, Qiu, Liang, "Decoupled Knowledge Distillation" (CVPR 2022). The teacher is here the teachers'
mean soft target p = (1 / N) sum_i softmax(t_i / tau), and q = softmax(s / tau):

    L(x, y) = tau^2 (alpha TCKD + beta NCKD),
    TCKD = KL((p_y, 1 - p_y) || (q_y, 1 - q_y)),
    NCKD = KL(p^ || q^),    p^_k = p_k / (1 - p_y),    q^_k = q_k / (1 - q_y),    k != y.

KL(p || q) = TCKD + (1 - p_y) NCKD: plain distillation is alpha = 1 and beta = 1 - p_y, and learns the less of
the other classes the surer its teachers are. The paper adds the label's cross-entropy; here `ce_weight` does.

On a mixture of two images the divergence is share DKD(first) + (1 - share) DKD(second), of the same p.
"""

import tensorflow as tf

from okd_tf.losses import distillation, mean, mixed_labels


def divergence(labels, student_logits, teacher_logits, weights, temperature, *, dkd_alpha=1.0, dkd_beta=8.0):
    """Return tau^2 (alpha TCKD + beta NCKD) of the weighted mean p = sum_i w_i softmax(t_i / tau).

    Args:
        labels: int [batch], or `mixed_labels.Labels`.
        student_logits: [batch, classes].
        teacher_logits: [batch, teachers, classes].
        weights: [batch, teachers], rows sum to 1.
        temperature: tau > 0.
        dkd_alpha: factor of TCKD, a number or [batch].
        dkd_beta: factor of NCKD, a number or [batch].

    Returns:
        [batch], never negative except for rounding.
    """
    log_p_i = tf.nn.log_softmax(teacher_logits / temperature)
    log_p = tf.reduce_logsumexp(tf.math.log(weights)[..., tf.newaxis] + log_p_i, axis=1)

    def of_plain(label, student):
        odds_p, others_p = _decoupled(label, log_p)
        odds_q, others_q = _decoupled(label, student / temperature)
        # softplus(odds) is -log of the label's probability, softplus(-odds) that of all others together.
        of_label = tf.sigmoid(-odds_p) * (tf.nn.softplus(odds_q) - tf.nn.softplus(odds_p))
        of_others = tf.sigmoid(odds_p) * (tf.nn.softplus(-odds_q) - tf.nn.softplus(-odds_p))
        tckd = of_label + of_others
        # The label's own term is exp(0) (0 - 0).
        nckd = tf.reduce_sum(tf.exp(others_p) * (others_p - others_q), axis=-1)
        return temperature**2 * (dkd_alpha * tckd + dkd_beta * nckd)

    return mixed_labels.linear(of_plain, labels, student_logits)


def _decoupled(labels, logits):
    """Return log((1 - p_y) / p_y) [batch] and log p^_k [batch, classes], for p = softmax(logits).

    log p^_k is 0 at the label. The label is excluded by -inf, which is exact: 1 - p_y is never formed, so no
    precision is lost where it is small. No intermediate tensor has more than two readers; see `ops.ordered`.
    """
    is_label = labels[:, tf.newaxis] == tf.range(tf.shape(logits)[-1], dtype=labels.dtype)
    others = tf.where(is_label, tf.constant(float("-inf"), logits.dtype), logits)
    own = tf.reduce_sum(tf.where(is_label, logits, tf.zeros_like(logits)), axis=-1, keepdims=True)
    odds = tf.reduce_logsumexp(others - own, axis=-1)
    return odds, tf.where(is_label, tf.zeros_like(logits), tf.nn.log_softmax(others))


loss = distillation.loss(mean.everyone, divergence)
