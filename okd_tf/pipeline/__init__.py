"""The spine: teachers, view bank, search, assistants, student, evaluation, exports, through one workdir.

Stages exchange files and nothing else. A stage that is complete, for the inputs there are now, is not run
again; one that was killed goes on where it stopped; one whose inputs changed is redone.
"""

import dataclasses

from okd_tf import data, errors, progress, settings, sources
from okd_tf.pipeline import cautions, check, diagnosis, forecast, joining, record, split_file, stages
from okd_tf.pipeline.context import Context
from okd_tf.report import opponents as of_opponents
from okd_tf.report import page


def run(chosen: settings.Settings, names, source: data.Source | None = None):
    """Runs the named stages in order and shows the table of what there is.

    Args:
        chosen: the settings.
        names: of the stages, from `settings.STAGES`.
        source: the dataset, as `data.arrays.source` makes it of arrays; None is what the settings name.

    Raises:
        UserError: whatever in settings or files cannot be used, before any work where it can be known.
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
    """The settings of a run whose dataset is given, which its workdir is to remember as one of arrays."""
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
    """Helps a run that is going on in the workdir, and leaves; see `joining`.

    Raises:
        UserError: it cannot, or there is nothing to do.
    """
    joining.run(chosen)


def diagnose(chosen: settings.Settings):
    """Shows who of the teachers is right, and trains nothing; --teachers are taken over first.

    Raises:
        UserError: there are no teachers, or whatever else cannot be used, before any work.
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
