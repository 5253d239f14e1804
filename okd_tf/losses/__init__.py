"""Distillation losses behind one interface.

Each is a function

    loss(labels [batch], student_logits [batch, classes], teacher_logits [batch, teachers, classes],
         temperature, ce_weight) -> [batch]

of the per-example loss, differentiable in the student's logits. A new one is one file and one line below.
`teacher_logits` may be None for a loss that is not in NEEDS_TEACHERS.
"""

from okd_tf.losses import ce, mean, oracle

KD_LOSSES = {
    "ce": ce.loss,
    "mean": mean.loss,
    "oracle": oracle.loss,
}

NEEDS_TEACHERS = frozenset(KD_LOSSES) - {"ce"}
