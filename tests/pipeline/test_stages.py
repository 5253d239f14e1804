"""What each stage depends on: a whole run whose stages leave small made-up files, and what changes there."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest

from okd_tf import backbones, errors, files, json_file, pipeline, settings
from okd_tf.arch import space, spec
from okd_tf.export import student as exporting
from okd_tf.pipeline import record, stages
from okd_tf.pipeline.context import Context
from okd_tf.search import loop
from okd_tf.teachers import assistant, diagnosis, folds, shards, teacher

OPTIONAL = {"assistant", "choice", "finals", "budgets", "opponents", "trials"}
MADE = set(settings.STAGES) - {"report", *OPTIONAL}
CANDIDATE = {
    **dict.fromkeys(("accuracy", "log_loss", "temperature", "accuracy_gain", "accuracy_error"), 0.5),
    "log_loss_gain": 0.5,
    "log_loss_error": 0.1,
    "epochs": 7,
    "seconds": 1.5,
}
CANDIDATES = dict.fromkeys(settings.AUTO_LOSSES, CANDIDATE)
CHAIN = {"assistant": ("resnet14", "resnet8")}


def _arch(splits, **changes):
    arguments = ("resnet8", 2, splits.image_shape, splits.classes, splits.mean, splits.std)
    of = space.SearchSpace.around(backbones.build(*arguments))
    return dataclasses.replace(spec.ArchSpec(*arguments, (), of.base), **changes)


class _Works:
    """Of each stage, work that leaves files of the right names, and a count of how often it was done."""

    def __init__(self, arch):
        self.arch = arch
        self.done = []
        self.taken = "mean"
        self.won = spec.Budget(1)

    def of(self, name):
        def work(context):
            self.done.append(name)
            getattr(self, name, self._touch)(context, name)

        return work

    def _touch(self, context, name):
        for file in {
            "export": exporting.written(),
        }[name]:
            files.write_text(context.workdir / name / file, "")

    def teachers(self, context, name):
        paths = [context.workdir / name / f"teacher_{index:02}.keras" for index in (0, 1)]
        for path in paths:
            files.write_text(path, f"{path.name} from seed {context.settings.seed}")
        for path, held_out in zip(paths, context.teaching.to_hold_out(), strict=False):
            if held_out:
                folds.write(path, held_out)
        of_each = diagnosis.diagnose(np.zeros((2, 4, 3)), np.zeros(4, int))
        there = [{"file": path.name, "sha256": teacher.content_hash(path), "params": 1} for path in paths]
        found = {
            **dict.fromkeys(diagnosis.PARTS, of_each),
            "teachers": there,
            "examples": dict.fromkeys(diagnosis.PARTS, 4),
            "regime": {"name": "disagreeing", "says": "The gate acts."},
            "warnings": ["teacher 2 is odd"],
        }
        json_file.write(context.workdir / name / "diagnosis.json", found)
        for page in ("diagnosis.md", "diagnosis.png"):
            files.write_text(context.workdir / name / page, "")

    def bank(self, context, name):
        one = {"train": 1, "val": 1}
        plan = shards.Plan(context.teaching.bank_key(), one, one, teachers=1, classes=1)
        shards.fill(
            context.teaching.bank_folder, plan, lambda *shard: np.zeros((1, 1, 1)), np.ones((1, 1), bool)
        )

    def search(self, context, name):
        folders = [context.workdir / name]
        folders += [loop.folder_of(context.workdir / name, budget) for budget in context.budgets[:-1]]
        for folder in folders:
            spec.write(folder / "arch.json", self.arch)
            json_file.write(folder / "candidates.json", [])
            if context.settings.finals:
                json_file.write(folder / "finalists.json", [context.settings.trial])

    def budgets(self, context, name):
        stages._work_budgets(context)

    def trials(self, context, name):
        stages._work_trials(context)

    def assistant(self, context, name):
        chain = context.settings.assistant
        for index, backbone in enumerate(chain):
            folder = context.workdir / name
            files.write_text(assistant.path(folder, index), f"{backbone} {chain}")
            assistant.record(folder, index, backbone=backbone, params=8)

    def choice(self, context, name):
        found = {"taken": self.taken, "why": "It is better.", "examples": 9, "candidates": CANDIDATES}
        json_file.write(context.workdir / name / "choice.json", found)

    def finals(self, context, name):
        spec.write(context.workdir / name / "arch.json", dataclasses.replace(self.arch, budget=self.won))
        json_file.write(context.workdir / name / "finals.json", {})

    def student(self, context, name):
        if context.settings.train_loss == "mutual":
            files.write_text(context.workdir / name / "peer.keras", "")
        files.write_text(context.workdir / name / f"{name}.keras", f"{name} {context.settings.seed}")
        json_file.write(context.workdir / name / "metrics.json", {"params": 7})

    baseline = student

    def opponents(self, context, name):
        entry = {"name": "bare", "title": "bare backbone", "loss": "oracle", "params": 7}
        json_file.write(context.opponents_path, {"opponents": [entry], "left_out": []})
        files.write_text(context.workdir / name / "bare" / "student.keras", "bare")
        json_file.write(context.workdir / name / "bare" / "metrics.json", {"params": 7})

    def evaluate(self, context, name):
        for trained in ("student", "baseline", "opponents/bare"):
            path = context.workdir / trained / "metrics.json"
            if path.exists():
                json_file.write(path, {**json_file.read(path), "test": {"accuracy": 0.25, "loss": 1.0}})
        path = context.workdir / "assistant" / "metrics.json"
        if path.exists():
            test = {"test": {"accuracy": 0.25, "loss": 1.0}}
            found = json_file.read(path)
            json_file.write(path, {link: {**entry, **test} for link, entry in found.items()})

    def export(self, context, name):
        self._touch(context, name)
        json_file.write(context.workdir / name / "report.json", {"files": {}, "examples": 1})

    def report(self, context, name):
        files.write_text(context.workdir / "report.md", "")


@pytest.fixture(scope="module")
def works(splits):
    """Puts the made-up works in the place of the stages' own."""
    found = _Works(_arch(splits))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "data", splits)
        for name, stage in stages.STAGES.items():
            patch.setitem(stages.STAGES, name, dataclasses.replace(stage, work=found.of(name)))
        yield found


