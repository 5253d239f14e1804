"""Which stages run: complete ones do not, changed ones are redone, killed ones go on."""

import json

import pytest

from okd_tf import files, settings
from okd_tf.pipeline import record, stages


class _Context:
    """A run without data."""

    def __init__(self, workdir, **changes):
        self.workdir = workdir
        self.settings = settings.Settings(workdir=str(workdir), **changes)
        self.split_record = {"dataset": "digits", "train": 10, "sha256": "ab"}

    def teacher_paths(self):
        return sorted((self.workdir / "teachers").glob("teacher_*.keras"))


class _Work:
    """A stage's work: counts how often it is done, and leaves a file."""

    def __init__(self):
        self.count = 0
        self.seen = None

    def __call__(self, context):
        self.count += 1
        folder = context.workdir / "made"
        self.seen = sorted(path.name for path in folder.glob("*"))
        files.write_text(folder / "result.txt", "done")


@pytest.fixture
def work():
    return _Work()


@pytest.fixture
def stage(work):
    return stages.Stage(
        "making",
        work,
        folder="made",
        settings=lambda context: ("seed", "views"),
        reads=lambda context: [context.workdir / "input.txt"],
        leaves=lambda context: (context.workdir / "made" / "result.txt").exists(),
    )


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "input.txt").write_text("input")
    return tmp_path


def test_a_complete_stage_is_not_run_again(workdir, stage, work, capsys):
    record.complete(_Context(workdir), stage)
    assert work.count == 1
    assert "making: complete after" in capsys.readouterr().out
    record.complete(_Context(workdir), stage)
    assert work.count == 1
    assert capsys.readouterr().out == "making: complete, not run again\n"


def test_a_setting_it_does_not_depend_on_changes_nothing(workdir, stage, work):
    record.complete(_Context(workdir), stage)
    record.complete(_Context(workdir, max_params=5, temperature=2.0), stage)
    assert work.count == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "--seed"),
        ({"seed": 1, "views": 2}, "--seed, --views"),
    ],
)
def test_a_changed_setting_redoes_it_from_nothing_and_is_named(workdir, stage, work, capsys, change, named):
    record.complete(_Context(workdir), stage)
    (workdir / "made" / "old.txt").write_text("")
    (workdir / "logs" / "made").mkdir(parents=True)
    capsys.readouterr()
    record.complete(_Context(workdir, **change), stage)
    assert work.count == 2
    assert work.seen == []
    assert not (workdir / "logs" / "made").exists()
    assert f"making: redone, since these changed: {named}\n" in capsys.readouterr().out
    record.complete(_Context(workdir, **change), stage)
    assert work.count == 2


def test_a_changed_input_redoes_it_and_is_named(workdir, stage, work, capsys):
    record.complete(_Context(workdir), stage)
    (workdir / "input.txt").write_text("other")
    record.complete(_Context(workdir), stage)
    assert work.count == 2
    assert f"these changed: {workdir / 'input.txt'}" in capsys.readouterr().out


def test_other_splits_redo_it_and_are_named(workdir, stage, work, capsys):
    record.complete(_Context(workdir), stage)
    other = _Context(workdir)
    other.split_record = {**other.split_record, "sha256": "cd"}
    record.complete(other, stage)
    assert work.count == 2
    assert "these changed: sha256" in capsys.readouterr().out


def test_a_missing_output_runs_it_again_over_what_is_there(workdir, stage, work):
    record.complete(_Context(workdir), stage)
    (workdir / "made" / "result.txt").unlink()
    (workdir / "made" / "checkpoint").write_text("")
    record.complete(_Context(workdir), stage)
    assert work.count == 2
    assert work.seen == ["checkpoint"]


class _Killed(_Work):
    def __call__(self, context):
        files.write_text(context.workdir / "made" / "checkpoint", "")
        files.write_text(context.workdir / "made" / "result.txt", "not all of it")
        raise KeyboardInterrupt


def test_a_killed_stage_is_run_again_over_what_it_left(workdir, stage, work):
    object.__setattr__(stage, "work", _Killed())
    with pytest.raises(KeyboardInterrupt):
        record.complete(_Context(workdir), stage)
    object.__setattr__(stage, "work", work)
    record.complete(_Context(workdir), stage)
    assert work.seen == ["checkpoint", "result.txt"]


def test_a_stage_killed_while_it_was_redone_does_not_take_the_old_result_for_its_own(workdir, stage, work):
    record.complete(_Context(workdir), stage)
    object.__setattr__(stage, "work", _Killed())
    with pytest.raises(KeyboardInterrupt):
        record.complete(_Context(workdir, seed=1), stage)
    object.__setattr__(stage, "work", work)
    # Neither for the new settings nor for the old ones, whose result is gone.
    record.complete(_Context(workdir, seed=1), stage)
    assert work.count == 2
    record.complete(_Context(workdir), stage)
    assert work.count == 3


def test_a_needless_stage_says_why_and_leaves_no_record(workdir, stage, work, capsys):
    object.__setattr__(stage, "needless", lambda context: "--arch=mine.json")
    record.complete(_Context(workdir), stage)
    assert work.count == 0
    assert capsys.readouterr().out == "making: not needed (--arch=mine.json)\n"
    assert not (workdir / "stages.json").exists()


def test_stages_keep_their_records_apart(workdir, stage, work):
    record.complete(_Context(workdir), stage)
    other = stages.Stage(
        "packing",
        lambda context: None,
        folder="",
        settings=lambda context: (),
        reads=lambda context: [],
        leaves=lambda context: True,
    )
    record.complete(_Context(workdir), other)
    stored = json.loads((workdir / "stages.json").read_text())
    assert {name: entry["complete"] for name, entry in stored.items()} == {"making": True, "packing": True}
    record.complete(_Context(workdir), stage)
    assert work.count == 1


def test_a_run_is_described_by_its_flags_and_versions(workdir):
    (workdir / "teachers").mkdir()
    (workdir / "teachers" / "teacher_00.keras").write_text("a network")
    record.describe(_Context(workdir, seed=5, views=3))
    text = (workdir / "flags.cfg").read_text()
    assert "--seed=5\n" in text
    assert "--views=3\n" in text
    described = json.loads((workdir / "run.json").read_text())
    assert described["seed"] == 5
    assert described["split"]["dataset"] == "digits"
    assert described["teachers"] == [
        {"file": "teacher_00.keras", "sha256": files.sha256(workdir / "teachers" / "teacher_00.keras")}
    ]
    assert set(described["packages"]) >= {"tensorflow", "keras"}
