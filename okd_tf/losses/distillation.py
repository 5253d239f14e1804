"""What the losses with teachers share: such a loss is who teaches an example, and how it is taught.

`who` says for each example which teachers teach it, from the labels and the teachers' logits as they are;
`how` is the divergence of the student from those teachers. All else is `loss`, here and nowhere else: the
temperature's logits, standardised if that is wanted, and the label's cross-entropy.
"""

import tensorflow as tf

from okd_tf.losses import standardization
from okd_tf.ops import ordered


def weighted_divergence(labels, student_logits, teacher_logits, weights, temperature):
    """tau^2 sum_i w_i KL(softmax(t_i / tau) || softmax(s / tau)), the terms of Hinton et al. (2015), eq. 4.

    With soft targets p_i = softmax(t_i / tau), q = softmax(s / tau) and weights that sum to 1,

        sum_i w_i KL(p_i || q) = CE(sum_i w_i p_i, q) - sum_i w_i H(p_i),

    so the gradient in s needs the mean target alone; the entropies only make the value the true divergence.

    Args:
        labels: int [batch], of no effect here.
        student_logits: [batch, classes].
        teacher_logits: [batch, teachers, classes].
        weights: [batch, teachers], rows sum to 1.
        temperature: tau > 0. The factor tau^2 keeps gradients on the scale of the cross-entropy's.

    Returns:
        [batch], never negative but for rounding.
    """
    del labels
    log_p = tf.nn.log_softmax(teacher_logits / temperature)
    p = tf.exp(log_p)
    log_q = tf.nn.log_softmax(student_logits / temperature)
    target = tf.einsum("bn,bnk->bk", weights, p)
    cross_entropy = -tf.reduce_sum(target * log_q, axis=-1)
    entropy = -tf.einsum("bn,bnk,bnk->b", weights, p, log_p)
    return temperature**2 * (cross_entropy - entropy)


def loss(who, how=weighted_divergence):
    """The loss L(x, y) = (1 - c) D(x, y) + c CE(y, softmax(s)), with the interface of all losses.

    D is the divergence from the teachers that teach x, all with one weight; c is `ce_weight`, and 1 where no
    teacher does.

    Args:
        who: (labels int [batch], teacher_logits [batch, teachers, classes], heard bool [batch, teachers]) ->
            bool [batch, teachers], those of the heard ones that teach.
        how: what `weighted_divergence` is; settings of the loss are its keywords.

    Returns:
        The function. Beside its common arguments it takes the keyword `standardize_logits`, whether D is of
        standardised logits, and the keywords of `how`.
    """

    def distilled(
        labels,
        student_logits,
        teacher_logits,
        temperature=1.0,
        ce_weight=0.0,
        *,
        heard=None,
        standardize_logits=False,
        **settings,
    ):
        if heard is None:
            heard = tf.ones_like(teacher_logits[..., 0], tf.bool)
        teaches = who(labels, teacher_logits, heard)
        taught = tf.reduce_any(teaches, axis=1)
        # Where nobody teaches everybody does, with the weight 0: the divergence need only be finite there.
        u = tf.cast(teaches | ~taught[:, tf.newaxis], student_logits.dtype)
        weights = u / tf.reduce_sum(u, axis=1, keepdims=True)
        # A gradient of its own for each of the two terms, however often each reads the logits.
        hard, soft = ordered.fan_out(student_logits, 2)
        if standardize_logits:
            soft, teacher_logits = map(standardization.standardized, (soft, teacher_logits))
        divergence = how(labels, soft, teacher_logits, weights, temperature, **settings)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=hard)
        ones = tf.ones_like(cross_entropy)
        share = tf.where(taught, ce_weight * ones, ones)
        return (1.0 - share) * divergence + share * cross_entropy

    return distilled