def _settings(workdir, **changes):
    return settings.Settings(workdir=str(workdir), **{"backbone_width": 2, "opponents": "none", **changes})


def _run(workdir, names=settings.STAGES, **changes):
    pipeline.run(_settings(workdir, **changes), names)


def _current(workdir, **changes):
    return record.current(Context(_settings(workdir, **changes)), stages.STAGES.values())


@pytest.fixture(scope="module")
def whole(tmp_path_factory, works):
    workdir = tmp_path_factory.mktemp("whole") / "run"
    _run(workdir)
    assert works.done == [name for name in settings.STAGES if name in MADE or name == "report"]
    return workdir


@pytest.fixture
def finished(tmp_path, whole, works):
    """The workdir of a whole run, copied from where it was made."""
    works.done.clear()
    return shutil.copytree(whole, tmp_path / "run")


def test_a_complete_run_does_nothing_but_its_report_wherever_it_lies(finished, works, monkeypatch):
    _run(finished)
    shutil.move(finished, finished.with_name("moved"))
    monkeypatch.chdir(finished.parent)
    _run("moved")
    assert works.done == ["report", "report"]


# A stage, and all that rests on it.
STUDENT = {"student", "evaluate", "export"}
SEARCH = {"search", "baseline"} | STUDENT
BANK = {"bank"} | SEARCH
TEACHERS = {"teachers"} | BANK


@pytest.mark.parametrize(
    ("change", "outdated"),
    [
        ({}, set()),
        ({"seed": 1}, TEACHERS),
        ({"teacher_epochs": 3}, TEACHERS),
        ({"teacher_backbones": ("resnet14", "vgg8")}, TEACHERS),
        ({"balance": "weights"}, TEACHERS),
        ({"views": 4}, BANK),
        ({"mix": "cutmix"}, BANK),
        ({"teacher_mix": "cutmix"}, TEACHERS),
        ({"temperature": 2.0}, SEARCH),
        ({"search_epochs": 3}, SEARCH),
        ({"max_params": 10**6}, SEARCH),
        ({"strategy": "random"}, SEARCH),
        ({"train_loss": "mean"}, STUDENT),
        ({"standardize_logits": True}, SEARCH),
        ({"kd_weight": 2.0}, SEARCH),
        ({"none_right": "mean"}, SEARCH),
        ({"dkd_alpha": 2.0, "dkd_beta": 2.0}, set()),
        ({"teacher_folds": 2}, TEACHERS),
        ({"student_epochs": 3}, STUDENT | {"baseline"}),
        ({"baseline": False}, {"baseline", "evaluate"}),
        ({"keep": "best"}, TEACHERS | {"baseline"}),
        ({"momentum": 0.8}, TEACHERS | {"baseline"}),
        ({"nesterov": False}, TEACHERS | {"baseline"}),
        ({"student_weight_decay": 0.0}, STUDENT | {"baseline"}),
        ({"student_learning_rate": 0.1}, STUDENT | {"baseline"}),
        ({"teacher_weight_decay": 0.0}, TEACHERS),
        ({"teacher_learning_rate": 0.1}, TEACHERS),
        ({"teacher_label_smoothing": 0.1}, TEACHERS),
        ({"label_smoothing": 0.1}, {"baseline", "evaluate"}),
        ({"checkpoint_seconds": 5.0, "steps_per_execution": 4, "data_dir": "elsewhere"}, set()),
    ],
)
def test_a_setting_outdates_the_stages_whose_result_it_decides(finished, change, outdated):
    assert _current(finished, **change) == MADE - outdated


