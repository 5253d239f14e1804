"""A student from outside the run, named by --student: checked as a teacher is before it is used."""

import numpy as np

from okd_tf import errors, progress
from okd_tf.settings import checks
from okd_tf.teachers import doubts, manifest, remedies
from okd_tf.training import inference

LOOKED_AT = 512  # validation images, by which it is doubted


def check(context, names):
    """Refuse a student that does not fit; print how its file is interpreted, and warnings about it.

    Args:
        context: the run.
        names: names of the stages to run.

    Raises:
        UserError: one line naming the flag or file.
    """
    checks.refuse_student(context.settings, names)
    network = context.foreign_student
    own = context.workdir / "student" / "student.keras"
    if own.exists():
        raise errors.UserError(
            f"--student: {context.workdir} has a student of its own, whose figures would be overwritten; "
            "use another --workdir, or leave --student out"
        )
    progress.say(f"student: {context.student_path}: {network.description()}")
    val = context.data.val
    rows = np.unique(np.linspace(0, len(val) - 1, LOOKED_AT).astype(int))
    predictor = inference.Predictor(network, image_shape=context.data.image_shape)
    logits = predictor.logits(val.images[rows])

    def mend(index, doubted):
        del index  # there is one
        return remedies.advice(network, context.data, context.student_path, doubted)

    for doubt in doubts.doubts(logits[np.newaxis], val.labels[rows], ["--student"], mend):
        progress.say(f"warning: {doubt}")


def declared(chosen):
    """Return the JSON file with declarations about --student, by its role; {} if there is none."""
    path = manifest.path(chosen.student) if chosen.student else None
    return {"what is declared of the student": path} if path and path.exists() else {}
