"""Deep mutual learning: no teachers; students that train together learn from the label and from each other.

    L(x, y) = CE(y, softmax(s)) + (1 - c) k (1 / P) sum_j tau^2 KL(softmax(p_j / tau) || softmax(s / tau)),

for a student with the logits s and its P peers, p_1 to p_P; c is `ce_weight` and k `kd_weight`.

Zhang, Xiang, Hospedales, Lu, "Deep Mutual Learning" (CVPR 2018), eq. 5 to 9, at tau = 1, c = 0 and k = 1. The
temperature and its square are those of the other losses. `okd_tf.training.mutual` trains with it.
"""

import tensorflow as tf

from okd_tf.losses import ce, distillation
from okd_tf.ops import ordered


def loss(
    labels, student_logits, teacher_logits, temperature=1.0, ce_weight=0.0, *, heard=None, kd_weight=1.0
):
    """Return the loss [batch]; the interface is the common one, `teacher_logits` [batch, peers, classes].

    No gradient flows into the peers: each has a loss of its own. With `ce_weight` 1, and where the mask holds
    no peer, it is the cross-entropy.
    """
    peers = tf.stop_gradient(teacher_logits)
    each = tf.ones_like(peers[..., 0]) if heard is None else tf.cast(heard, peers.dtype)
    weights = each / tf.maximum(1.0, tf.reduce_sum(each, axis=1, keepdims=True))
    # A gradient of its own for each of the two terms.
    hard, soft = ordered.fan_out(student_logits, 2)
    divergence = distillation.weighted_divergence(labels, soft, peers, weights, temperature)
    return ce.loss(labels, hard) + kd_weight * (1.0 - ce_weight) * divergence