def test_how_kept_weights_move_is_in_the_key_of_every_training_that_begins_from_them():
    warm = {"warm_rate", "frozen_epochs"}

    def having(**changes):
        context = Context(settings.Settings(workdir="a", **changes))
        return {name for name, stage in stages.STAGES.items() if warm <= set(stage.settings(context))}

    assert having() == set()
    of_students = {"search", "choice", "finals", "student", "baseline", "opponents"}
    assert having(backbone="a.keras", keep_weights=True) == of_students
    assert having(arch="arch.json", warm_rate=0.1) == of_students
    assert having(teacher_backbone="applications:VGG16", weights="imagenet") == {"teachers"}


def test_a_file_of_weights_and_what_is_declared_of_a_backbone_are_read_by_the_stages_that_use_them(tmp_path):
    def reads(**changes):
        context = Context(settings.Settings(workdir=str(tmp_path / "run"), **changes))
        return {name: set(stages.STAGES[name].reads(context)) for name in ("teachers", "search")}

    weights, own = str(tmp_path / "a.weights.h5"), str(tmp_path / "a.keras")
    assert reads(backbone="applications:VGG16", weights=weights)["search"] == {"the weights' file"}
    assert reads(backbone="applications:VGG16", weights="imagenet")["search"] == set()
    assert reads(teacher_backbone="applications:VGG16", weights=weights)["teachers"] == {"the weights' file"}
    both = {"the backbone's file", "what is declared of it"}
    for keep_weights in (False, True):
        (tmp_path / "a.json").unlink(missing_ok=True)
        assert reads(backbone=own, keep_weights=keep_weights)["search"] == {"the backbone's file"}
        (tmp_path / "a.json").write_text("{}")
        assert reads(backbone=own, keep_weights=keep_weights)["search"] == both


def test_whatever_decides_a_result_is_in_the_key_of_a_stage_that_has_it():
    keyed = settings.SPLIT | settings.INPUTS
    own = dict.fromkeys(
        f"{role}_{name}"
        for role in settings.choices.ROLES.values()
        for name in ("learning_rate", "weight_decay")
    )
    recipes = ({}, {"keep": "average", **dict.fromkeys(own, 0.125)})
    for strategy, loss, several, recipe in itertools.product(
        (*settings.STRATEGIES, settings.NO_SEARCH),
        (*settings.LOSSES, settings.AUTO),
        ((), ("vgg8",)),
        recipes,
    ):
        chosen = settings.Settings(
            workdir="a",
            strategy=strategy,
            train_loss=loss,
            search_loss=loss if loss in settings.SEARCH_LOSSES else "ce",
            teacher_backbones=several,
            **recipe,
        )
        context = Context(chosen)
        keyed = keyed.union(*(stage.settings(context) for stage in stages.STAGES.values()))
    warm = Context(
        settings.Settings(
            workdir="a",
            backbone="applications:VGG16",
            weights="imagenet",
            export_formats=("int8",),
            min_integer_share=0.5,
        )
    )
    keyed = keyed.union(*(stage.settings(warm) for stage in stages.STAGES.values()))
    decide = {name for name, field in settings.FIELDS.items() if field.metadata["kind"] == settings.RESULT}
    # Whether there is one, or several; and what it makes of other settings is in the keys.
    assert decide - keyed == {"baseline", "trials", "effort"}
    assert keyed <= decide


@pytest.mark.parametrize(
    ("chosen", "change", "outdated"),
    [
        ({"train_loss": "dkd"}, {"dkd_beta": 2.0}, STUDENT),
        ({"train_loss": "oracle_dkd"}, {"dkd_alpha": 2.0}, STUDENT),
        ({"search_loss": "dkd"}, {"dkd_beta": 2.0}, SEARCH),
        ({"train_loss": "ce"}, {"standardize_logits": True}, SEARCH),
        ({"search_loss": "ce"}, {"standardize_logits": True}, STUDENT),
        ({"train_loss": "masked"}, {"none_right": "both"}, SEARCH),
        ({"search_loss": "ce", "train_loss": "ce"}, {"standardize_logits": True}, set()),
        ({"mix": "mixup"}, {"mix_probability": 0.75}, BANK),
        ({"train_loss": "ce"}, {"label_smoothing": 0.1}, STUDENT | {"baseline"}),
        ({"keep": "average"}, {"average_decay": 0.9}, TEACHERS | {"baseline"}),
        ({"teacher_folds": 2}, {"held_out_only": True}, SEARCH),
        ({"teacher_folds": 2, "train_loss": "ce"}, {"held_out_only": True}, SEARCH),
        ({"teacher_folds": 2, "search_loss": "ce"}, {"held_out_only": True}, STUDENT),
    ],
)
def test_a_setting_of_a_loss_outdates_the_stages_that_use_it(finished, chosen, change, outdated):
    _run(finished, **chosen)
    before = _current(finished, **chosen)
    assert _current(finished, **chosen, **change) == before - outdated


