"""Joining (--join): a process that helps a run in progress in the same workdir.

It executes jobs of the run that no other process does, and ends when there are none. Only the run itself
writes flags.cfg, run.json and stages.json of the workdir.
"""

from okd_tf import errors, fields, progress
from okd_tf.pipeline import record, stages, work
from okd_tf.pipeline.context import Context


def run(chosen):
    """Help to train the teachers.

    Args:
        chosen: the `Settings` of the run.

    Raises:
        UserError: version, TensorFlow or data differ from the run's; or there is nothing to do.
    """
    context = Context(chosen)
    check(context)
    say_what_was_done(context, teachers(context), why_not_teachers(context))


def check(context):
    """Refuse to help if the results would differ from those of the run itself.

    Raises:
        UserError: other versions, or another split of the data.
    """
    path = context.workdir / "run.json"
    if not path.exists():
        raise errors.UserError(f"--join: {path} is not there; start the run again, without --join")
    described = fields.read(path, "start the run again, without --join")
    here = record.description(context)
    versions = {name: one.text() for name, one in described["packages"].entries().items()}
    versions["okd_tf"] = described["okd_tf"].text()
    split = described["split"].value
    for name, own in {"okd_tf": here["okd_tf"], **here["packages"]}.items():
        if versions.get(name) != own:
            raise errors.UserError(
                f"--join: the run in {context.workdir} is of {name} {versions.get(name)}, and here is {own}; "
                "install the same"
            )
    if split != here["split"]:
        raise errors.UserError(
            f"--join: '{context.settings.dataset}' is not the same here as in the run in {context.workdir}: "
            "the split of the examples differs; give its data by --data_dir"
        )


def teachers(context):
    """Train teachers that no other process trains; return the names of those trained here."""
    if not _teachers_are_wanted(context):
        return []
    return work.join_teachers(context, lambda: _teachers_are_wanted(context))


def why_not_teachers(context):
    """Return the reason, in a few words, why no teachers are to be trained here."""
    why = record.outdated(context, stages.STAGES["teachers"])
    if context.settings.teachers:
        return "its teachers are given, and are not trained"
    if not why:
        return "its teachers are trained"
    if not _teachers_are_wanted(context):
        return f"its teachers stage {why}"
    doing = work.teachers_of_others(context)
    return f"others have all that is left: {doing}" if doing else "all that can be shared is done"


def say_what_was_done(context, done, why_nothing):
    """Print the final line.

    Raises:
        UserError: nothing was done, for the reason `why_nothing`.
    """
    if not done:
        raise errors.UserError(
            f"--join: nothing to do in {context.workdir}: {why_nothing}; the run itself is started without it"
        )
    progress.say(f"\njoined {context.workdir}: did {', '.join(done)}; nothing is left that nobody does")


def _teachers_are_wanted(context):
    """Return whether the run is in the teachers stage, with the same inputs as here."""
    return not context.settings.teachers and record.is_underway(context, stages.STAGES["teachers"])
