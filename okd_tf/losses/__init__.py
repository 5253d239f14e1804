"""Distillation losses behind one interface.

Each is a function

    loss(labels [batch], student_logits [batch, classes], teacher_logits [batch, teachers, classes],
         temperature, ce_weight, *, heard=None, **settings) -> [batch]

of the per-example loss, differentiable in the student's logits; one with teachers is `distillation.loss` of
who teaches and how. A new one is one file and one line in each dictionary below. `teacher_logits` may be None
for a loss that is not in NEEDS_TEACHERS. `heard`, bool [batch, teachers], says whose logits count; None is
all. SETTINGS names the settings of a run that a loss takes as keywords.
"""

from okd_tf.losses import ce, dkd, mean, oracle, oracle_dkd, vote

KD_LOSSES = {
    "ce": ce.loss,
    "mean": mean.loss,
    "vote": vote.loss,
    "oracle": oracle.loss,
    "dkd": dkd.loss,
    "oracle_dkd": oracle_dkd.loss,
}

NEEDS_TEACHERS = frozenset(KD_LOSSES) - {"ce"}

SETTINGS = {
    "ce": (),
    "mean": ("standardize_logits",),
    "vote": ("standardize_logits",),
    "oracle": ("standardize_logits",),
    "dkd": ("standardize_logits", "dkd_alpha", "dkd_beta"),
    "oracle_dkd": ("standardize_logits", "dkd_alpha", "dkd_beta"),
}
