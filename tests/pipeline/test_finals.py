"""Finals: who goes on, what it costs, planted winners, a kill within them."""

import dataclasses
import json
import random

import pytest
import tiny

from okd_tf import errors, json_file, settings
from okd_tf.arch import spec, uniform
from okd_tf.pipeline import arm_runs, finals, lessons, student_training
from okd_tf.pipeline.context import Context
from okd_tf.report import finals as page
from okd_tf.search import finalists
from okd_tf.settings import arms
from okd_tf.student import finals as record

DATA = tiny.make_splits(train=36, val=30)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "small.keras"
    tiny.make_backbone().model.save(path)
    return path


def _prepared(workdir, backbone, rounds, **changes):
    """A run that has come to the finals: its search has proposed as many as it must."""
    context = Context(
        settings.Settings(
            **{
                "workdir": str(workdir),
                "backbone": str(backbone),
                "attach_after": "out.",
                "views": 0,
                "strategy": "darts",
                "search_loss": "ce",
                "train_loss": "ce",
                "batch_size": 9,
                "student_epochs": 8,
                "learning_rate": 0.02,
                "checkpoint_steps": 1,
                "finals": rounds,
                "search_epochs": 2,
                "search_warmup_epochs": 1,
                "teacher_epochs": 1,
                "assistant_epochs": 1,
                **changes,
            }
        )
    )
    context.data = DATA
    count = int(rounds[0])
    drawn = uniform.UniformSampler(context.space, spec.Budget()).different(count, 5)
    specs = [
        dataclasses.replace(
            context.template,
            add_ons=context.space.add_ons(architecture),
            cost=context.space.cost(architecture),
            provenance={"strategy": "darts", "seed": 0, "val": {"accuracy": 0.5 + 0.01 * place, "loss": 1.0}},
        )
        for place, architecture in enumerate(drawn)
    ]
    context.keep_backbone(workdir / "search")
    half = count - count // 2
    drawn = [dataclasses.replace(one, provenance={**one.provenance, "strategy": "random"}) for one in specs]
    json_file.write(context.finalists_path, finalists.document(specs[:half], drawn[half:]))
    return context


@pytest.fixture
def planted(monkeypatch):
    """Trainings that take no time: the accuracy of finalist i after so many epochs is what the test says."""
    said, trained = {}, []

    def complete(self, context):
        trained.append((self.name, self.epochs))

    def figures(self, context):
        number = int(self.name.split("/")[1])
        accuracy = said[number] if isinstance(said[number], float) else said[number][self.epochs]
        return {"accuracy": accuracy, "loss": 1.0, "epochs": self.epochs, "seconds": 2.0 * self.epochs}

    monkeypatch.setattr(student_training.StudentTraining, "complete", complete)
    monkeypatch.setattr(student_training.StudentTraining, "figures", figures)
    return said, trained


def test_the_best_of_a_round_go_on_and_the_best_of_the_last_round_is_the_student(
    tmp_path, backbone, planted, capsys
):
    said, trained = planted
    context = _prepared(tmp_path, backbone, ("6", "2"), student_epochs=13)
    # After 2 epochs 3 and 5 are the best, by a tie that goes to the first; after 6 it is the other way.
    said.update({1: 0.3, 2: 0.4, 3: {2: 0.5, 6: 0.6}, 4: 0.2, 5: {2: 0.45, 6: 0.7}, 6: 0.45})
    finals.hold(context)
    assert trained == [
        *((f"round_1/{number:02}", 2) for number in range(1, 7)),
        *((f"round_2/{number:02}", 6) for number in (3, 5)),
    ]
    found = record.read(context.finals_path)
    assert found["winner"] == 4
    assert [len(entry["rounds"]) for entry in found["finalists"]] == [1, 1, 2, 1, 2, 1]
    assert found["rounds"] == [{"finalists": 6, "epochs": 2}, {"finalists": 2, "epochs": 6}]
    assert record.cost(found) == pytest.approx((6 * 2 + 2 * 6) / 13)
    assert record.seconds(found) == 2 * 24
    winner = finalists.read(context.finalists_path)[4]["spec"]
    assert spec.read(context.arch_path) == winner == context.architecture()
    assert spec.read(context.arch_path).provenance["finals"][-1] == {
        "accuracy": 0.7,
        "loss": 1.0,
        "epochs": 6,
    }
    assert (tmp_path / "finals" / "backbone.keras").exists()
    out = capsys.readouterr().out
    # Two of six are done, and with them 4 of 24 epochs, which took 8 seconds.
    assert "finals: round 1, 2 of 6: " in out
    assert "val accuracy 0.4000; 40 s left in all" in out
    assert "drawn at random, chosen before 5 others at the cost of 1.8 trainings of the student" in out


