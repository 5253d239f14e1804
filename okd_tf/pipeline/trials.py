"""Trials of a run, --trials=3: search, student and opponents repeated with other seeds.

Trial 0 is the run itself. Each of the others is a run in a folder of its own, trials/1, with the data,
teachers, assistants and stored logits of this run. All stages between the teachers and the exports belong to
a trial: differences between its networks are paired, since these share seed, views and order of images.
"""

import dataclasses

from okd_tf.pipeline.context import Context
from okd_tf.student import trials

STAGES = ("search", "choice", "finals", "student", "budgets", "baseline", "opponents", "evaluate")  # of each


def further(context):
    """Return the runs of all trials but the first."""
    return [_run(context, trial) for trial in range(1, context.settings.trials)]


def _run(context, trial):
    changed = dataclasses.replace(
        context.settings,
        workdir=str(trials.folder(context.workdir, trial)),
        trial=trial,
        trials=1,
        student="",
    )
    return Context(changed, origin=context)
