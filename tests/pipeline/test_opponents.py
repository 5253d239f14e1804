"""Opponents of the student: which there are, of what size and recipe, and what is said of those left out."""

import dataclasses
import json

import keras
import pytest
import tiny

from okd_tf import errors, settings
from okd_tf.arch import spec
from okd_tf.pipeline import opponents, student_training, work
from okd_tf.pipeline.context import Context
from okd_tf.report import page
from okd_tf.student import opponents as record

DATA = tiny.make_splits(train=36, val=18)


def _context(workdir, **changes):
    """A run on tiny images around a small ResNet, whose teachers are asked live."""
    context = Context(
        settings.Settings(
            **{
                "workdir": str(workdir),
                "backbone_width": 8,
                "strategy": "darts",
                "views": 0,
                "search_loss": "ce",
                "train_loss": "mean",
                "batch_size": 9,
                "student_epochs": 2,
                "learning_rate": 0.02,
                "checkpoint_steps": 1,
                "opponents": "all",
                **changes,
            }
        )
    )
    context.data = DATA
    return context


def _grown(context, *choices):
    """Write the arch.json of a student with these choices of add-on layers."""
    of = context.space
    architecture = of.canonical([*choices, *[(0, 0, 0)] * (of.layers - len(choices))])
    found = dataclasses.replace(
        context.template, add_ons=of.add_ons(architecture), cost=of.cost(architecture)
    )
    context.keep_backbone(context.workdir / "search")
    spec.write(context.found_path, found)
    return found


CONV_5X5 = settings.choices.OPS.index("conv_5x5")


@pytest.fixture
def recorded(monkeypatch):
    """The trainings that would be done, which take no time and leave empty files."""
    done = []

    def complete(self, context):
        done.append(self)

    monkeypatch.setattr(student_training.StudentTraining, "complete", complete)
    monkeypatch.setattr(work, "store_what_is_said", lambda context, links: None)
    return done


def test_all_are_the_bare_backbone_with_the_student_s_loss_and_the_same_size_network_with_both(
    tmp_path, recorded
):
    context = _context(tmp_path)
    student = _grown(context, (CONV_5X5, 0, 1), (CONV_5X5, 0, 1))
    opponents.train(context)
    assert [(one.name, one.loss) for one in recorded] == [
        *(("bare", "mean"), ("same_size_labels", "ce"), ("same_size", "mean")),
    ]
    assert {one.epochs for one in recorded} == {2}
    bare, wide, same = (one.architecture for one in recorded)
    assert bare.cost == context.template.cost
    assert wide == same
    assert bare.cost.params < wide.cost.params <= student.cost.params
    assert wide.width > 8
    found = record.read(context.opponents_path)
    assert [one["params"] for one in found["opponents"]] == [bare.cost.params, *[wide.cost.params] * 2]
    assert found["left_out"] == []


@pytest.mark.parametrize(
    ("changes", "grown", "names", "left_out"),
    [
        ({"opponents": "bare"}, True, ["bare"], []),
        ({"train_loss": "ce"}, True, ["same_size_labels"], ["those with the student's loss"]),
        ({"opponents": "bare", "train_loss": "ce"}, True, [], ["those with the student's loss"]),
        (
            {},
            False,
            [],
            ["the bare backbone with the student's loss: it is the student", "the same-size plain"],
        ),
    ],
)
def test_what_would_be_another_network_once_more_is_left_out_and_said(
    tmp_path, recorded, capsys, changes, grown, names, left_out
):
    context = _context(tmp_path, **changes)
    _grown(context, *([(CONV_5X5, 0, 1)] * 2 if grown else []))
    opponents.train(context)
    assert [one.name for one in recorded] == names
    found = record.read(context.opponents_path)
    assert len(found["left_out"]) == len(left_out)
    out = capsys.readouterr().out
    for text, begins in zip(found["left_out"], left_out, strict=True):
        assert text.startswith(begins)
        assert f"opponents: left out: {text}\n" in out


def test_a_user_s_own_backbone_cannot_be_widened_which_is_said(tmp_path, recorded, capsys):
    path = tmp_path / "mine.keras"
    tiny.make_backbone().model.save(path)
    context = _context(tmp_path / "run", backbone=str(path), attach_after="out.")
    _grown(context, (CONV_5X5, 0, 1))
    opponents.train(context)
    assert [one.name for one in recorded] == ["bare"]
    said = "the same-size plain network: the backbone is a file, which has no width"
    assert record.read(context.opponents_path)["left_out"] == [said]
    assert f"opponents: left out: {said}\n" in capsys.readouterr().out


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose opponents are trained and evaluated: of labels alone, so that no teachers are needed."""
    context = _context(tmp_path_factory.mktemp("trained"), train_loss="mutual", opponents="bare")
    _grown(context, (CONV_5X5, 0, 1), (CONV_5X5, 0, 1))
    opponents.train(context)
    return context


@pytest.mark.slow
def test_an_opponent_is_trained_by_the_student_s_recipe_and_evaluated_into_its_metrics_and_the_table(trained):
    folder = trained.workdir / "opponents" / "bare"
    network = keras.models.load_model(folder / "student.keras")
    assert network.count_params() == trained.template.cost.params
    assert (folder / "peer.keras").exists()  # of the student's loss
    assert json.loads((folder / "metrics.json").read_text())["epochs"] == 2
    assert not (folder / "checkpoints").exists()
    assert opponents.are_there(trained)
    found = work.evaluated(trained)
    assert (folder / "student.keras", folder / "metrics.json", "") in found
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "test": {"accuracy": 0.375, "loss": 1.0}}))
    rows = page.table(trained.workdir, {"opponents", "evaluate"})
    assert rows == [["bare backbone, mutual", f"{network.count_params():,}", "37.50 %"]]
    assert page.table(trained.workdir, {"evaluate"}) == []


@pytest.mark.slow
def test_one_that_is_trained_is_not_trained_again(trained):
    path = trained.workdir / "opponents" / "bare" / "student.keras"
    before = path.stat().st_mtime_ns
    trained.opponents_path.unlink()
    assert not opponents.are_there(trained)
    opponents.train(trained)
    assert path.stat().st_mtime_ns == before
    assert opponents.are_there(trained)


def test_an_unknown_name_is_refused_in_one_line():
    with pytest.raises(errors.UserError, match=r"^--opponents: unknown name 'some'"):
        settings.Settings(workdir="a", opponents="some")
