"""Arms share teachers and banks, go on where they stopped, and are refused before any work."""

import json
import types

import keras
import pytest
import tiny

from okd_tf import errors, settings
from okd_tf.pipeline import arm_results, arm_runs, arms
from okd_tf.pipeline.context import Context
from okd_tf.report import arms as page
from okd_tf.settings.arms import Arm
from okd_tf.teachers import teacher
from okd_tf.training import history

LABELS, MEAN, MIXED = (
    Arm(name, flags, flags)
    for name, flags in {
        "labels": {"train_loss": "ce"},
        "mean": {"train_loss": "mean"},
        "mean, mixed": {"train_loss": "mean", "mix": "cutmix"},
    }.items()
)
ALL = (LABELS, MEAN, MIXED)


@pytest.fixture(scope="module", autouse=True)
def tiny_data():
    """Every run has the tiny dataset."""
    splits = tiny.make_splits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "data", property(lambda self: splits))
        yield


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of two teachers, and the file of a backbone."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "teachers").mkdir()
    for index in (0, 1):
        keras.utils.set_random_seed(index)
        tiny.make_backbone().model.save(folder / "teachers" / f"{index}.keras")
    tiny.make_backbone().model.save(folder / "backbone.keras")
    return folder


@pytest.fixture(scope="module")
def compare(given):
    """Compares arms in a workdir; gives the results."""

    def run(workdir, compared=ALL, trials=1, only=None, only_trial=None, results=None, **changes):
        chosen = settings.Settings(
            **{
                "workdir": str(workdir),
                "teachers": (str(given / "teachers"),),
                "views": 2,
                "batch_size": 9,
                "backbone": str(given / "backbone.keras"),
                "strategy": "none",
                "student_epochs": 2,
                "checkpoint_steps": 1,
                **changes,
            }
        )
        asked = arms.Asked(
            arms=tuple(compared),
            trials=trials,
            reference=compared[0].name,
            results=str(results or workdir / "arms.json"),
            command="python tools/compare.py",
            only=frozenset(only or [arm.name for arm in compared]),
            only_trial=only_trial,
        )
        arms.run(chosen, asked)
        return page.read(asked.results)

    return run


@pytest.fixture(scope="module")
def finished(compare, tmp_path_factory):
    """(workdir, results) of three arms."""
    workdir = tmp_path_factory.mktemp("compare") / "run"
    return workdir, compare(workdir)


def _networks(workdir):
    return {path: path.stat().st_mtime_ns for path in workdir.rglob("*.keras")}


def test_results_are_those_of_the_students_metrics_and_teachers_those_of_the_diagnosis(finished):
    workdir, found = finished
    assert list(found["arms"]) == ["labels", "mean", "mean, mixed"]
    assert found["missing"] == []
    for name, folder in (("labels", "labels"), ("mean, mixed", "mean_mixed")):
        (row,) = found["arms"][name]["trials"]
        student = workdir / "arms" / folder / "trial_0" / "student"
        metrics = json.loads((student / "metrics.json").read_text())
        assert (row["seed"], row["epochs"]) == (0, 2)
        assert row["params"] == found["arms"][name]["params"] == metrics["params"]
        assert row["val_accuracy"] == metrics["val"]["last"]["accuracy"]
        assert row["val_loss"] == metrics["val"]["last"]["loss"]
        assert row["test_accuracy"] == metrics["test"]["accuracy"]
        assert row["test_loss"] == metrics["test"]["loss"]
        rows = history.read(student / "history.csv")
        assert row["train_accuracy"] == rows[-1]["accuracy"]
        assert row["seconds"] == round(sum(one["seconds"] for one in rows), 1)
    diagnosis = json.loads((workdir / "teachers" / "diagnosis.json").read_text())
    for name in ("per_teacher", "mean", "vote", "oracle"):
        assert found["teachers"][name] == diagnosis["test"][name]
        assert found["teachers"]["val"][name] == diagnosis["val"][name]
    assert found["arms"]["mean, mixed"]["flags"] == {"train_loss": "mean", "mix": "cutmix"}
    assert found["common"]["student_epochs"] == 2
    assert found["common"]["backbone"] == "backbone.keras"
    assert (workdir / "arms.md").exists()
    assert (workdir / "arms.png").exists()


def test_teachers_are_shared_and_each_kind_of_views_has_one_bank(finished):
    workdir, _ = finished
    teachers = {path.parent for path in workdir.rglob("teacher_*.keras")}
    assert teachers == {workdir / "teachers"}
    banks = {path.parent.relative_to(workdir).as_posix() for path in workdir.rglob("bank.json")}
    assert banks == {"banks/views_2/bank", "banks/views_2_cutmix_0.5/bank"}


