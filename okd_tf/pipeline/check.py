"""What can be known to be unusable before any work is done, and is refused then."""

import pathlib

from okd_tf import backbones, data, errors
from okd_tf.arch import cost
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
        ("--teacher_backbone", chosen.teacher_backbone, backbones.BACKBONES),
        *(("--assistant", name, backbones.BACKBONES) for name in chosen.assistant),
        ("--schedule", chosen.schedule, optimizers.SCHEDULES),
    ):
        if name not in valid:
            raise errors.unknown(flag, name, valid)
    if not backbones.is_file(chosen.backbone) and chosen.backbone not in backbones.BACKBONES:
        unknown = errors.unknown("--backbone", chosen.backbone, backbones.BACKBONES)
        raise errors.UserError(f"{unknown}; or give the path of a .keras file")
    given = ensemble.paths(chosen.teachers) if "teachers" in names else []
    _ = context.data, context.recipe
    bank.check_views(chosen.views, context.data)
    if chosen.batch_size > len(context.data.train):
        raise errors.UserError(
            f"--batch_size: {chosen.batch_size} is more than the {len(context.data.train)} training "
            "examples; use a smaller one"
        )
    for path in given:
        ensemble.read_network(path, context.data.image_shape, context.data.classes)
    if "search" in names and not chosen.arch:
        _check_backbone(context)
        derive.check_budget(context.space, context.budget)
    if chosen.arch and {"student", "baseline"} & set(names):
        context.architecture()
    if chosen.student:
        _check_student(context, names)
    _check_stages(context, names, given)


def _check_backbone(context):
    """Reads the backbone; under a bound on FLOPs, all of it must be of layers whose FLOPs can be counted."""
    unknown = cost.uncounted(context.backbone.model) if context.settings.max_flops else ()
    if unknown:
        raise errors.UserError(
            f"--max_flops: the FLOPs of layer '{unknown[0]}' of {context.settings.backbone} cannot be "
            "counted; leave --max_flops out, and bound --max_params"
        )


def _check_student(context, names):
    if not set(names) <= {"evaluate", "export", "report"}:
        raise errors.UserError(
            "--student: names a finished network, which tools/evaluate.py and tools/export.py take; "
            "leave it out here"
        )
    context.classifier(context.student_path)
    own = context.workdir / "student" / "student.keras"
    if own.exists():
        raise errors.UserError(
            f"--student: {context.workdir} has a student of its own, whose figures would be overwritten; "
            "use another --workdir, or leave --student out"
        )


def _check_stages(context, names, given):
    """What the wanted stages need is there or made by one of them; what they may set aside is not given."""
    wanted = [stage for name, stage in stages.STAGES.items() if name in names]
    for stage in wanted:
        if stage.needless(context):
            continue
        missing = [other for other in stage.needs(context) if other.name not in names]
        record.require(context, stage, missing)
        _check_teachers_stay(context, stage, missing, names)
        for path in (*given, *_named_files(context, names)):
            folder = _folder_of_stage(context, stage, path)
            if folder:
                raise errors.UserError(
                    f"{path}: lies in {folder}, which the {stage.name} stage may replace; copy it elsewhere "
                    "first, or leave its flag out to use the workdir's own"
                )


def _named_files(context, names):
    """The single files that the settings name and a stage is to read."""
    chosen = context.settings
    if chosen.arch:
        return [pathlib.Path(chosen.arch)]
    own = "search" in names and backbones.is_file(chosen.backbone)
    return [pathlib.Path(chosen.backbone)] if own else []


def _folder_of_stage(context, stage, path):
    """The stage's folder, or one set aside from it, that a path lies in; "" if in none."""
    if not stage.folder:
        return ""
    folders = [context.workdir / stage.folder, *context.workdir.glob(f"{stage.folder}.old*")]
    return next((str(one) for one in folders if path.resolve().is_relative_to(one.resolve())), "")


def _check_teachers_stay(context, stage, missing, names):
    """Refuses to train new teachers for a stage that also needs results of the ones they replace."""
    teachers = stages.STAGES["teachers"]
    if "teachers" not in names or not record.outdated(context, teachers):
        return
    for other in missing:
        if _rests_on(context, other, teachers):
            raise errors.UserError(
                f"{stage.name}: needs the {other.name} stage, which depends on the teachers that are about "
                "to change; run tools/search.py without --stages, or use another --workdir with "
                f"--arch={context.arch_path}"
            )


def _rests_on(context, stage, other):
    """Whether a stage needs another, or needs one that rests on it."""
    if stage.needless(context):
        return False
    needed = stage.needs(context)
    return other in needed or any(_rests_on(context, each, other) for each in needed)
