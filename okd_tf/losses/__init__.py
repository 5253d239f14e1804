"""Distillation losses behind one interface.

Each is a function

    loss(labels [batch], student_logits [batch, classes], teacher_logits [batch, teachers, classes],
         temperature, ce_weight, *, heard=None, kd_weight=1.0, **settings) -> [batch]

of the per-example loss, differentiable in the student's logits; most losses with teachers are made by
`distillation.loss` from a selection of teachers and a divergence. A new one is one file and one line in each
dictionary below. For a loss in NEEDS_PEERS, `teacher_logits` are those of networks that train at the same
time; for a loss in neither set they may be None. `labels` are `mixed_labels.Labels` where images may be
mixtures of two. `heard`, bool [batch, teachers], is the teacher mask: only the logits of teachers with True
count; None is all. `kd_weight` is a factor of the divergence from teachers or peers. SETTINGS names the
settings of a run that a loss takes as keywords.
"""

from okd_tf.losses import ce, confidence, dkd, masked, mean, mutual, oracle, oracle_dkd, vote

KD_LOSSES = {
    "ce": ce.loss,
    "mean": mean.loss,
    "vote": vote.loss,
    "oracle": oracle.loss,
    "dkd": dkd.loss,
    "oracle_dkd": oracle_dkd.loss,
    "confidence": confidence.loss,
    "masked": masked.loss,
    "mutual": mutual.loss,
}

NEEDS_PEERS = frozenset({"mutual"})
NEEDS_TEACHERS = frozenset(KD_LOSSES) - NEEDS_PEERS - {"ce"}

SETTINGS = {
    "ce": ("label_smoothing",),
    "mean": ("standardize_logits",),
    "vote": ("standardize_logits",),
    "oracle": ("standardize_logits", "none_right"),
    "dkd": ("standardize_logits", "dkd_alpha", "dkd_beta"),
    "oracle_dkd": ("standardize_logits", "none_right", "dkd_alpha", "dkd_beta"),
    "confidence": ("standardize_logits",),
    "masked": ("standardize_logits",),
    "mutual": (),
}

FEW_CLASSES = 25  # up to here a divergence counts once


def usual_kd_weight(name, classes) -> float:
    """Return the default factor of a loss's divergence.

    The gradient of a softened divergence is about (s - t) / classes in each logit (Hinton et al., 2015,
    equation 4, times the squared temperature); with many classes it is small compared with weight decay, and
    a student remains far from fitted. Losses with factors of their own (dkd) and of peers keep their
    published weights.

    Args:
        name: a key of KD_LOSSES.
        classes: number of logits of a network.
    """
    if name in NEEDS_PEERS or "dkd_beta" in SETTINGS[name]:
        return 1.0
    return max(1.0, classes / FEW_CLASSES)