def test_a_second_call_trains_nothing_and_says_the_same(finished, compare, monkeypatch):
    workdir, found = finished
    before = _networks(workdir)
    monkeypatch.setattr("okd_tf.training.loop.fit", None)
    assert compare(workdir) == found
    assert _networks(workdir) == before


@pytest.mark.slow
def test_changed_flags_of_an_arm_are_refused_and_with_redo_redo_that_arm_alone(finished, compare, tmp_path):
    workdir, found = finished
    changed = Arm("labels", {"train_loss": "ce", "student_epochs": 1}, {"train_loss": "ce", "epochs": 1})
    results = tmp_path / "other.json"
    with pytest.raises(errors.UserError, match=r"^--arms: arm 'labels': .* holds a student that ran"):
        compare(workdir, (changed, MEAN, MIXED), results=results)
    before = _networks(workdir)
    again = compare(workdir, (changed, MEAN, MIXED), results=results, redo=True)
    after = _networks(workdir)
    redone = {path.relative_to(workdir).parts[1] for path in after if before.get(path) != after[path]}
    assert redone == {"labels"}
    assert again["arms"]["labels"]["trials"][0]["epochs"] == 1
    assert again["arms"]["mean"] == found["arms"]["mean"]
    # As it was, for other tests.
    assert compare(workdir, redo=True)["arms"]["labels"]["trials"][0]["epochs"] == 2


