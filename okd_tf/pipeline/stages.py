"""The stages: for each, what it depends on, what it leaves, and its work."""

import dataclasses
import shutil
from collections.abc import Callable

from okd_tf import errors, files, losses, seeds, settings
from okd_tf.export import student as exporting
from okd_tf.pipeline.shared import Context
from okd_tf.report import page
from okd_tf.search import loop, options
from okd_tf.student import distill
from okd_tf.teachers import bank, diagnosis, ensemble
from okd_tf.teachers import train as teacher_training
from okd_tf.training import inference, progress, scalars

_RECIPE = ("seed", "batch_size", "learning_rate", "schedule", "weight_decay")
_LOSS = ("temperature", "ce_weight", "views")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of the spine.

    Attributes:
        name: from `settings.STAGES`.
        work: does it.
        folder: where it works, below the workdir; removed when the stage must be redone. "" is none.
        settings: names of the settings its result depends on, beside the splits.
        reads: files of earlier stages, or of the user, that its result depends on.
        leaves: (context) -> whether all that it leaves is there.
        needless: (context) -> why it need not run, or "".
    """

    name: str
    work: Callable[[Context], None]
    folder: str
    settings: Callable[[Context], tuple]
    reads: Callable[[Context], list]
    leaves: Callable[[Context], bool]
    needless: Callable[[Context], str] = lambda context: ""


def _no_settings(context):
    return ()


def _work_teachers(context):
    chosen, folder = context.settings, context.workdir / "teachers"
    given = ensemble.paths(chosen.teachers)
    for index, path in enumerate(given):
        with files.replacing(teacher_training.path(folder, index)) as temporary:
            shutil.copyfile(path, temporary)
    if not given:
        teacher_training.train(
            context.data,
            count=chosen.num_teachers,
            backbone=chosen.teacher_backbone,
            width=chosen.teacher_width,
            epochs=chosen.teacher_epochs,
            batch_size=chosen.batch_size,
            seed=chosen.seed,
            recipe=context.recipe,
            folder=folder,
            logs=context.workdir / "logs" / "teachers",
        )
    found = {}
    for name in ("train", "val", "test"):
        split = getattr(context.data, name)
        progress.say(f"teachers: diagnosis on {name}, {len(split):,} images")
        found[name] = diagnosis.diagnose(context.ensemble.logits(split.images), split.labels)
        scalars.write(
            context.workdir / "logs" / "teachers" / "ensemble",
            {f"{name}_{who}": found[name][who] for who in ("mean", "vote", "oracle")},
        )
    found["teachers"] = [
        {"file": path.name, "sha256": files.sha256(path), "params": params}
        for path, params in zip(context.teacher_paths(), context.ensemble.params(), strict=True)
    ]
    files.write_json(folder / "diagnosis.json", found)
    for index, accuracy in enumerate(found["val"]["per_teacher"]):
        if accuracy < 2 / context.data.classes:
            progress.say(
                f"warning: teacher {index + 1} is right on {accuracy:.1%} of the validation images, little "
                "better than chance; does it take pixels 0..255, and have these classes in this order?"
            )


def _work_bank(context):
    chosen = context.settings
    bank.write(context.workdir / "bank", context.ensemble, context.data, chosen.views, chosen.seed)


def _work_search(context):
    chosen = context.settings
    training = context.training_batches(chosen.search_loss, "search training")
    loop.run(
        context.backbone,
        context.template,
        context.data,
        training,
        context.validation_batches(chosen.search_loss, "search validation"),
        strategy=chosen.strategy,
        objective=context.objective(chosen.search_loss),
        epochs=chosen.search_epochs,
        recipe=context.recipe,
        options=options.SearchOptions(
            weight_decay=chosen.weight_decay,
            alpha_learning_rate=chosen.alpha_learning_rate,
            steps=chosen.search_epochs * training.steps_per_epoch,
            warmup_steps=chosen.search_warmup_epochs * training.steps_per_epoch,
            sharpness=chosen.search_sharpness,
            budget_weight=chosen.budget_weight,
            seed=chosen.seed,
        ),
        candidates=chosen.candidates,
        folder=context.workdir / "search",
        logs=context.workdir / "logs" / "search",
    )


def _work_student(context):
    chosen = context.settings
    distill.distill(
        context.architecture(),
        context.objective(chosen.train_loss),
        context.data,
        context.training_batches(chosen.train_loss, "student training"),
        epochs=chosen.student_epochs,
        seed=seeds.derive(chosen.seed, "student"),
        how=context.recipe,
        folder=context.workdir / "student",
        logs=context.workdir / "logs" / "student",
    )


def _work_baseline(context):
    chosen = context.settings
    distill.train_baseline(
        context.architecture(),
        context.data,
        # The same order and views as the student's, so that network and loss are all that differs.
        context.training_batches("ce", "student training"),
        epochs=chosen.student_epochs,
        seed=seeds.derive(chosen.seed, "student"),
        how=context.recipe,
        folder=context.workdir / "baseline",
        logs=context.workdir / "logs" / "baseline",
    )


def _evaluated(context):
    """(network's file, its metrics.json) of all that is to be read on the test split."""
    pairs = [(context.student_path, context.workdir / "student" / "metrics.json")]
    baseline = context.workdir / "baseline" / "baseline.keras"
    if baseline.exists() and not context.settings.student:
        pairs.append((baseline, context.workdir / "baseline" / "metrics.json"))
    return pairs


def _work_evaluate(context):
    for path, metrics_path in _evaluated(context):
        network = ensemble.read_network(path, context.data.image_shape, context.data.classes)
        test = inference.Predictor(network).evaluate(context.data.test)
        own = metrics_path.exists() and not context.settings.student
        metrics = files.read_json(metrics_path) if own else {"params": network.count_params()}
        files.write_json(metrics_path, {**metrics, "test": test})
        scalars.write(
            context.workdir / "logs" / "evaluate" / metrics_path.parent.name,
            {f"test_{name}": value for name, value in test.items()},
        )
        progress.say(f"evaluate: {path}: test accuracy {test['accuracy']:.4f}, loss {test['loss']:.4f}")


def _work_export(context):
    network = ensemble.read_network(context.student_path, context.data.image_shape, context.data.classes)
    exporting.export_student(
        network,
        context.data,
        context.workdir / "export",
        progress=lambda message: progress.say(f"export: {message}"),
    )


def _work_report(context):
    text = (context.workdir / settings.FLAGFILE).read_text(encoding="utf-8")
    files.write_text(
        context.workdir / "report.md", page.markdown(context.workdir, context.split_record, text)
    )


def _there(*names):
    return lambda context: all((context.workdir / name).exists() for name in names)


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "teachers",
            _work_teachers,
            folder="teachers",
            settings=lambda context: (
                ()
                if context.settings.teachers
                else (*_RECIPE, "num_teachers", "teacher_backbone", "teacher_width", "teacher_epochs")
            ),
            reads=lambda context: ensemble.paths(context.settings.teachers),
            leaves=lambda context: (
                bool(context.teacher_paths()) and (context.workdir / "teachers" / "diagnosis.json").exists()
            ),
        ),
        Stage(
            "bank",
            _work_bank,
            folder="bank",
            settings=lambda context: ("seed", "views"),
            reads=lambda context: _required_teachers(context),
            leaves=lambda context: bank.is_there(context.workdir / "bank", len(context.teacher_paths())),
            needless=lambda context: "" if context.needs_bank() else "no loss reads stored logits",
        ),
        Stage(
            "search",
            _work_search,
            folder="search",
            settings=lambda context: (
                *_RECIPE,
                *_LOSS,
                *("backbone", "backbone_width", "strategy", "search_loss", "search_epochs", "candidates"),
                *(
                    "search_warmup_epochs",
                    "search_sharpness",
                    "alpha_learning_rate",
                    "budget_weight",
                    "max_params",
                    "max_flops",
                ),
            ),
            reads=lambda context: _teachers_of(context, context.settings.search_loss),
            leaves=_there("search/arch.json", "search/candidates.json"),
            needless=lambda context: f"--arch={context.settings.arch}" if context.settings.arch else "",
        ),
        Stage(
            "student",
            _work_student,
            folder="student",
            settings=lambda context: (*_RECIPE, *_LOSS, "train_loss", "student_epochs"),
            reads=lambda context: [
                _required(context.arch_path, "search", "--arch"),
                *_teachers_of(context, context.settings.train_loss),
            ],
            leaves=_there("student/student.keras", "student/metrics.json"),
        ),
        Stage(
            "baseline",
            _work_baseline,
            folder="baseline",
            settings=lambda context: (*_RECIPE, "views", "student_epochs"),
            reads=lambda context: [_required(context.arch_path, "search", "--arch")],
            leaves=_there("baseline/baseline.keras", "baseline/metrics.json"),
            needless=lambda context: "" if context.settings.baseline else "--nobaseline",
        ),
        Stage(
            "evaluate",
            _work_evaluate,
            folder="",
            settings=_no_settings,
            reads=lambda context: [
                _required(context.student_path, "student", "--student"),
                *(path for path, _ in _evaluated(context)[1:]),
            ],
            leaves=lambda context: all(
                path.exists() and "test" in files.read_json(path) for _, path in _evaluated(context)
            ),
        ),
        Stage(
            "export",
            _work_export,
            folder="export",
            settings=_no_settings,
            reads=lambda context: [_required(context.student_path, "student", "--student")],
            leaves=_there("export/report.json", "export/saved_model", "export/labels.txt"),
        ),
        Stage(
            "report",
            _work_report,
            folder="",
            settings=_no_settings,
            reads=lambda context: [],
            # It costs nothing, and is never out of date when it is always written.
            leaves=lambda context: False,
        ),
    )
}


def _required(path, stage, flag):
    """The path, if it is there; else what to do."""
    if not path.exists():
        raise errors.UserError(f"{path}: no such file; run the {stage} stage first, or give {flag}")
    return path


def _required_teachers(context):
    found = context.teacher_paths()
    if not found:
        raise errors.UserError(
            f"{context.workdir / 'teachers'}: no teachers; run tools/train_teachers.py first, "
            "or give --teachers"
        )
    return found


def _teachers_of(context, loss):
    """The teachers' files and, of stored logits, that they are there; nothing for a loss without teachers."""
    if loss not in losses.NEEDS_TEACHERS:
        return []
    found = _required_teachers(context)
    if context.settings.views and not bank.is_there(context.workdir / "bank", len(found)):
        raise errors.UserError(f"{context.workdir / 'bank'}: not complete; run the bank stage first")
    return found