@pytest.fixture(scope="module")
def whole_chain(tmp_path_factory, whole, works):
    workdir = shutil.copytree(whole, tmp_path_factory.mktemp("chain") / "run")
    works.done.clear()
    _run(workdir, **CHAIN)
    # The made-up student is the same, so its exports are.
    assert works.done == ["assistant", "student", "evaluate", "report"]
    return workdir


@pytest.fixture
def chained(tmp_path, whole_chain, works):
    """The workdir of a whole run with assistants, copied from where it was made."""
    works.done.clear()
    return shutil.copytree(whole_chain, tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "outdated"),
    [
        ({}, set()),
        ({"assistant": ("resnet14",)}, {"assistant"} | STUDENT),
        ({"assistant_width": 8}, {"assistant"} | STUDENT),
        ({"assistant_epochs": 3}, {"assistant"} | STUDENT),
        ({"train_loss": "mean"}, {"assistant"} | STUDENT),
        ({"trial": 1}, SEARCH),
        ({"student_epochs": 3}, STUDENT | {"baseline"}),
        ({"teacher_epochs": 3}, TEACHERS | {"assistant"}),
        ({"views": 4}, BANK | {"assistant"}),
    ],
)
def test_a_setting_outdates_the_chain_and_the_chain_the_student(whole_chain, change, outdated):
    assert _current(whole_chain, **{**CHAIN, **change}) == (MADE | {"assistant"}) - outdated


def test_the_student_of_a_chain_is_outdated_by_its_last_link_and_by_teachers_only_through_it(chained):
    whole = MADE | {"assistant"}
    first, last = (chained / "assistant" / f"assistant_{index:02}.keras" for index in (0, 1))
    key = json.loads((chained / "stages.json").read_text())["student"]["key"]
    assert set(key["files"]) == {"arch.json", "last assistant"}
    first.write_text("other")
    assert _current(chained, **CHAIN) == whole - {"assistant", "evaluate"}
    last.write_text("other")
    assert _current(chained, **CHAIN) == whole - {"assistant"} - STUDENT


def test_the_chain_is_complete_only_with_all_its_links_and_their_figures(chained):
    whole = MADE | {"assistant"}
    metrics = json_file.read(chained / "assistant" / "metrics.json")
    for index in (0, 1):
        link = chained / "assistant" / f"assistant_{index:02}.keras"
        link.rename(chained / "aside")
        assert _current(chained, **CHAIN) == whole - {"assistant"}
        (chained / "aside").rename(link)
    json_file.write(chained / "assistant" / "metrics.json", {"assistant_00": metrics["assistant_00"]})
    assert _current(chained, **CHAIN) == whole - {"assistant", "evaluate"}


def test_without_its_chain_a_run_is_what_it_was_before(chained, works):
    _run(chained)
    assert works.done == ["student", "evaluate", "report"]
    assert _current(chained) == MADE


def test_a_student_that_learns_with_a_peer_needs_no_teachers(finished, works):
    chosen = {"train_loss": "mutual", "search_loss": "ce"}
    _run(finished, **chosen)
    assert works.done == ["search", "student", "evaluate", "report"]
    shown = MADE - {"bank"}
    assert _current(finished, **chosen) == shown
    (finished / "teachers" / "teacher_01.keras").write_text("other")
    assert _current(finished, **chosen) == shown - {"teachers"}
    (finished / "student" / "peer.keras").unlink()
    assert _current(finished, **chosen) == shown - {"teachers", "student"}


AUTO = {"train_loss": "auto", "search_loss": "ce"}


@pytest.fixture
def chosen(finished, works):
    """The workdir of a whole run whose student's loss was chosen: `mean`."""
    works.taken = "mean"
    _run(finished, **AUTO)
    # The search has no teachers here, but what is chosen from has.
    assert works.done == ["search", "choice", "student", "evaluate", "report"]
    assert _current(finished, **AUTO) == MADE | {"choice"}
    works.done.clear()
    return finished


FINALS = {"finals": ("4", "2")}


@pytest.fixture
def held(finished, works):
    """The workdir of a whole run with finals."""
    works.won = spec.Budget(1)
    _run(finished, **FINALS)
    assert _current(finished, **FINALS) == MADE | {"finals"}
    works.done.clear()
    return finished


def test_finals_come_between_search_and_student_and_search_again_where_there_were_none(finished, works):
    _run(finished, **FINALS)
    assert works.done[:3] == ["search", "finals", "student"]
    assert "baseline" not in works.done  # it is of the bare backbone


@pytest.mark.parametrize(
    ("change", "outdated"),
    [
        ({"student_epochs": 8}, {"finals", "baseline"} | STUDENT),
        ({"finals": ("4",)}, {"finals"} | STUDENT),
        ({"finals": ("6", "2")}, {"finals"} | SEARCH),
        ({"temperature": 2.0}, {"finals"} | SEARCH),
        ({"train_loss": "mean"}, {"finals"} | STUDENT),
        ({"trial": 1}, {"finals"} | SEARCH),
        ({"finals": ()}, SEARCH),
    ],
)
def test_what_finals_depend_on_outdates_them_and_the_student(held, change, outdated):
    kept = set() if "finals" in change and not change["finals"] else {"finals"}
    assert _current(held, **{**FINALS, **change}) == (MADE | kept) - outdated


