"""The common form of losses with teachers: a selection of teachers, and a divergence from them.

The selection `who` returns each teacher's weight for each example, from the labels and the teachers' logits
as they are; `how` is the divergence of the student from the weighted teachers. `loss` adds the rest:
temperature, standardised logits if wanted, the label's cross-entropy, and the target of examples for which no
teacher is selected.
"""

import tensorflow as tf

from okd_tf import errors
from okd_tf.losses import mixed_labels, standardization
from okd_tf.ops import ordered

# What teaches where teachers are heard and `who` takes none: the share of all of them, the rest is the label.
NONE_RIGHT = {"label": 0.0, "mean": 1.0, "both": 0.5}


def weighted_divergence(labels, student_logits, teacher_logits, weights, temperature):
    """Return tau^2 sum_i w_i KL(softmax(t_i / tau) || softmax(s / tau)), by Hinton et al. (2015), eq. 4.

    With soft targets p_i = softmax(t_i / tau), q = softmax(s / tau) and weights that sum to 1,

        sum_i w_i KL(p_i || q) = CE(sum_i w_i p_i, q) - sum_i w_i H(p_i),

    so the gradient in s needs the mean target alone; the entropies only make the value the true divergence.

    Args:
        labels: without effect.
        student_logits: [batch, classes].
        teacher_logits: [batch, teachers, classes].
        weights: [batch, teachers], rows sum to 1.
        temperature: tau > 0. The factor tau^2 keeps gradients on the scale of the cross-entropy's.

    Returns:
        [batch], never negative except for rounding.
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
    """Return the loss L(x, y) = (1 - c) k D(x, y) + c CE(y, softmax(s)), with the interface of all losses.

    D is the divergence from the selected teachers by their weights; c is `ce_weight`, k is `kd_weight`. If
    teachers are in the mask and none is selected, the loss is CE, M or (CE + M) / 2 for `none_right` "label",
    "mean" or "both", where M is this loss with D from all teachers in the mask, equally weighted. If the mask
    is empty, it is CE.

    Args:
        who: (labels, teacher_logits [batch, teachers, classes], teacher mask bool [batch, teachers]) ->
            weights float [batch, teachers], not normalised; 0 for masked teachers.
        how: a divergence with the arguments of `weighted_divergence`; settings of the loss are its keywords.

    Returns:
        The function. In addition to the common arguments it has the keywords `standardize_logits`, whether D
        is of standardised logits, `none_right`, and those of `how`; it raises UserError for an unknown
        `none_right`.
    """

    def distilled(
        labels,
        student_logits,
        teacher_logits,
        temperature=1.0,
        ce_weight=0.0,
        *,
        heard=None,
        kd_weight=1.0,
        standardize_logits=False,
        none_right="label",
        **settings,
    ):
        if none_right not in NONE_RIGHT:
            raise errors.unknown("none_right", none_right, NONE_RIGHT)
        if heard is None:
            heard = tf.ones_like(teacher_logits[..., 0], tf.bool)
        u = who(labels, teacher_logits, heard)
        taught, anyone = tf.reduce_any(u > 0.0, axis=1), tf.reduce_any(heard, axis=1)
        # Where nobody is heard everybody is, with a divergence that counts 0 and need only be finite.
        everyone = tf.cast(heard | ~anyone[:, tf.newaxis], u.dtype)
        u = tf.where(taught[:, tf.newaxis], u, everyone)
        weights = u / tf.reduce_sum(u, axis=1, keepdims=True)
        # A gradient of its own for each of the two terms, however often each reads the logits.
        hard, soft = ordered.fan_out(student_logits, 2)
        if standardize_logits:
            soft, teacher_logits = map(standardization.standardized, (soft, teacher_logits))
        divergence = how(labels, soft, teacher_logits, weights, temperature, **settings)
        cross_entropy = mixed_labels.cross_entropy(labels, hard)
        ones = tf.ones_like(cross_entropy)
        of_none_right = 1.0 - NONE_RIGHT[none_right] * (1.0 - ce_weight)
        share = tf.where(taught, ce_weight * ones, tf.where(anyone, of_none_right * ones, ones))
        return kd_weight * (1.0 - share) * divergence + share * cross_entropy

    return distilled
