"""The stages of the pipeline: inputs, outputs and work of each."""

import dataclasses
import functools
from collections.abc import Callable

from okd_tf import backbones, errors, files, losses, progress, settings
from okd_tf.arch import spec
from okd_tf.backbones import stored
from okd_tf.export import student as exporting
from okd_tf.pipeline import (
    backbone,
    budgets,
    choosing,
    diagnosis,
    finals,
    foreign_student,
    lessons,
    opponents,
    record,
    trials,
    work,
)
from okd_tf.pipeline.context import Context
from okd_tf.report import budgets as sizes
from okd_tf.report import page
from okd_tf.search import finalists
from okd_tf.student import distill
from okd_tf.teachers import assistant, ensemble, folds, shards, teacher

_RECIPE = (
    *("seed", "batch_size", "schedule", "schedule_steps", "momentum", "nesterov"),
    *("clip_norm", "precision", "balance"),
)
_VIEWS = ("views", "mix", "mix_probability")
_LOSS = ("temperature", "ce_weight", "kd_weight", *_VIEWS)
_SEARCH = (
    *("backbone", "backbone_width", "attach_after", "ops", "strategy", "search_loss", "search_epochs"),
    *("search_warmup_epochs", "budget_weight", "candidates", "max_params", "max_flops"),
)
_ALPHAS = ("alpha_learning_rate", "alpha_weight_decay")
_STRATEGY = {  # what else decides the result, by strategy
    "darts": (*_ALPHAS, "search_sharpness", "unrolled"),
    "gumbel": (*_ALPHAS, "gumbel_temperature", "gumbel_temperature_end"),
    "reinforce": (
        *("controller_updates", "controller_children", "controller_learning_rate"),
        *("controller_entropy", "reward"),
    ),
    "random": (),
    settings.NO_SEARCH: (),
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Attributes:
        name: from `settings.STAGES`.
        work: function that does it.
        folder: its folder below the workdir, set aside when the stage must be redone; "" is none.
        settings: function that returns the names of the settings its result depends on, besides the splits.
        reads: function that returns its other inputs, files or texts, by their role.
        leaves: function that returns whether all its outputs exist.
        needs: function that returns the stages that must be complete before.
        needless: function that returns the reason why the run can skip it, or "".

    With several workers only the chief runs a stage; those of `settings.choices.TRAINING` run on every
    worker.
    """

    name: str
    work: Callable[[Context], None]
    folder: str
    settings: Callable[[Context], tuple]
    reads: Callable[[Context], dict]
    leaves: Callable[[Context], bool]
    needs: Callable[[Context], list] = lambda context: []
    needless: Callable[[Context], str] = lambda context: ""

    @property
    def together(self) -> bool:
        """Return whether the stage runs on every worker, and not only on the chief."""
        return self.name in settings.choices.TRAINING


def _work_report(context):
    current = record.current(context, STAGES.values())
    won = not context.settings.finals or "finals" in current
    text = page.markdown(
        context.workdir,
        context.split_record,
        (context.workdir / settings.FLAGFILE).read_text(encoding="utf-8") + _left_open(context),
        arch_path=context.arch_path if won else context.found_path,
        current=current | ({"search"} if STAGES["search"].needless(context) else set()),
        found_path=context.found_path,
        trials=context.settings.trials,
    )
    if len(context.budgets) > 1:
        sizes.draw(context.workdir, current, context.budget.max_params)
    files.write_text(context.workdir / "report.md", text)


def _work_budgets(context):
    """Train and evaluate the students of the smaller budgets."""
    _complete_all(
        budgets.smaller(context),
        budgets.STAGES,
        lambda run: f"budgets: at most {run.budget.max_params:,} parameters",
    )


def _budgets_are_done(context):
    if context.settings.train_loss == settings.choices.AUTO and not choosing.taken(context):
        return False
    return _are_done(budgets.smaller(context), budgets.STAGES)


def _work_trials(context):
    """Train and evaluate all trials but the run itself."""
    _complete_all(
        trials.further(context),
        trials.STAGES,
        lambda run: f"trials: {run.settings.trial + 1} of {context.settings.trials}",
    )


def _trials_are_done(context):
    return _are_done(trials.further(context), trials.STAGES)


def _complete_all(runs, names, title):
    """Complete the named stages of runs within a run; `title(run)` is shown before each."""
    for run in runs:
        run.crew.lead(functools.partial(progress.say, title(run)))
        for stage in _needed(run, names):
            record.complete(run, stage)


def _are_done(runs, names):
    return not any(record.outdated(run, stage) for run in runs for stage in _needed(run, names))


def _needed(run, names):
    """Return those of the named stages that a run needs, in order."""
    return [STAGES[name] for name in names if not STAGES[name].needless(run)]


def _left_open(context):
    """Return the resolved values of open settings as comment lines."""
    told, found = context.requested, context.settings
    return "".join(
        f"# from the data: --{name}={settings.text(getattr(found, name))}\n"
        for name in settings.OPEN
        if getattr(found, name) != getattr(told, name)
    )


def _there(*names):
    return lambda context: all((context.workdir / name).exists() for name in names)


def _given_teachers(context):
    """Return the hashes of --teachers; if some files are gone, MISSING for each teacher copied from them."""
    try:
        given = list(map(teacher.content_hash, ensemble.paths(context.settings.teachers)))
    except errors.UserError:
        # The check refuses it where they are wanted; elsewhere what was made of them may still count.
        given = [record.MISSING] * len(context.teaching.teacher_paths())
    return {f"given teacher {index + 1}": what for index, what in enumerate(given)}


def _teacher_files(context):
    return {
        f"teacher {index + 1}": teacher.content_hash(path)
        for index, path in enumerate(context.teaching.teacher_paths())
    }


def _teacher_files_for(context, used):
    """Return the hashes of the teachers' files if any of these losses needs teachers, else {}."""
    return _teacher_files(context) if losses.NEEDS_TEACHERS.intersection(used) else {}


def _last_assistant(context):
    """Return the file of the last assistant, the student's teacher, by its role; {} without assistants."""
    links = len(context.settings.assistant)
    return {"last assistant": context.teaching.assistant_path(links - 1)} if links else {}


def _those_of_the_origin(context, name):
    """Return the reason why a run with an origin skips a stage that the origin runs, or ""."""
    maker = context.maker_of(name)
    return "" if maker is context else f"those of {maker.workdir} are used"


def _assistants_are_there(context):
    """Return whether all assistants are trained; their logits are stored again when needed."""
    folder = context.workdir / "assistant"
    return all(assistant.is_trained(folder, index) for index in range(len(context.settings.assistant)))


def _teacher_stages_for(context, used):
    """Return the stages that trainings with these losses require."""
    if not losses.NEEDS_TEACHERS.intersection(used):
        return []
    return [STAGES["teachers"], STAGES["bank"]] if context.settings.views else [STAGES["teachers"]]


def _teaching_stages(context):
    """Return the stages that make the student's teachers and their logits."""
    if context.settings.assistant:
        return [STAGES["assistant"]]
    return _teacher_stages_for(context, context.settings.train_losses)


def _search_loss(chosen):
    """Return the loss of the search; without a search "ce", which needs no teachers."""
    return chosen.search_loss if chosen.searches else "ce"


def _balance_of_bank(chosen):
    """Return ("balance",) if views are mixed, since the images mixed in are then balanced too; else ()."""
    return ("balance",) if chosen.mix != "none" else ()


def _recipe(context, stage):
    """Return the names of the settings that decide the training of a stage's networks."""
    chosen = context.settings
    kept = () if stage == "search" else ("keep", "average_decay") if chosen.keep == "average" else ("keep",)
    return (*_RECIPE, *(chosen.deciding(name, stage) for name in ("learning_rate", "weight_decay")), *kept)


def _of_losses(used):
    """Return the names of the settings of these losses, and of the teacher mask if they need teachers."""
    own = {name: None for loss in used for name in losses.SETTINGS[loss]}
    return (*own, *(("held_out_only",) if losses.NEEDS_TEACHERS.intersection(used) else ()))


def _size_of_student(context):
    """Return as text the properties of the trained architecture that decide its opponents."""
    if not context.arch_path.exists():
        return record.MISSING
    found = spec.read(context.arch_path)
    wide = context.settings.opponents == settings.choices.OPPONENTS[2]
    return f"{found.cost.params} parameters" if wide else f"add-on layers: {bool(found.add_ons)}"


def _called(context, path):
    """Return the name of a network's file in the evaluate stage's record."""
    is_opponent = context.opponents_path.parent in path.parents
    return f"opponent {path.parent.name}" if is_opponent else path.stem


def _taken(context):
    """Return the loss that `auto` chose, as an input of the student's training; {} if a loss is named."""
    if context.settings.train_loss != settings.choices.AUTO:
        return {}
    return {"the loss that --train_loss=auto took": choosing.taken(context) or record.MISSING}


def _unusual(chosen, *names):
    """Return those of these settings that differ from their defaults."""
    return tuple(name for name in names if getattr(chosen, name) != settings.default(settings.FIELDS[name]))


def _recorded(context):
    """Return whether each teacher trained with folds has a record of its held-out examples."""
    trained = context.settings.teacher_folds and not context.settings.teachers
    return not trained or all(map(folds.recorded, context.teaching.teacher_paths()))


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "teachers",
            work.make_teachers,
            folder="teachers",
            settings=lambda context: (
                ("seed",)  # of the views that they are diagnosed on
                if context.settings.teachers
                else (
                    *_recipe(context, "teachers"),
                    *("num_teachers", "teacher_width", "teacher_epochs", "teacher_folds"),
                    "teacher_label_smoothing",
                    "teacher_backbones" if context.settings.teacher_backbones else "teacher_backbone",
                    *(
                        "teacher_mix",
                        *(["mix_probability"] if context.settings.teacher_mix != "none" else []),
                    ),
                    *(("weights", *backbone.WARM) if context.settings.teachers_keep_weights else ()),
                )
            ),
            reads=lambda context: {
                **_given_teachers(context),
                **(
                    backbone.weights_input(context.settings) if context.settings.teachers_keep_weights else {}
                ),
            },
            leaves=lambda context: diagnosis.is_there(context) and _recorded(context),
            needless=lambda context: _those_of_the_origin(context, "teachers"),
        ),
        Stage(
            "bank",
            work.fill_bank,
            folder="bank",
            settings=lambda context: ("seed", *_VIEWS, *_balance_of_bank(context.settings)),
            reads=_teacher_files,
            leaves=lambda context: shards.complete(context.teaching.bank_folder),
            needs=lambda context: [STAGES["teachers"]],
            needless=lambda context: (
                _those_of_the_origin(context, "bank")
                or ("" if lessons.needs_bank(context) else "no loss reads stored logits")
                or (f"--bank={context.settings.bank}" if context.settings.bank else "")
            ),
        ),
        Stage(
            "search",
            work.search_architecture,
            folder="search",
            settings=lambda context: (
                *_recipe(context, "search"),
                "trial",
                *_LOSS,
                *_of_losses([context.settings.search_loss] if context.settings.searches else []),
                *_SEARCH,
                *_STRATEGY[context.settings.strategy],
                *backbone.warm_settings(context.settings),
            ),
            reads=lambda context: {
                **backbone.inputs(context.settings),
                **({"also scored": repr(context.also_score)} if context.also_score else {}),
                **({"finalists": str(context.settings.rounds[0])} if context.settings.finals else {}),
                **_teacher_files_for(context, [_search_loss(context.settings)]),
            },
            leaves=lambda context: _there(
                *(f"search/{name}" for name in work.found_by_search(context)),
                *([f"search/{stored.NAME}"] if backbones.is_stored(context.settings.backbone) else []),
            )(context),
            needs=lambda context: _teacher_stages_for(context, [_search_loss(context.settings)]),
            needless=lambda context: (
                f"--arch={context.settings.arch}"
                if context.settings.arch
                else f"{context.searched} is used"
                if context.searched
                else ""
            ),
        ),
        Stage(
            "assistant",
            work.train_assistants,
            folder="assistant",
            settings=lambda context: (
                *_recipe(context, "assistant"),
                *_LOSS,
                *_of_losses(context.settings.train_losses),
                "train_loss",
                *("assistant", "assistant_width", "assistant_epochs"),
            ),
            reads=_teacher_files,
            leaves=_assistants_are_there,
            needs=lambda context: _teacher_stages_for(context, context.settings.train_losses),
            needless=lambda context: (
                _those_of_the_origin(context, "assistant")
                or ("" if context.settings.assistant else "no --assistant")
            ),
        ),
        Stage(
            "choice",
            choosing.choose_loss,
            folder="choice",
            settings=lambda context: (
                *_recipe(context, "choice"),
                "trial",
                *_LOSS,
                *_of_losses(context.settings.train_losses),
                "student_epochs",
                *backbone.warm_settings(context.settings),
            ),
            reads=lambda context: {
                "arch.json": context.found_path,
                "the losses to choose from": ", ".join(context.settings.train_losses),
                **_teacher_files_for(context, context.settings.train_losses),
            },
            leaves=lambda context: bool(choosing.taken(context)),
            needs=lambda context: [
                STAGES["search"],
                *_teacher_stages_for(context, context.settings.train_losses),
            ],
            needless=lambda context: (
                ""
                if context.settings.train_loss == settings.choices.AUTO
                else f"--train_loss={context.settings.train_loss}"
            ),
        ),
        Stage(
            "finals",
            finals.hold,
            folder="finals",
            settings=lambda context: (
                *_recipe(context, "finals"),
                "trial",
                *_LOSS,
                *_of_losses(context.settings.train_losses),
                "train_loss",
                "assistant",
                "student_epochs",
                "finals",
                *backbone.warm_settings(context.settings),
            ),
            reads=lambda context: {
                finalists.NAME: context.finalists_path,
                **(_last_assistant(context) or _teacher_files_for(context, context.settings.train_losses)),
                **_taken(context),
            },
            leaves=_there("finals/finals.json", "finals/arch.json"),
            needs=lambda context: [
                STAGES["search"],
                STAGES["choice"],
                *_teaching_stages(context),
            ],
            needless=lambda context: "" if context.settings.finals else "no --finals",
        ),
        Stage(
            "student",
            work.train_student,
            folder="student",
            settings=lambda context: (
                *_recipe(context, "student"),
                "trial",
                *_LOSS,
                *_of_losses(context.settings.train_losses),
                "train_loss",
                "assistant",
                "student_epochs",
                *backbone.warm_settings(context.settings),
            ),
            reads=lambda context: {
                "arch.json": context.arch_path,
                **(_last_assistant(context) or _teacher_files_for(context, context.settings.train_losses)),
                **_taken(context),
            },
            leaves=lambda context: _there(
                "student/student.keras",
                "student/metrics.json",
                *([f"student/{distill.PEER}"] if context.settings.train_loss in losses.NEEDS_PEERS else []),
            )(context),
            needs=lambda context: [
                STAGES["search"],
                STAGES["choice"],
                STAGES["finals"],
                *_teaching_stages(context),
            ],
        ),
        Stage(
            "budgets",
            _work_budgets,
            folder="budgets",
            # All else is in the records of the students' own folders.
            settings=lambda context: ("max_params",),
            reads=lambda context: {},
            leaves=_budgets_are_done,
            needs=lambda context: [STAGES["search"], STAGES["choice"], *_teaching_stages(context)],
            needless=lambda context: "" if len(context.settings.budgets) > 1 else "one --max_params",
        ),
        Stage(
            "baseline",
            work.train_baseline,
            folder="baseline",
            settings=lambda context: (
                *_recipe(context, "baseline"),
                *("trial", *_VIEWS, "student_epochs", "label_smoothing"),
                *backbone.warm_settings(context.settings),
            ),
            # Of the architecture the backbone alone: another search need not train it again.
            reads=lambda context: {"backbone": context.described_backbone() or record.MISSING},
            leaves=_there("baseline/baseline.keras", "baseline/metrics.json"),
            needs=lambda context: [STAGES["search"]],
            needless=lambda context: "" if context.settings.baseline else "--nobaseline",
        ),
        Stage(
            "opponents",
            opponents.train,
            folder="opponents",
            settings=lambda context: (
                *_recipe(context, "opponents"),
                "trial",
                *_LOSS,
                *_of_losses([settings.choices.LABELS, *context.settings.train_losses]),
                "train_loss",
                "assistant",
                "student_epochs",
                "opponents",
                *backbone.warm_settings(context.settings),
            ),
            reads=lambda context: {
                "backbone": context.described_backbone() or record.MISSING,
                "size of the student": _size_of_student(context),
                **(_last_assistant(context) or _teacher_files_for(context, context.settings.train_losses)),
                **_taken(context),
            },
            leaves=opponents.are_there,
            needs=lambda context: [
                STAGES["search"],
                STAGES["choice"],
                STAGES["finals"],
                *_teaching_stages(context),
            ],
            needless=lambda context: (
                "--opponents=none" if context.settings.opponents == settings.choices.OPPONENTS[0] else ""
            ),
        ),
        Stage(
            "trials",
            _work_trials,
            folder="trials",
            # All else is in the records of their own folders: further trials leave those there are.
            settings=lambda context: (),
            reads=lambda context: {},
            leaves=_trials_are_done,
            needs=lambda context: [
                *_teacher_stages_for(context, [_search_loss(context.settings)]),
                *_teaching_stages(context),
            ],
            needless=lambda context: "" if context.settings.trials > 1 else "one trial",
        ),
        Stage(
            "evaluate",
            work.evaluate,
            folder="",
            settings=lambda context: (),
            reads=lambda context: {
                **{_called(context, path): path for path, *_ in work.evaluated(context)},
                **foreign_student.declared(context.settings),
            },
            leaves=lambda context: all(
                path.exists() and "test" in work.own_part(work.read_metrics(path, name), name)
                for _, path, name in work.evaluated(context)
            ),
            needs=lambda context: (
                []
                if context.settings.student
                else [STAGES["student"], STAGES["baseline"], STAGES["opponents"]]
            ),
        ),
        Stage(
            "export",
            work.export_student,
            folder="export",
            settings=lambda context: _unusual(context.settings, "export_formats", "min_integer_share"),
            reads=lambda context: {
                "student": context.exported_path,
                **foreign_student.declared(context.settings),
            },
            leaves=lambda context: _there(
                *(f"export/{name}" for name in exporting.written(context.settings.export_formats))
            )(context),
            needs=lambda context: [] if context.settings.student else [STAGES["student"], STAGES["trials"]],
        ),
        Stage(
            "report",
            _work_report,
            folder="",
            settings=lambda context: (),
            reads=lambda context: {},
            # It costs nothing, and is never out of date when it is always written.
            leaves=lambda context: False,
        ),
    )
}


def complete(context: Context, name: str) -> None:
    """Run a stage unless it is complete; update run.json, and check the bank if requested.

    Raises:
        UserError: a required stage is not complete, or the stage's work raises it.
    """
    record.complete(context, STAGES[name])
    context.crew.lead(lambda: record.describe_teachers(context))
    if name == "bank" and context.settings.check_bank:
        context.crew.lead(lambda: work.check_bank(context))
