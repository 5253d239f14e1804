"""Checks that refuse unusable inputs before any work is done."""

import pathlib

from okd_tf import backbones, errors, files, progress, sources
from okd_tf.backbones import application_weights
from okd_tf.pipeline import check_networks, foreign_student, leaks, lessons, record, stages
from okd_tf.search import derive, finalists
from okd_tf.teachers import bank, ensemble, folds, shards, store, teacher


def check(context, names):
    """Refuse unusable inputs before any work, as far as they can be known.

    Raises:
        UserError: one line naming the flag or file.
    """
    if not context.source:
        sources.check(context.requested.request)
    # In this order: workers are to meet before TensorFlow does anything, and the rest follows the data.
    _ = context.strategy, context.data
    chosen = context.settings
    check_networks.check_made(context, names, lambda name: will_run(context, name, names))
    _check_same_data(context)
    # Of a stage that is complete, what it was made of may be gone.
    given = ensemble.paths(chosen.teachers) if will_run(context, "teachers", names) else []
    _check_mixing(context)
    bank.check_views(chosen.views, context.data, context.mixing)
    if chosen.batch_size > len(context.data.train):
        raise errors.UserError(
            f"--batch_size: {chosen.batch_size} is more than the {len(context.data.train)} training "
            "examples; use a smaller one"
        )
    _warn_of_twins(given)
    for path in given:
        teacher.read(path, context.data)
    if given:
        leaks.suspects(context)  # refuses a `trained_on` that cannot be used
    _check_folds(context, names, given)
    if "search" in names and not chosen.arch:
        check_networks.check_backbone(context)
        derive.check_budget(context.template.cost, context.budgets[0])
        if chosen.searches:
            _ = context.space
        if chosen.finals:
            finalists.check(context.space, context.budgets[0], chosen.rounds[0])
    if chosen.arch and {"choice", "student", "baseline", "opponents", "trials"} & set(names):
        check_networks.check_keeps(chosen, context.architecture())
    if chosen.student:
        foreign_student.check(context, names)
    _check_bank(context, names, given)
    _check_stages(context, names, given)


def _check_mixing(context):
    """Refuse to mix images if there is only one image per class: all views would be mixtures of classes."""
    if (context.mixing or context.teacher_mixing) and len(context.data.train) <= context.data.classes:
        flag = "--mix" if context.mixing else "--teacher_mix"
        raise errors.UserError(
            f"{flag}: the {len(context.data.train)} training images are one of each class, too few to mix; "
            f"add images, or leave {flag} out"
        )


def _check_same_data(context):
    """Raise UserError if the data differs from that of the workdir's stages and --redo is not given."""
    ran = record.of_other_data(context)
    if ran and not context.settings.redo:
        raise errors.UserError(
            f"--dataset: {context.settings.dataset} is not what it was when these stages ran in "
            f"{context.workdir}: {', '.join(ran)} (its images, labels, splits or views differ); use another "
            "--workdir, or add --redo to run them again"
        )


def check_workers(context):
    """Refuse workers whose data or workdir differs from the chief's: each worker reads its own.

    Raises:
        UserError: another split of the data, or another plan.
    """
    own = record.description(context)
    there = context.crew.agree(lambda: [own["split"], own["plan"]])
    if there[0] != own["split"]:
        raise errors.UserError(
            f"--data_dir: '{context.data.name}' is not the same here as at worker 0: the split of "
            "the examples differs; give all workers the same data"
        )
    if there[1] != own["plan"]:
        raise errors.UserError(
            f"--workdir: {context.workdir} does not show here what it shows at worker 0, so that what is "
            "left to the data comes out otherwise; use a folder that all see, or start again"
        )


def will_run(context, name, names):
    """Return whether a stage may find work to do when the stages of these names run."""
    stage = stages.STAGES[name]
    if name not in names or stage.needless(context):
        return False
    return bool(record.outdated(context, stage)) or any(
        will_run(context, other.name, names) for other in stage.needs(context)
    )


def needless(context, name):
    """Return the reason why a run does not need a stage, whatever files exist, or ""."""
    return stages.STAGES[name].needless(context)


def check_trained(context):
    """Refuse to continue if the teachers stage would have to train.

    Raises:
        UserError: no --teachers, and some of the run's own are missing or were trained with other settings.
    """
    chosen, there = context.settings, len(context.teaching.teacher_paths())
    if chosen.teachers:
        return
    why = record.outdated(context, stages.STAGES["teachers"])
    if there < chosen.num_teachers:
        why = f"has {there} of {chosen.num_teachers} teachers"
    elif why.startswith((record.OTHER_INPUTS, record.NOT_RUN)):
        why = f"has teachers, but their stage {why}"
    else:
        return
    raise errors.UserError(
        f"--workdir: {context.workdir} {why}, and nothing is trained here; run "
        "tools/train_teachers.py first, or give teachers by --teachers"
    )


def _warn_of_twins(given):
    """Print a warning for teachers that are the same network."""
    by_hash = {}
    for path in given:
        twin = by_hash.setdefault(teacher.content_hash(path), path)
        if twin is not path:
            progress.say(f"warning: --teachers: {path} is the same network as {twin}; it counts twice")


