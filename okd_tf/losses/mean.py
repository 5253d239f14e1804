"""Distillation from the averaged ensemble: every teacher teaches every example, right or wrong.

    L(x, y) = (1 / N) sum_i tau^2 KL(softmax(t_i / tau) || softmax(s / tau)),    N teachers.

Its gradient is that of the cross-entropy to the teachers' mean soft target (Hinton, Vinyals, Dean,
"Distilling the Knowledge in a Neural Network", 2015); the oracle loss differs from it by the gate alone.
"""

import tensorflow as tf

from okd_tf.losses import distillation


def everyone(labels, teacher_logits, heard):
    """Return 1 for all teachers in the mask, and 0 for the others: float [batch, teachers]."""
    del labels
    return tf.cast(heard, teacher_logits.dtype)


loss = distillation.loss(everyone)