def test_another_winner_is_another_student(held, works):
    _run(held, **FINALS)
    assert works.done == ["report"]
    works.done.clear()
    works.won = spec.Budget(2)
    (held / "finals" / "finals.json").unlink()
    _run(held, **FINALS)
    assert works.done[:2] == ["finals", "student"]


SEVERAL = {"max_params": ("1000000", "2000000", "3000000")}


def test_each_budget_has_a_student_of_its_own_from_one_search(finished, works):
    _run(finished, **SEVERAL)
    each = ["student", "evaluate"]
    # The architecture of the run's own student is as it was.
    assert works.done == ["search", "budgets", *each, *each, "report"]
    assert _current(finished, **SEVERAL) == MADE | {"budgets"}
    key = json.loads((finished / "budgets" / "1000000" / "stages.json").read_text())["student"]["key"]
    assert key == json.loads((finished / "stages.json").read_text())["student"]["key"]
    works.done.clear()
    _run(finished, **SEVERAL)
    assert works.done == ["report"]
    # Another architecture for one of them is another student of that alone.
    works.done.clear()
    path = finished / "search" / "params_2000000" / "arch.json"
    spec.write(path, dataclasses.replace(spec.read(path), budget=spec.Budget(7)))
    assert _current(finished, **SEVERAL) == MADE
    _run(finished, **SEVERAL)
    assert works.done == ["budgets", *each, "report"]
    path.unlink()
    assert "search" not in _current(finished, **SEVERAL)


def test_each_budget_has_finals_of_its_own(finished, works):
    both = {**SEVERAL, **FINALS}
    _run(finished, **both)
    each = ["finals", "student", "evaluate"]
    assert works.done[: 4 + len(each)] == ["search", "finals", "student", "budgets", *each]
    assert _current(finished, **both) == MADE | {"finals", "budgets"}
    assert (finished / "budgets" / "1000000" / "finals" / "arch.json").exists()
    later = _current(finished, **{**both, "student_epochs": 8})
    assert not {"budgets", "finals", "student"} & later


def test_opponents_are_of_the_student_s_recipe_backbone_and_size(finished, works):
    bare = {"opponents": "bare"}
    _run(finished, **bare)
    assert works.done == ["opponents", "evaluate", "report"]
    assert _current(finished, **bare) == MADE | {"opponents"}
    mine = {"opponents", "evaluate"}
    for change, outdated in (
        ({"opponents": "all"}, mine),
        ({"opponents": "none"}, {"evaluate"}),
        ({"student_epochs": 8}, mine | {"baseline"} | STUDENT),
        ({"train_loss": "mean"}, mine | STUDENT),
        ({"label_smoothing": 0.1}, mine | {"baseline"}),
    ):
        kept = MADE | ({"opponents"} if change.get("opponents") != "none" else set())
        assert _current(finished, **{**bare, **change}) == kept - outdated, change
    (finished / "opponents" / "bare" / "student.keras").unlink()
    assert _current(finished, **bare) == MADE


def test_further_trials_are_runs_with_the_same_teachers_and_other_seeds(finished, works):
    _run(finished, trials=2)
    each = ["search", "student", "baseline", "evaluate"]
    # What there is of the run itself is its first trial.
    assert works.done == ["trials", *each, "report"]
    assert _current(finished, trials=2) == MADE | {"trials"}
    assert not list((finished / "trials").rglob("teacher_*.keras"))
    keys = [
        json.loads((folder / "stages.json").read_text())["student"]["key"]
        for folder in (finished, finished / "trials" / "1")
    ]
    assert [key["settings"].pop("trial") for key in keys] == ["0", "1"]
    assert keys[0] == keys[1]
    # One more leaves those there are; what is of one trial alone redoes that alone.
    works.done.clear()
    _run(finished, trials=3)
    assert works.done == ["trials", *each, "report"]
    works.done.clear()
    (finished / "trials" / "1" / "baseline" / "baseline.keras").unlink()
    assert _current(finished, trials=3) == MADE
    _run(finished, trials=3)
    assert works.done == ["trials", "baseline", "evaluate", "report"]
    assert "trials" not in _current(finished, trials=3, student_epochs=9)
    assert _current(finished) == MADE


def test_trials_have_all_that_the_run_has_between_teachers_and_exports(finished, works):
    both = {**SEVERAL, **FINALS, "opponents": "bare", "trials": 2}
    _run(finished, **both)
    own = ["search", "finals", "student", "budgets", *["finals", "student", "evaluate"] * 2]
    again = [*own, "baseline", "opponents", "evaluate"]
    assert works.done == [*own, "opponents", "trials", *again, "evaluate", "report"]
    assert _current(finished, **both) == MADE | {"finals", "budgets", "opponents", "trials"}