def test_results_of_other_arms_flags_or_teachers_are_not_replaced_unasked(finished, compare, tmp_path):
    workdir, _ = finished
    renamed = Arm("names", LABELS.changes, LABELS.flags)
    before = (workdir / "arms.json").read_bytes()
    with pytest.raises(errors.UserError, match=r"^--json: .*arms.json has results of the arm 'labels'"):
        compare(workdir, (renamed, MEAN, MIXED))
    with pytest.raises(errors.UserError, match=r"^--json: .* has results of another --temperature than"):
        compare(workdir, only=["none"], temperature=2.0)
    other = tmp_path / "teachers"
    other.mkdir()
    keras.utils.set_random_seed(7)
    tiny.make_backbone().model.save(other / "other.keras")
    copied = tmp_path / "copied.json"
    copied.write_bytes(before)
    with pytest.raises(errors.UserError, match=r"^--json: .*copied.json has results of other teachers"):
        compare(tmp_path / "run", results=copied, teachers=(str(other),))
    with pytest.raises(errors.UserError, match=r"has results of teachers that are not in .*run, where"):
        compare(tmp_path / "run", results=copied, teachers=())
    assert copied.read_bytes() == before == (workdir / "arms.json").read_bytes()
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_results_of_another_machine_with_the_same_teachers_stay_in_the_file(finished, compare, tmp_path):
    _, found = finished
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps(found))
    # A part of the arms, in a workdir where the others have never been trained.
    again = compare(tmp_path / "run", trials=2, only=["labels"], only_trial=1, results=elsewhere)
    assert [row["seed"] for row in again["arms"]["labels"]["trials"]] == [0, 1]
    assert again["arms"]["mean"] == found["arms"]["mean"]
    assert again["teachers"] == found["teachers"]
    assert again["missing"] == [["mean", 1], ["mean, mixed", 1]]
    first, second = again["arms"]["labels"]["trials"]
    assert first["val_loss"] != second["val_loss"]
    # The loss of this arm needs no teachers.
    assert not (tmp_path / "run" / "teachers").exists()


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_end(finished, compare, tmp_path, monkeypatch, capsys):
    _, found = finished
    write = history.write

    def killed(path, rows):
        write(path, rows)
        if "mean" in str(path):
            raise KeyboardInterrupt

    monkeypatch.setattr(history, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        compare(tmp_path / "run", (LABELS, MEAN))
    monkeypatch.setattr(history, "write", write)
    partial = page.read(tmp_path / "run" / "arms.json")
    assert partial["missing"] == [["mean", 0]]
    assert capsys.readouterr().out.count("student: complete") == 1
    again = compare(tmp_path / "run", (LABELS, MEAN))
    said = capsys.readouterr().out
    assert "student (mean): going on from step 3 of 8" in said
    assert "1 of 2 trainings done" in said
    for name in ("labels", "mean"):
        ours, theirs = again["arms"][name]["trials"][0], found["arms"][name]["trials"][0]
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


@pytest.mark.slow
def test_an_arm_that_fails_leaves_the_others_to_be_trained(compare, tmp_path):
    diverging = Arm("diverging", {"train_loss": "ce", "learning_rate": 1e30}, {"learning_rate": 1e30})
    with pytest.raises(
        errors.UserError, match=r"^compare: 1 of 2 trainings failed.*: diverging, trial 0: not"
    ):
        compare(tmp_path / "run", (diverging, LABELS))
    found = page.read(tmp_path / "run" / "arms.json")
    assert found["missing"] == [["diverging", 0]]
    assert len(found["arms"]["labels"]["trials"]) == 1


@pytest.mark.slow
def test_an_arm_may_train_an_architecture_that_is_given(finished, compare, tmp_path, monkeypatch):
    arch = str(finished[0] / "arms" / "labels" / "trial_0" / "search" / "arch.json")
    given = Arm("given", {"train_loss": "ce", "arch": arch}, {"arch": "arch.json"})
    found = compare(tmp_path / "run", (given,))
    assert found["missing"] == []
    assert not (tmp_path / "run" / "arms" / "given" / "trial_0" / "search").exists()
    (row,), (same,) = found["arms"]["given"]["trials"], finished[1]["arms"]["labels"]["trials"]
    assert row["test_loss"] == same["test_loss"]
    monkeypatch.setattr("okd_tf.training.loop.fit", None)
    assert compare(tmp_path / "run", (given,)) == found


@pytest.mark.slow
def test_an_arm_may_leave_its_loss_to_be_chosen(compare, tmp_path):
    auto = Arm("auto", {"train_loss": "auto"}, {"train_loss": "auto"})
    (row,) = compare(tmp_path / "run", (auto,))["arms"]["auto"]["trials"]
    student = json.loads((tmp_path / "run" / "arms" / "auto" / "trial_0" / "stages.json").read_text())
    assert student["choice"]["complete"]
    assert row["train_loss"] in settings.LOSSES


def test_trial_0_of_all_arms_comes_first(compare, tmp_path):
    runs = arm_runs.Runs(settings.Settings(workdir=str(tmp_path), strategy="none"))
    one = arms._Comparison(runs.common, types.SimpleNamespace(arms=(LABELS, MEAN), trials=2))
    assert [str(pair) for pair in one._pairs] == [
        *("labels, trial 0", "mean, trial 0", "labels, trial 1", "mean, trial 1")
    ]
    assert len({pair.run.trial_seed for pair in one._pairs}) == 2


def test_time_left_is_that_of_the_arm_or_goes_by_epochs():
    def pair(arm, epochs):
        run = types.SimpleNamespace(settings=types.SimpleNamespace(student_epochs=epochs))
        return arm_runs.Pair(arm, 0, run)

    took = {pair(LABELS, 10): 20.0, pair(LABELS, 10): 30.0, pair(MEAN, 20): 90.0}
    # Labels took 25 in the mean; all took 140 for 40 epochs.
    assert arms.seconds_left([pair(LABELS, 10), pair(MIXED, 4)], took) == 25 + 4 * 140 / 40


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"backbone": "vgg16"}, "--backbone: vgg16"),
        ({"held_out_only": True, "train_loss": "mean"}, "--held_out_only"),
        ({"batch_size": 1000}, "--batch_size: 1000 is more than the 36"),
    ],
)
def test_what_an_arm_cannot_be_is_said_with_its_name_before_any_work(compare, tmp_path, flags, expected):
    wrong = Arm("wrong", flags, flags)
    with pytest.raises(errors.UserError, match=r"^--arms: arm 'wrong': ") as refusal:
        compare(tmp_path / "run", (MEAN, wrong))
    assert expected in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_paths_of_this_machine_are_not_in_what_arms_have_in_common(tmp_path):
    paths = {"dataset": f"npz:{tmp_path}/some.npz", "backbone": f"{tmp_path}/mine.keras"}
    chosen = settings.Settings(workdir=str(tmp_path), attach_after="a", **paths)
    shown = arm_results.common_flags(chosen)
    assert shown == {"dataset": "npz:some.npz", "backbone": "mine.keras", "attach_after": "a"}


def test_the_hashes_of_teachers_are_those_of_the_files(finished):
    workdir, found = finished
    paths = sorted((workdir / "teachers").glob("teacher_*.keras"))
    assert found["teachers"]["sha256"] == list(map(teacher.content_hash, paths))
