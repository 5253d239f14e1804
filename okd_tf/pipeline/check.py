"""What can be known to be unusable before any work is done, and is refused then."""

import pathlib

from okd_tf import backbones, data, errors, losses, search
from okd_tf.arch import space
from okd_tf.pipeline import record, stages
from okd_tf.search import derive
from okd_tf.teachers import bank, ensemble
from okd_tf.training import optimizers


def check(context, names):
    """Refuses, before any work, what can be known to be unusable.

    Raises:
        UserError: one line naming the flag or file.
    """
    chosen = context.settings
    for flag, name, valid in (
        ("--dataset", chosen.dataset, data.DATASETS),
        ("--backbone", chosen.backbone, backbones.BACKBONES),
        ("--teacher_backbone", chosen.teacher_backbone, backbones.BACKBONES),
        ("--strategy", chosen.strategy, search.STRATEGIES),
        ("--search_loss", chosen.search_loss, losses.KD_LOSSES),
        ("--train_loss", chosen.train_loss, losses.KD_LOSSES),
        ("--schedule", chosen.schedule, optimizers.SCHEDULES),
    ):
        if name not in valid:
            raise errors.unknown(flag, name, valid)
    given = ensemble.paths(chosen.teachers)
    _ = context.data, context.recipe
    bank.check_views(chosen.views, context.data)
    if chosen.batch_size > len(context.data.train):
        raise errors.UserError(
            f"--batch_size: {chosen.batch_size} is more than the {len(context.data.train)} training "
            "examples; use a smaller one"
        )
    if "teachers" in names:
        for path in given:
            ensemble.read_network(path, context.data.image_shape, context.data.classes)
    if "search" in names and not chosen.arch:
        derive.check_budget(space.SearchSpace.around(context.backbone), context.budget)
    if chosen.arch:
        context.architecture()
    if chosen.student:
        _check_student(context)
    _check_stages(context, names, given)


def _check_student(context):
    context.classifier(context.student_path)
    own = context.workdir / "student" / "student.keras"
    if own.exists() and not own.samefile(context.student_path):
        raise errors.UserError(
            f"--student: {context.workdir} has a student of its own, whose figures would be overwritten; "
            "use another --workdir"
        )


def _check_stages(context, names, given):
    """What the wanted stages need is there or made by one of them; what they may set aside is not given."""
    wanted = [stage for name, stage in stages.STAGES.items() if name in names]
    for stage in wanted:
        if stage.needless(context):
            continue
        missing = [other for other in stage.needs(context) if other.name not in names]
        record.require(context, stage, missing)
        folder = (context.workdir / stage.folder).resolve()
        for path in (*given, *map(pathlib.Path, filter(None, [context.settings.arch]))):
            if stage.folder and path.resolve().is_relative_to(folder):
                raise errors.UserError(
                    f"{path}: lies in {folder}, which the {stage.name} stage may replace; copy it elsewhere "
                    "first, or leave its flag out to use the workdir's own"
                )