def _validated(folder, accuracy, loss=1.0):
    last = {"accuracy": accuracy, "loss": loss, "epoch": 1}
    val = {"val": {"last": last, "best": last}, "epochs": 1}
    path = folder / "student" / "metrics.json"
    json_file.write(path, {**json_file.read(path), **val})


def test_the_student_that_is_best_on_validation_is_exported(finished, works):
    _run(finished, trials=3)
    first, second, third = finished, *(finished / "trials" / number for number in "12")

    def exported():
        context = Context(_settings(finished, trials=3))
        return context.exported_path.parents[1]

    for folder, accuracy in ((first, 0.5), (second, 0.25), (third, 0.5)):
        _validated(folder, accuracy)
    assert exported() == first
    _validated(third, 0.5, loss=0.5)
    assert exported() == third
    _validated(second, 0.75)
    assert exported() == second
    files.write_text(second / "student" / "student.keras", "another")
    works.done.clear()
    assert "export" not in _current(finished, trials=3)
    _run(finished, trials=3)
    assert works.done[-2:] == ["export", "report"]


@pytest.mark.parametrize(
    ("change", "outdated"),
    [
        ({"student_epochs": 8}, {"choice", "baseline"} | STUDENT),
        ({"dkd_beta": 2.0}, {"choice"} | STUDENT),
        ({"none_right": "mean"}, {"choice"} | STUDENT),
        ({"trial": 1}, {"choice"} | SEARCH),
        ({"seed": 1}, {"choice"} | TEACHERS),
    ],
)
def test_what_the_candidates_depend_on_outdates_the_choice_and_the_student(chosen, change, outdated):
    assert _current(chosen, **{**AUTO, **change}) == (MADE | {"choice"}) - outdated


def test_the_student_is_of_the_loss_that_was_taken(chosen, works):
    _run(chosen, **AUTO)
    assert works.done == ["report"]
    key = json.loads((chosen / "stages.json").read_text())["student"]["key"]
    assert key["files"]["the loss that --train_loss=auto took"] == "mean"
    works.done.clear()
    works.taken = "ce"
    (chosen / "choice" / "choice.json").unlink()
    assert _current(chosen, **AUTO) == MADE  # it says nothing against the student
    _run(chosen, **AUTO)
    assert works.done[:2] == ["choice", "student"]


def test_a_choice_that_cannot_be_read_is_made_again(chosen, works):
    (chosen / "choice" / "choice.json").write_text('{"taken": "mutual"}')
    assert _current(chosen, **AUTO) == MADE
    _run(chosen, **AUTO)
    assert works.done == ["choice", "report"]


def test_a_loss_that_is_named_needs_no_choice(chosen, works):
    _run(chosen, train_loss="mean", search_loss="ce")
    assert works.done == ["student", "evaluate", "report"]


@pytest.mark.parametrize(
    ("file", "outdated"),
    [
        ("teachers/teacher_01.keras", TEACHERS),
        ("student/student.keras", {"evaluate", "export"}),
        ("baseline/baseline.keras", {"evaluate"}),
        ("bank/train/view_000_rows_0000000.f16", {"bank"}),
    ],
)
def test_a_file_outdates_the_stages_that_read_it(finished, file, outdated):
    (finished / file).write_text("other")
    assert _current(finished) == MADE - outdated


def test_a_bank_that_was_deleted_to_free_space_hides_nothing_else(finished, works):
    shutil.rmtree(finished / "bank")
    assert _current(finished) == MADE - {"bank"}
    _run(finished, ("evaluate", "export"))
    assert works.done == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_without_the_files_of_the_user_the_finished_run_is_still_evaluated_and_exported(
    tmp_path, works, splits, kind
):
    mine = tmp_path / "mine"
    for index in (0, 1):
        files.write_text(mine / f"{index}.keras", f"network {index}")
    spec.write(tmp_path / "arch.json", _arch(splits))
    given = (str(mine),) if kind == "folder" else tuple(str(mine / f"{index}.keras") for index in (0, 1))
    chosen = {"teachers": given, "arch": str(tmp_path / "arch.json")}
    context = Context(_settings(tmp_path / "run", **chosen))
    for stage in stages.STAGES.values():
        if stage.name != "report":
            record.complete(context, stage)
    shown = MADE - {"search"}
    assert _current(tmp_path / "run", **chosen) == shown
    shutil.rmtree(mine)
    (tmp_path / "arch.json").unlink()
    works.done.clear()
    assert _current(tmp_path / "run", **chosen) == shown
    (tmp_path / "run" / "student" / "student.keras").write_text("another student")
    _run(tmp_path / "run", ("evaluate", "export"), **chosen)
    assert works.done == ["evaluate", "export"]