def test_the_report_ranks_finalists_by_shared_weights_by_rounds_and_in_the_end(tmp_path, backbone, planted):
    planted[0].update({1: 0.3, 2: {4: 0.7, 8: 0.6}, 3: {4: 0.5, 8: 0.65}, 4: 0.4})
    context = _prepared(tmp_path, backbone, ("4", "2"), student_epochs=16)
    finals.hold(context)
    text = "\n".join(page.lines(record.read(context.finals_path), end=0.8125))
    assert "4 finalists, 2 of the search by darts and 2 random" in text
    assert (
        "4 epochs of each, then 8 epochs of each of the best 2; in all 2.0 trainings of the student" in text
    )
    assert "A random one won: finalist 3." in text
    # Shared weights: 1 < 2 < 3 < 4; after 4 epochs 1 < 4 < 3 < 2: of the six pairs three agree.
    assert "Kendall's tau: shared weights and 4 epochs 0.00, 4 epochs and 8 epochs -1.00." in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "%" in line]
    assert [row.split(",")[0] for row in rows] == ["| 3", "| 2", "| 4", "| 1"]
    assert "| 52.00 % (2) | 50.00 % (2) | 65.00 % (1) | 81.25 % |" in rows[0]
    assert rows[1].endswith("| 51.00 % (3) | 70.00 % (1) | 60.00 % (2) |  |")
    assert rows[3].endswith("| 50.00 % (4) | 30.00 % (4) |  |  |")


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ({1: 0.9, 2: 0.1}, "What the search had chosen by shared weights won."),
        ({1: 0.1, 2: 0.9}, "A random one won: finalist 2."),
        ({1: 0.5, 2: 0.5}, "What the search had chosen by shared weights won."),
    ],
)
def test_the_report_says_whether_a_random_one_won(tmp_path, backbone, planted, accuracies, said):
    planted[0].update(accuracies)
    context = _prepared(tmp_path, backbone, ("2",))
    finals.hold(context)
    assert said in "\n".join(page.lines(record.read(context.finals_path)))


def test_another_number_of_finalists_than_the_search_left_is_refused(tmp_path, backbone, planted):
    context = _prepared(tmp_path, backbone, ("2",))
    other = Context(dataclasses.replace(context.requested, finals=("3",)))
    other.data = DATA
    with pytest.raises(
        errors.UserError, match=r"finalists\.json: 2 finalists, expected 3 of --finals; delete"
    ):
        finals.hold(other)


def _figures(path):
    """What is not measured of a finals.json."""
    found = json.loads(path.read_text())
    for entry in found["finalists"]:
        for figures in entry["rounds"]:
            figures.pop("seconds")
    return found


@pytest.fixture(scope="module")
def held(tmp_path_factory, backbone):
    """A run whose finalists were trained."""
    context = _prepared(tmp_path_factory.mktemp("held") / "run", backbone, ("3", "2"))
    finals.hold(context)
    return context


@pytest.mark.slow
def test_finalists_are_trained_for_whole_short_schedules_and_validation_decides(held):
    found = record.read(held.finals_path)
    assert found["rounds"] == [{"finalists": 3, "epochs": 2}, {"finalists": 2, "epochs": 4}]
    of_last = {}
    for index, entry in enumerate(found["finalists"]):
        for number, figures in enumerate(entry["rounds"], 1):
            folder = held.workdir / "finals" / f"round_{number}" / f"{index + 1:02}"
            kept = json.loads((folder / "metrics.json").read_text())["val"]["kept"]
            assert (figures["accuracy"], figures["loss"]) == (kept["accuracy"], kept["loss"])
            rows = (folder / "history.csv").read_text().splitlines()
            rates = [float(row.split(",")[rows[0].split(",").index("learning_rate")]) for row in rows[1:]]
            assert len(rates) == [2, 4][number - 1]
            assert rates[-1] == 0  # the schedule has come to its end
            assert not (folder / "checkpoints").exists()
        if len(entry["rounds"]) == 2:
            of_last[index] = (-entry["rounds"][-1]["accuracy"], entry["rounds"][-1]["loss"])
    assert found["winner"] == min(of_last, key=of_last.get)
    assert held.architecture().add_ons == spec.read(held.arch_path).add_ons


@pytest.mark.slow
def test_killed_within_a_finalist_they_go_on_and_choose_the_same_to_the_bit(
    tmp_path, backbone, held, monkeypatch
):
    context = _prepared(tmp_path / "run", backbone, ("3", "2"))
    whole, calls = lessons.training_batches, []

    def cut(*arguments):
        calls.append(arguments)
        return tiny.CutBatches(whole(*arguments), 5) if len(calls) == 2 else whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(lessons, "training_batches", cut)
        with pytest.raises(Exception, match=r"End of sequence|OUT_OF_RANGE"):
            finals.hold(context)
    folder = context.workdir / "finals"
    assert not context.finals_path.exists()
    assert not context.arch_path.exists()
    assert (folder / "round_1" / "02" / "checkpoints").exists()
    first = (folder / "round_1" / "01" / "student.keras").stat().st_mtime_ns
    finals.hold(context)
    assert (folder / "round_1" / "01" / "student.keras").stat().st_mtime_ns == first
    assert _figures(context.finals_path) == _figures(held.finals_path)
    there = held.workdir / "finals"
    for path in sorted(there.glob("round_*/*/*.*")):
        if path.name != "history.csv":
            assert (folder / path.relative_to(there)).read_bytes() == path.read_bytes()
    assert (folder / "arch.json").read_bytes() == (there / "arch.json").read_bytes()


def test_an_arm_of_a_comparison_has_finals_before_its_student_only_where_they_are_asked_for(tmp_path):
    def stages(**changes):
        run = Context(settings.Settings(workdir=str(tmp_path), batch_size=9, **changes))
        run.data = DATA
        return [stage.name for stage in arm_runs.Pair(arms.Arm("one", {}, {}), 0, run).stages]

    assert stages(finals=("4",)) == ["search", "finals", "student", "evaluate"]
    assert stages() == ["search", "student", "evaluate"]


def test_equal_figures_are_ranked_as_they_come_and_equal_accuracies_by_loss():
    figures = [{"accuracy": 0.5, "loss": loss} for loss in (2.0, 1.0, 1.0)] + [{"accuracy": 0.6, "loss": 9.0}]
    assert record.best_first(figures) == [3, 1, 2, 0]
    shuffled = list(range(4))
    random.Random(1).shuffle(shuffled)
    found = [shuffled[index] for index in record.best_first([figures[index] for index in shuffled])]
    assert [figures[index] for index in found] == [figures[index] for index in (3, 1, 2, 0)]
