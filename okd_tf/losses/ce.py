"""Cross-entropy to the label: the loss of the teachers and of the baseline, with no teacher in it."""

from okd_tf.losses import mixed_labels


def loss(
    labels, student_logits, teacher_logits=None, temperature=1.0, ce_weight=0.0, *, heard=None, kd_weight=1.0
):
    """L(x, y) = -log softmax(s(x))_y.

    labels int [batch] or `mixed_labels.Labels`, student_logits [batch, classes] -> [batch]. The other
    arguments belong to the common interface and change nothing here.
    """
    del teacher_logits, temperature, ce_weight, heard, kd_weight
    return mixed_labels.cross_entropy(labels, student_logits)
