"""The choice of the student's loss: planted winners, a kill within it, and what it costs."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tiny

from okd_tf import errors, settings
from okd_tf.pipeline import arm_runs, choosing, lessons, work
from okd_tf.pipeline.context import Context
from okd_tf.report import choice as page
from okd_tf.settings import arms
from okd_tf.student import choice

DATA = tiny.make_splits(train=36, val=60)
CENTRES = np.array([50.0, 110.0, 170.0])  # mean brightness of each class


def _teacher(shift):
    """A linear network that gives the class whose brightness is nearest, or the `shift`-th after that."""
    inputs = keras.Input(tiny.SHAPE)
    model = keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(keras.layers.Flatten()(inputs)))
    kernel = np.tile(2 * CENTRES / 16, (16, 1))
    order = np.roll(np.arange(3), shift)
    model.set_weights([kernel[:, order] / 200, -(CENTRES[order] ** 2) / 200])
    return model


def _relabelled(shift):
    """Training images with the labels of the class after theirs; validation images with their own."""
    labels = ((DATA.train.labels + shift) % tiny.CLASSES).astype(np.int32)
    return dataclasses.replace(DATA, train=dataclasses.replace(DATA.train, labels=labels))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "small.keras"
    tiny.make_backbone().model.save(path)
    return path


def _prepared(workdir, backbone, data, teacher_shift):
    """A run that has come to the choice: a teacher, its bank, an architecture."""
    path = workdir / "teachers" / "teacher_00.keras"
    path.parent.mkdir(parents=True)
    _teacher(teacher_shift).save(path)
    context = Context(
        settings.Settings(
            workdir=str(workdir),
            backbone=str(backbone),
            strategy="none",
            search_loss="ce",
            views=2,
            batch_size=9,
            student_epochs=12,
            learning_rate=0.02,
            temperature=1.0,
            checkpoint_steps=1,
            train_loss="auto",
        )
    )
    context.data = data
    work.fill_bank(context)
    work.search_architecture(context)
    return context


@pytest.fixture(autouse=True)
def two_candidates(monkeypatch):
    monkeypatch.setattr(settings.choices, "AUTO_LOSSES", ("ce", "mean"))


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory, backbone):
    """The run of training images that all have wrong labels, and a teacher that knows the right ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings.choices, "AUTO_LOSSES", ("ce", "mean"))
        # A workdir is part of an arch.json: the other run has one of the same name.
        context = _prepared(tmp_path_factory.mktemp("mislabelled") / "run", backbone, _relabelled(1), 0)
        choosing.choose_loss(context)
    return context


@pytest.mark.slow
def test_where_labels_are_wrong_and_teachers_right_a_distilled_student_is_taken(mislabelled):
    found = choice.read(mislabelled.choice_path)
    assert found["taken"] == mislabelled.train_loss == choosing.taken(mislabelled) == "mean"
    ce, mean = (found["candidates"][name] for name in ("ce", "mean"))
    assert ce["accuracy"] < 0.4 < 0.7 < mean["accuracy"]
    assert mean["accuracy_gain"] == pytest.approx(mean["accuracy"] - ce["accuracy"])
    assert found["examples"] == 60


@pytest.mark.slow
def test_where_teachers_are_wrong_labels_are_taken(tmp_path, backbone):
    context = _prepared(tmp_path / "run", backbone, DATA, 1)
    choosing.choose_loss(context)
    found = choice.read(context.choice_path)
    assert found["taken"] == context.train_loss == "ce"
    ce, mean = (found["candidates"][name] for name in ("ce", "mean"))
    assert mean["accuracy"] < 0.4 < 0.7 < ce["accuracy"]


@pytest.mark.slow
def test_all_candidates_together_cost_no_more_than_a_student(mislabelled):
    found = choice.read(mislabelled.choice_path)
    assert [each["epochs"] for each in found["candidates"].values()] == [6, 6]


@pytest.mark.parametrize(("whole", "each"), [(1, 1), (7, 1), (30, 7), (200, 50)])
def test_each_has_its_share_of_the_student_s_epochs_and_at_least_one(monkeypatch, whole, each):
    monkeypatch.setattr(settings.choices, "AUTO_LOSSES", ("ce", "mean", "oracle", "dkd"))
    assert choosing.epochs_of_each(whole) == each


def _figures(path):
    """What is not measured of a choice.json."""
    found = json.loads(path.read_text())
    for entry in found["candidates"].values():
        entry.pop("seconds")
    return found


@pytest.mark.slow
def test_killed_within_the_second_candidate_it_goes_on_and_chooses_the_same_to_the_bit(
    tmp_path, backbone, mislabelled, monkeypatch
):
    context = _prepared(tmp_path / "run", backbone, _relabelled(1), 0)
    whole = lessons.training_batches

    def cut(context, loss, *arguments):
        made = whole(context, loss, *arguments)
        return tiny.CutBatches(made, 10) if loss == "mean" else made

    with monkeypatch.context() as patch:
        patch.setattr(lessons, "training_batches", cut)
        with pytest.raises(Exception, match=r"End of sequence|OUT_OF_RANGE"):
            choosing.choose_loss(context)
    folder = context.workdir / "choice"
    assert not context.choice_path.exists()
    with pytest.raises(errors.UserError, match=r"choice\.json"):
        _ = context.train_loss
    assert choosing.taken(context) == ""
    assert (folder / "mean" / "checkpoints").exists()
    first = (folder / "ce" / "student.keras").stat().st_mtime_ns
    choosing.choose_loss(context)
    assert (folder / "ce" / "student.keras").stat().st_mtime_ns == first
    assert _figures(context.choice_path) == _figures(mislabelled.choice_path)
    for name in ("ce/student.keras", "mean/student.keras", "ce/metrics.json", "mean/metrics.json"):
        assert (folder / name).read_bytes() == (mislabelled.workdir / "choice" / name).read_bytes()
    assert not (folder / "mean" / "checkpoints").exists()


@pytest.mark.slow
def test_the_report_says_what_was_taken_and_what_each_was_worth(mislabelled):
    text = "\n".join(page.lines(choice.read(mislabelled.choice_path)))
    assert "train_loss: auto took mean: +" in text
    assert "points over labels after 6 epochs of each" in text
    for name in ("ce", "mean"):
        assert f"\n| {name} | " in text


def test_an_arm_of_a_comparison_chooses_before_its_student_only_where_its_loss_is_left_open(tmp_path):
    def stages(loss):
        chosen = settings.Settings(workdir=str(tmp_path), train_loss=loss, batch_size=9)
        run = Context(chosen)
        run.data = DATA
        return [stage.name for stage in arm_runs.Pair(arms.Arm("one", {}, {}), 0, run).stages]

    assert stages("auto") == ["search", "choice", "student", "evaluate"]
    assert stages("mean") == ["search", "student", "evaluate"]
