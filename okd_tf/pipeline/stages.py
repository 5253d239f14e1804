"""The stages: for each, what it depends on, what it leaves, and its work."""

import dataclasses
import shutil
from collections.abc import Callable

from okd_tf import files, losses, seeds, settings
from okd_tf.export import student as exporting
from okd_tf.pipeline import record
from okd_tf.pipeline.shared import Context
from okd_tf.report import page
from okd_tf.search import loop, options
from okd_tf.student import distill
from okd_tf.teachers import bank, diagnosis, ensemble
from okd_tf.teachers import train as teacher_training
from okd_tf.training import inference, progress, scalars

LEAST_AGREEMENT = 0.98  # of an exported file with the Keras model, below which the user is warned

_RECIPE = ("seed", "batch_size", "learning_rate", "schedule", "weight_decay")
_LOSS = ("temperature", "ce_weight", "views")
_SEARCH = (
    *("backbone", "backbone_width", "strategy", "search_loss", "search_epochs", "search_warmup_epochs"),
    *("search_sharpness", "alpha_learning_rate", "budget_weight", "candidates", "max_params", "max_flops"),
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of the spine.

    Attributes:
        name: from `settings.STAGES`.
        work: does it.
        folder: where it works, below the workdir; set aside when the stage must be redone. "" is none.
        settings: names of the settings its result depends on, beside the splits.
        reads: what else its result depends on, by what it is to the stage: files, or text.
        leaves: whether all that it leaves is there.
        needs: the stages that must be complete before.
        needless: why it need not run, or "".
    """

    name: str
    work: Callable[[Context], None]
    folder: str
    settings: Callable[[Context], tuple]
    reads: Callable[[Context], dict]
    leaves: Callable[[Context], bool]
    needs: Callable[[Context], list] = lambda context: []
    needless: Callable[[Context], str] = lambda context: ""


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
            how=context.recipe,
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
    if context.settings.baseline and not context.settings.student:
        folder = context.workdir / "baseline"
        pairs.append((folder / "baseline.keras", folder / "metrics.json"))
    return pairs


def _work_evaluate(context):
    for path, metrics_path in _evaluated(context):
        network = context.classifier(path)
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
    report = exporting.export_student(
        context.classifier(context.student_path),
        context.data,
        context.workdir / "export",
        progress=lambda message: progress.say(f"export: {message}"),
    )
    for name, entry in report["files"].items():
        if entry["agreement"] < LEAST_AGREEMENT:
            progress.say(
                f"warning: {name} gives the Keras model's class on {entry['agreement']:.1%} of the test "
                "images; look at its accuracy before it is used"
            )


def _work_report(context):
    text = page.markdown(
        context.workdir,
        context.split_record,
        (context.workdir / settings.FLAGFILE).read_text(encoding="utf-8"),
        arch_path=context.arch_path,
        current=record.current(context, STAGES.values()),
    )
    files.write_text(context.workdir / "report.md", text)


def _there(*names):
    return lambda context: all((context.workdir / name).exists() for name in names)


def _teacher_files(context):
    return {f"teacher {index + 1}": path for index, path in enumerate(context.teacher_paths())}


def _teacher_files_for(loss):
    return lambda context: _teacher_files(context) if loss(context.settings) in losses.NEEDS_TEACHERS else {}


def _teacher_stages_for(context, loss):
    """The stages that a training with this loss needs."""
    if loss not in losses.NEEDS_TEACHERS:
        return []
    return [STAGES["teachers"], STAGES["bank"]] if context.settings.views else [STAGES["teachers"]]


def _diagnosed(context):
    """Whether the diagnosis is of the teachers that are there."""
    path = context.workdir / "teachers" / "diagnosis.json"
    if not path.exists():
        return False
    there = [(file.name, files.sha256(file)) for file in context.teacher_paths()]
    return there == [(entry["file"], entry["sha256"]) for entry in files.read_json(path)["teachers"]]


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
            reads=lambda context: {
                f"given teacher {index + 1}": path
                for index, path in enumerate(ensemble.paths(context.settings.teachers))
            },
            leaves=_diagnosed,
        ),
        Stage(
            "bank",
            _work_bank,
            folder="bank",
            settings=lambda context: ("seed", "views"),
            reads=_teacher_files,
            leaves=lambda context: bank.is_there(context.workdir / "bank", len(context.teacher_paths())),
            needs=lambda context: [STAGES["teachers"]],
            needless=lambda context: "" if context.needs_bank() else "no loss reads stored logits",
        ),
        Stage(
            "search",
            _work_search,
            folder="search",
            settings=lambda context: (*_RECIPE, *_LOSS, *_SEARCH),
            reads=_teacher_files_for(lambda chosen: chosen.search_loss),
            leaves=_there("search/arch.json", "search/candidates.json"),
            needs=lambda context: _teacher_stages_for(context, context.settings.search_loss),
            needless=lambda context: f"--arch={context.settings.arch}" if context.settings.arch else "",
        ),
        Stage(
            "student",
            _work_student,
            folder="student",
            settings=lambda context: (*_RECIPE, *_LOSS, "train_loss", "student_epochs"),
            reads=lambda context: {
                "arch.json": context.arch_path,
                **_teacher_files_for(lambda chosen: chosen.train_loss)(context),
            },
            leaves=_there("student/student.keras", "student/metrics.json"),
            needs=lambda context: [
                STAGES["search"],
                *_teacher_stages_for(context, context.settings.train_loss),
            ],
        ),
        Stage(
            "baseline",
            _work_baseline,
            folder="baseline",
            settings=lambda context: (*_RECIPE, "views", "student_epochs"),
            # Of the architecture the backbone alone: another search need not train it again.
            reads=lambda context: {"backbone": context.described_backbone()},
            leaves=_there("baseline/baseline.keras", "baseline/metrics.json"),
            needs=lambda context: [STAGES["search"]],
            needless=lambda context: "" if context.settings.baseline else "--nobaseline",
        ),
        Stage(
            "evaluate",
            _work_evaluate,
            folder="",
            settings=lambda context: (),
            reads=lambda context: {path.stem: path for path, _ in _evaluated(context)},
            leaves=lambda context: all(
                path.exists() and "test" in files.read_json(path) for _, path in _evaluated(context)
            ),
            needs=lambda context: [] if context.settings.student else [STAGES["student"], STAGES["baseline"]],
        ),
        Stage(
            "export",
            _work_export,
            folder="export",
            settings=lambda context: (),
            reads=lambda context: {"student": context.student_path},
            leaves=_there(*(f"export/{name}" for name in exporting.written())),
            needs=lambda context: [] if context.settings.student else [STAGES["student"]],
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
