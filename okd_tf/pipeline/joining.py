"""What a process does that helps a run which is going on elsewhere in the same workdir.

It takes jobs of the run that nobody does, and leaves when there are none. What the workdir says of the run
(flags.cfg, run.json, stages.json) is the run's alone to write.
"""

from okd_tf import errors, fields, progress
from okd_tf.pipeline import record, stages, work
from okd_tf.pipeline.context import Context


def run(chosen):
    """Helps to train the teachers.

    Args:
        chosen: the `Settings` of the run.

    Raises:
        UserError: this is another version, TensorFlow or data than the run's; or there is nothing to do.
    """
    context = Context(chosen)
    check(context)
    say_what_was_done(context, teachers(context), why_not_teachers(context))


def check(context):
    """Refuses to help where the results would not be those of the run itself.

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
    """Trains teachers that nobody does; gives what those trained here are called."""
    if not _teachers_are_wanted(context):
        return []
    return work.join_teachers(context, lambda: _teachers_are_wanted(context))


def why_not_teachers(context):
    """Why no teachers are to be trained here, in a few words."""
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
    """The last line on screen.

    Raises:
        UserError: nothing was done, as `why_nothing` says.
    """
    if not done:
        raise errors.UserError(
            f"--join: nothing to do in {context.workdir}: {why_nothing}; the run itself is started without it"
        )
    progress.say(f"\njoined {context.workdir}: did {', '.join(done)}; nothing is left that nobody does")


def _teachers_are_wanted(context):
    """Whether the run is in the teachers stage, with the inputs that are here."""
    return not context.settings.teachers and record.is_underway(context, stages.STAGES["teachers"])