def test_the_page_has_the_architecture_of_this_run_or_the_one_given(finished, tmp_path):
    def page(**changes):
        chosen = _settings(finished, **changes)
        stages._work_report(Context(chosen))
        return (finished / "report.md").read_text()

    assert "## Architecture" in page()
    assert "## Architecture" not in page(search_epochs=3)
    shutil.copy(finished / "search" / "arch.json", tmp_path / "mine.json")
    assert "## Architecture" in page(search_epochs=3, arch=str(tmp_path / "mine.json"))


def test_teachers_that_would_be_redone_are_refused_beside_results_of_the_old_ones(finished, works):
    def refusal(names, **changes):
        with pytest.raises(errors.UserError) as refused:
            _run(finished, names, **changes)
        assert works.done == []
        return str(refused.value)

    message = refusal(("teachers", "student"), teacher_epochs=3)
    assert message.startswith("student: needs the search stage, which rests on a stage that ran with other")
    (finished / "teachers" / "diagnosis.json").unlink()
    for names, needed in ((("teachers", "student"), "search"), (("teachers", "export"), "student")):
        message = refusal(names)
        assert message.startswith(
            f"{names[1]}: needs the {needed} stage, which depends on the teachers that are about to change; "
        )
        assert message.endswith(f"--arch={finished / 'search' / 'arch.json'}")
    _run(finished, ("teachers", "bank"))
    assert works.done == ["teachers"]


def test_teachers_that_would_be_redone_are_refused_beside_what_rests_on_them_by_the_search_alone(
    finished, works
):
    _run(finished, train_loss="ce")
    (finished / "teachers" / "diagnosis.json").unlink()
    works.done.clear()
    with pytest.raises(errors.UserError, match="needs the student stage, which depends on the teachers that"):
        _run(finished, ("teachers", "export"), train_loss="ce")
    assert works.done == []


def test_teachers_are_complete_only_with_a_diagnosis_of_these_teachers(finished, works):
    for file in ("teacher_01.keras", "diagnosis.json", "diagnosis.md", "diagnosis.png"):
        (finished / "teachers" / file).rename(finished / file)
        assert "teachers" not in _current(finished)
        (finished / file).rename(finished / "teachers" / file)
        assert "teachers" in _current(finished)
    shutil.copy(finished / "teachers" / "teacher_00.keras", finished / "teachers" / "teacher_02.keras")
    assert "teachers" not in _current(finished)


def test_a_diagnosis_of_an_older_form_is_not_there(finished):
    path = finished / "teachers" / "diagnosis.json"
    found = json_file.read(path)
    assert "teachers" in _current(finished)
    for lost in ("train_views", "regime"):
        json_file.write(path, {name: value for name, value in found.items() if name != lost})
        assert "teachers" not in _current(finished)
    older = {name: found["val"][name] for name in ("per_teacher", "mean", "vote", "oracle", "k_of_n")}
    json_file.write(path, {**found, "val": older})
    assert "teachers" not in _current(finished)


def _diagnose(workdir, **changes):
    pipeline.diagnose(_settings(workdir, **changes))


def test_the_diagnosis_alone_shows_what_is_there_and_touches_nothing(finished, works, capsys):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    _diagnose(finished)
    printed = capsys.readouterr().out
    assert "disagreeing: The gate acts." in printed
    assert "warning: teacher 2 is odd" in printed
    assert f"diagnosis: {finished / 'teachers' / 'diagnosis.md'}" in printed
    assert works.done == []
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_the_diagnosis_alone_remakes_what_was_lost_of_it(tmp_path, works):
    _run(tmp_path / "run", ("teachers",), num_teachers=2)
    for file in ("diagnosis.json", "diagnosis.md"):
        works.done.clear()
        (tmp_path / "run" / "teachers" / file).unlink()
        _diagnose(tmp_path / "run", num_teachers=2)
        assert works.done == ["teachers"]


def test_the_diagnosis_alone_refuses_to_train(tmp_path, works):
    def refusal(**changes):
        works.done.clear()
        with pytest.raises(errors.UserError) as refused:
            _diagnose(workdir, **{"num_teachers": 2, **changes})
        assert works.done == []
        message = str(refused.value)
        assert message.startswith(f"--workdir: {workdir} has ")
        assert message.endswith("run tools/train_teachers.py first, or give teachers by --teachers")
        return message

    workdir = tmp_path / "run"
    assert "has 0 of 2 teachers" in refusal()
    assert not workdir.exists()
    _run(workdir, ("teachers",), num_teachers=2)
    assert "has teachers, but their stage ran with other inputs (--seed)" in refusal(seed=4)
    assert "has 2 of 3 teachers" in refusal(num_teachers=3)
    (workdir / "teachers" / "teacher_01.keras").unlink()
    assert "has 1 of 2 teachers" in refusal()
    (workdir / "stages.json").unlink()
    assert "has teachers, but their stage has not run" in refusal(num_teachers=1)