def _check_folds(context, names, given):
    """Refuse folds that leave less than a batch, and --held_out_only without any held-out teacher."""
    chosen, ids = context.settings, context.data.train.ids
    if "teachers" in names and not given:
        if chosen.teacher_folds:
            folds.check_batch(len(ids), chosen.teacher_folds, chosen.batch_size)
        held_out = context.teaching.to_hold_out()
    else:
        held_out = [folds.recorded(path) for path in given or context.teaching.teacher_paths()]
    for path, one in zip(given, held_out, strict=False):
        if folds.is_foreign(ids, one):
            progress.say(
                f"warning: {path} held out some of other training examples than these; it counts as trained "
                "on all of these"
            )
    learning = {"teachers", "search", "choice", "finals", "student", "budgets", "opponents", "trials"}
    if not chosen.held_out_only or not held_out or not learning & set(names):
        return
    seen = folds.seen(ids, held_out)
    folds.check_held_out(seen)
    unheard = seen.all(axis=0).mean()
    if unheard:
        progress.say(
            f"warning: {unheard:.1%} of the training examples are held out by no teacher; with "
            "--held_out_only they are learnt from their labels"
        )


def _check_bank(context, names, given):
    """Refuse a bank that cannot be stored or read, as far as this is known before the teachers exist."""
    chosen = context.settings
    if chosen.check_bank and ("bank" not in names or not lessons.needs_bank(context)):
        raise errors.UserError(
            "--check_bank: nothing is stored here to compare with (--views=0, other stages, or losses "
            "without teachers); leave it out"
        )
    if not lessons.needs_bank(context):
        if chosen.bank:
            raise errors.UserError(
                "--bank: nothing reads stored logits here (--views=0, or losses without teachers); leave it "
                "out"
            )
        return
    training = will_run(context, "teachers", names) and not given
    if chosen.bank:
        if chosen.check_bank or _will_be_read(context, names):
            _check_bank_of_others(context, given, training)
    else:
        count = chosen.num_teachers if training else len(given or context.teaching.teacher_paths())
        files.require_space(context.workdir, _to_be_stored(context, names, count), "the view bank")


def _check_bank_of_others(context, given, training):
    """Refuse the bank that --bank names unless it was made by these teachers on this data."""
    chosen = context.settings
    if training:
        raise errors.UserError(
            "--bank: holds what its own teachers say; give them by --teachers, as --teachers=RUN/teachers"
        )
    hashes = [teacher.content_hash(path) for path in given or context.teaching.teacher_paths()]
    of = bank.key(context.data, chosen.seed, hashes, context.mixing)
    store.read(chosen.bank, of, bank.views(chosen.views))


def _will_be_read(context, names):
    """Return whether some stage with work to do reads the bank of the teachers."""
    return any(
        stages.STAGES["bank"] in stages.STAGES[name].needs(context) and will_run(context, name, names)
        for name in names
    )


def _to_be_stored(context, names, teachers):
    """Return the bytes of logits that the stages will write, of `teachers` teachers and of the assistants."""
    links, teaching = len(context.settings.assistant), context.teaching
    banks = [("bank", teaching.bank_folder, teachers)]
    banks += [("assistant", teaching.assistant_bank_folder(index), 1) for index in range(links)]
    if links and not will_run(context, "assistant", names):
        banks.append(("student", teaching.assistant_bank_folder(links - 1), 1))
    size = 0
    for name, folder, count in banks:
        if will_run(context, name, names):
            wanted = bank.plan(context.data, context.settings.views, count)
            # What was made of other inputs is set aside, and goes on taking its place.
            anew = any(
                record.outdated(context, stages.STAGES[stage]).startswith(record.OTHER_INPUTS)
                for stage in ("teachers", name)
            )
            missing = wanted.shards() if anew else shards.unfinished(folder, wanted)
            size += sum(map(wanted.shard_bytes, missing))
    return size


def _check_stages(context, names, given):
    """Refuse stages whose required stages are missing, and inputs that lie in a folder they may replace."""
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
    """Return the single files that the settings name and a stage will read."""
    chosen = context.settings
    if chosen.arch:
        return [pathlib.Path(chosen.arch)]
    found = [chosen.backbone] if "search" in names and backbones.is_file(chosen.backbone) else []
    if chosen.weights not in application_weights.NAMES:
        found.append(chosen.weights)
    return list(map(pathlib.Path, found))


def _folder_of_stage(context, stage, path):
    """Return the folder of the stage, or one set aside from it, that contains a path; "" if none does."""
    if not stage.folder:
        return ""
    folders = [context.workdir / stage.folder, *context.workdir.glob(f"{stage.folder}.old*")]
    return next((str(one) for one in folders if path.resolve().is_relative_to(one.resolve())), "")


def _check_teachers_stay(context, stage, missing, names):
    """Refuse to train new teachers for a stage that also needs results of the teachers they replace."""
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
    """Return whether a stage requires another one, directly or indirectly."""
    if stage.needless(context):
        return False
    needed = stage.needs(context)
    return other in needed or any(_rests_on(context, each, other) for each in needed)
