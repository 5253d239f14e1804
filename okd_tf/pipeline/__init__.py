"""The pipeline: teachers, view bank, search, assistants, student, evaluation, exports, in one workdir.

Stages exchange files and nothing else. A stage that is complete for its current inputs is not run again; a
stage that was killed resumes where it stopped; a stage whose inputs have changed is run again.
"""

import dataclasses

from okd_tf import data, errors, progress, settings, sources
from okd_tf.pipeline import cautions, check, diagnosis, forecast, joining, record, split_file, stages
from okd_tf.pipeline.context import Context
from okd_tf.report import opponents as of_opponents
from okd_tf.report import page


def run(chosen: settings.Settings, names, source: data.Source | None = None):
    """Run the named stages in order and show the table of results.

    Args:
        chosen: the settings.
        names: names of the stages, from `settings.STAGES`.
        source: the dataset, as `data.arrays.source` makes it of arrays; None is the one of the settings.

    Raises:
        UserError: a setting or file cannot be used; before any work if it can be known then.
    """
    if source:
        chosen = _of_arrays(chosen)
    context = Context(chosen, names, source=source)
    check.check(context, names)
    with context.crew.together():
        check.check_workers(context)
        context.crew.lead(lambda: split_file.write(context))
        context.crew.lead(lambda: record.describe(context))
        context.crew.lead(lambda: forecast.say(context, names))
        context.crew.lead(lambda: cautions.say(context, names))
        for name in settings.STAGES:
            if name in names:
                stages.complete(context, name)
        context.crew.lead(lambda: _show(context))
    if "student" in names and "evaluate" not in names:
        progress.say(f"next: python tools/evaluate.py --workdir={context.workdir}")


def _of_arrays(chosen):
    """Return the settings of a run on arrays, as its workdir records them.

    Raises:
        UserError: --dataset names another dataset.
    """
    usual = settings.default(settings.FIELDS["dataset"])
    if chosen.dataset not in (usual, sources.GIVEN):
        raise errors.UserError(
            f"--dataset: {chosen.dataset} is named, and a dataset is given from Python as well; leave one of "
            "the two out"
        )
    return dataclasses.replace(chosen, dataset=sources.GIVEN)


def _show(context):
    current = record.current(context, stages.STAGES.values())
    trials = context.settings.trials
    said = of_opponents.screen(context.workdir, current, trials)
    table = page.screen(context.workdir, current, trials)
    lines = ["", table, "", *said, *([""] if said else []), f"results: {context.workdir}"]
    progress.say("\n".join(lines))


def join(chosen: settings.Settings):
    """Help a run that is in progress in the workdir, then return; see `joining`.

    Raises:
        UserError: this process cannot help, or there is nothing to do.
    """
    joining.run(chosen)


def diagnose(chosen: settings.Settings):
    """Show the diagnosis of the teachers without training; --teachers are copied into the workdir first.

    Raises:
        UserError: there are no teachers, or an input cannot be used; before any work.
    """
    context = Context(chosen, names=())
    # What is complete needs no files of the user.
    check.check(context, ())
    stage = stages.STAGES["teachers"]
    if not record.outdated(context, stage):
        diagnosis.show(context)
        return
    check.check(context, ("teachers",))
    check.check_trained(context)
    split_file.write(context)
    record.describe(context)
    for caution in cautions.known_duplicates(context):
        progress.say(f"warning: {caution}")
    stages.complete(context, stage.name)