def test_the_diagnosis_alone_takes_over_teachers_as_their_stage_does(tmp_path, works, monkeypatch):
    looked_at = []
    monkeypatch.setattr(teacher, "read", lambda path, *_: looked_at.append(path))
    mine = [tmp_path / "mine" / name for name in ("a.keras", "b.keras")]
    for path in mine:
        files.write_text(path, path.name)
    _diagnose(tmp_path / "run", teachers=(str(tmp_path / "mine"),))
    assert looked_at == mine
    assert works.done[-1] == "teachers"
    # What was taken over is shown without the files that it came from.
    works.done.clear()
    shutil.rmtree(tmp_path / "mine")
    _diagnose(tmp_path / "run", teachers=(str(tmp_path / "mine"),))
    assert works.done == []


def test_another_architecture_on_the_same_backbone_does_not_redo_the_baseline(finished, splits):
    path = finished / "search" / "arch.json"
    add_ons = (spec.AddOn("stage1_block1_out", "identity", False, True),)
    spec.write(path, _arch(splits, add_ons=add_ons))
    assert _current(finished) == MADE - STUDENT
    for change in ({"width": 3}, {"backbone": "resnet14"}, {"mean": (1.0,)}):
        spec.write(path, _arch(splits, **change))
        assert _current(finished) == MADE - STUDENT - {"baseline"}


def test_a_stage_alone_is_refused_before_any_work_when_what_it_needs_is_of_other_inputs(finished, works):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(errors.UserError) as refusal:
        _run(finished, ("student",), seed=5, redo=True)
    message = str(refusal.value)
    assert message.startswith("student: needs the search stage, which ran with other inputs (--seed")
    assert message.endswith("or use another --workdir and give it what is to stay by --teachers and --arch")
    assert works.done == []
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_with_what_it_needs_the_stage_is_redone_and_the_old_result_kept(finished, works):
    _run(finished, ("teachers", "bank", "search", "student"), seed=5)
    assert works.done == ["teachers", "bank", "search", "student"]
    assert (finished / "student.old" / "student.keras").read_text() == "student 0"
    assert (finished / "student" / "student.keras").read_text() == "student 5"
    # The baseline and what was measured are of the run before.
    assert _current(finished, seed=5) == {"teachers", "bank", "search", "student"}


def test_only_current_results_are_shown(finished, capsys):
    _run(finished, ("report",))
    assert "bare backbone" in capsys.readouterr().out
    _run(finished, ("report",), baseline=False)
    printed = capsys.readouterr().out
    assert "bare backbone" not in printed
    assert "teacher 1" in printed


def test_given_teachers_are_known_by_their_content(finished, works, tmp_path):
    shutil.copytree(finished / "teachers", tmp_path / "mine")
    chosen = _settings(finished, teachers=(str(tmp_path / "mine"),))
    record.complete(Context(chosen), stages.STAGES["teachers"])
    assert works.done == ["teachers"]
    (tmp_path / "mine").rename(tmp_path / "theirs")
    assert "teachers" in _current(finished, teachers=(str(tmp_path / "theirs"),), teacher_epochs=99)
    (tmp_path / "theirs" / "teacher_00.keras").write_text("another")
    assert "teachers" not in _current(finished, teachers=(str(tmp_path / "theirs"),))


def test_what_given_teachers_held_out_is_part_of_what_they_are(finished, works, tmp_path, splits):
    shutil.copytree(finished / "teachers", tmp_path / "mine")
    chosen = {"teachers": (str(tmp_path / "mine"),)}
    context = Context(_settings(finished, **chosen))
    record.complete(context, stages.STAGES["teachers"])
    assert "teachers" in _current(finished, **chosen)
    (held_out,) = folds.assigned(splits.train.ids, 1, 2, seed=0)
    folds.write(tmp_path / "mine" / "teacher_00.keras", held_out)
    assert "teachers" not in _current(finished, **chosen)
    record.complete(context, stages.STAGES["teachers"])
    assert "teachers" in _current(finished, **chosen)
    # As without a record: files that are gone say nothing against what was made of them.
    shutil.rmtree(tmp_path / "mine")
    assert "teachers" in _current(finished, **chosen)


def test_teachers_that_have_lost_the_record_of_what_they_held_out_are_not_complete(finished):
    _run(finished, teacher_folds=2)
    whole = _current(finished, teacher_folds=2)
    assert whole == MADE
    path = finished / "teachers" / "teacher_01.json"
    text = path.read_text()
    path.unlink()
    assert _current(finished, teacher_folds=2) == MADE - TEACHERS
    path.write_text(text)
    assert _current(finished, teacher_folds=2) == whole


def test_the_run_is_described_with_the_teachers_there_are_in_the_end_and_every_command(finished):
    described = json.loads((finished / "run.json").read_text())
    paths = sorted((finished / "teachers").glob("*.keras"))
    assert described["teachers"] == [{"file": path.name, "sha256": files.sha256(path)} for path in paths]
    assert len(described["commands"]) == 1
    _run(finished, ("report",))
    assert len(json.loads((finished / "run.json").read_text())["commands"]) == 2
