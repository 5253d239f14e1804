"""Several budgets from one search, --max_params=60000,90000,140000: a student for each.

The student of the largest budget is the run's own. Each of the others is a run in a folder of its own,
budgets/60000, with the data, teachers and stored logits of this run and the architectures that its search
proposed within that budget: it holds its own finals, if any, trains its student and evaluates it.
"""

import dataclasses

from okd_tf.pipeline.context import Context
from okd_tf.search import loop
from okd_tf.settings import choices
from okd_tf.student import budgets

STAGES = ("finals", "student", "evaluate")  # of each


def smaller(context):
    """Return the runs of all budgets but the largest, in rising order."""
    return [_run(context, budget) for budget in context.budgets[:-1]]


def _run(context, budget):
    changed = dataclasses.replace(
        context.settings,
        workdir=str(budgets.folder(context.workdir, budget.max_params)),
        max_params=budget.max_params,
        train_loss=context.train_loss,
        baseline=False,
        opponents=choices.OPPONENTS[0],
        student="",
    )
    return Context(changed, origin=context, searched=loop.folder_of(context.search_folder, budget))
