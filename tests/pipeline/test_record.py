"""Which stages run: complete ones do not, changed ones are redone, killed ones go on."""

import json
import pathlib
import shutil
import sys
import types

import pytest

from okd_tf import errors, files, settings
from okd_tf.pipeline import record, stages
from okd_tf.training import crew


class _Context:
    """A run without data."""

    def __init__(self, workdir, **changes):
        self.workdir = workdir
        self.requested = self.settings = settings.Settings(workdir=str(workdir), **changes)
        self.plan_record = {"views": 15, "replicas": 2}
        self.crew = crew.Alone()
        self.split_record = {"dataset": "digits", "train": 10, "sha256": "ab"}
        self.teaching = types.SimpleNamespace(teacher_paths=self._teacher_paths)

    def _teacher_paths(self):
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


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


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
        reads=lambda context: {"the input": context.workdir / "input.txt"},
        leaves=lambda context: (context.workdir / "made" / "result.txt").exists(),
    )


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "input.txt").write_text("input")
    return tmp_path


def test_a_complete_stage_is_not_run_again(workdir, stage, work, capsys):
    record.complete(_Context(workdir), stage)
    assert work.count == 1
    assert capsys.readouterr().out == "making: complete, 0 s in this call\n"
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
    (workdir / "logs" / "made" / "events").write_text("")
    capsys.readouterr()
    record.complete(_Context(workdir, **change), stage)
    assert work.count == 2
    assert work.seen == []
    assert not (workdir / "logs" / "made").exists()
    assert _names(workdir / "made.old") == ["old.txt", "result.txt"]
    assert _names(workdir / "logs" / "made.old") == ["events"]
    printed = capsys.readouterr().out
    assert f"making: redone, since these changed: {named}\n" in printed
    for folder in (workdir / "made", workdir / "logs" / "made"):
        assert f"making: what was in {folder} is now in {folder}.old\n" in printed
    record.complete(_Context(workdir, **change), stage)
    assert work.count == 2


def test_a_changed_input_redoes_it_and_is_named(workdir, stage, work, capsys):
    record.complete(_Context(workdir), stage)
    (workdir / "input.txt").write_text("other")
    record.complete(_Context(workdir), stage)
    assert work.count == 2
    assert "these changed: the input\n" in capsys.readouterr().out


def test_an_input_that_is_gone_since_counts_as_what_it_was(workdir, stage, work):
    for each in (stage, _packing(stage)):
        record.complete(_Context(workdir), each)
    (workdir / "input.txt").unlink()
    record.complete(_Context(workdir), stage)
    assert work.count == 1
    record.complete(_Context(workdir), _packing(stage))
    assert record.current(_Context(workdir), (stage, _packing(stage))) == {"making", "packing"}
    # As long as nothing else has changed, and it is not there again with other content.
    assert record.current(_Context(workdir, seed=1), (stage, _packing(stage))) == set()
    (workdir / "input.txt").write_text("other")
    assert record.current(_Context(workdir), (stage, _packing(stage))) == set()


def test_an_input_that_a_killed_stage_read_and_that_is_gone_since_is_missed(workdir, stage, work):
    object.__setattr__(stage, "work", _Killed())
    with pytest.raises(KeyboardInterrupt):
        record.complete(_Context(workdir), stage)
    (workdir / "input.txt").unlink()
    assert record.outdated(_Context(workdir), stage) == "ran with other inputs (the input)"


def test_the_time_of_a_stage_is_that_of_the_call_which_completed_it(workdir, stage, monkeypatch, capsys):
    now = iter([100.0, 107.0, 109.96])
    monkeypatch.setattr(record, "time", types.SimpleNamespace(monotonic=lambda: next(now)))
    work = stage.work
    object.__setattr__(stage, "work", _Killed())
    with pytest.raises(KeyboardInterrupt):
        record.complete(_Context(workdir), stage)
    object.__setattr__(stage, "work", work)
    record.complete(_Context(workdir), stage)
    assert capsys.readouterr().out == "making: complete, 3 s in this call\n"
    assert json.loads((workdir / "stages.json").read_text())["making"]["seconds"] == 3.0


def test_the_page_is_gone_before_a_stage_works_again(workdir, stage):
    record.complete(_Context(workdir), stage)
    page = workdir / "report.md"
    page.write_text("figures")
    record.complete(_Context(workdir), stage)
    assert page.exists()
    object.__setattr__(stage, "work", _Killed())
    with pytest.raises(KeyboardInterrupt):
        record.complete(_Context(workdir, seed=1), stage)
    assert not page.exists()


def test_a_changed_text_input_redoes_it_and_is_named(workdir, stage, work, capsys):
    described = ["resnet8"]
    object.__setattr__(stage, "reads", lambda context: {"backbone": described[0]})
    record.complete(_Context(workdir), stage)
    record.complete(_Context(workdir), stage)
    assert work.count == 1
    described[0] = "resnet14"
    record.complete(_Context(workdir), stage)
    assert work.count == 2
    assert "these changed: backbone\n" in capsys.readouterr().out


def test_a_copied_workdir_and_another_working_directory_redo_nothing(workdir, stage, work, monkeypatch):
    (workdir / "run").mkdir()
    (workdir / "input.txt").rename(workdir / "run" / "input.txt")
    record.complete(_Context(workdir / "run"), stage)
    shutil.copytree(workdir / "run", workdir / "copied")
    for there, name in ((workdir, "run"), (workdir, "copied"), (workdir / "copied", ".")):
        monkeypatch.chdir(there)
        record.complete(_Context(pathlib.Path(name)), stage)
    assert work.count == 1
    # It is the content that counts.
    (workdir / "copied" / "input.txt").write_text("other")
    record.complete(_Context(workdir / "copied"), stage)
    assert work.count == 2


def test_files_without_a_record_are_set_aside(workdir, stage, work, capsys):
    files.write_text(workdir / "made" / "theirs.txt", "")
    record.complete(_Context(workdir), stage)
    assert work.seen == []
    assert _names(workdir / "made.old") == ["theirs.txt"]
    printed = capsys.readouterr().out
    assert f"what was in {workdir / 'made'} is now in {workdir / 'made'}.old\n" in printed
    assert "redone" not in printed


def test_every_earlier_result_is_kept_aside_and_said_where(workdir, stage, capsys):
    for seed in (0, 1, 2, 3):
        record.complete(_Context(workdir, seed=seed), stage)
        (workdir / "made" / f"seed_{seed}").write_text("")
    printed = capsys.readouterr().out
    for seed, name in enumerate(("made.old", "made.old1", "made.old2")):
        assert _names(workdir / name) == ["result.txt", f"seed_{seed}"]
        assert f"what was in {workdir / 'made'} is now in {workdir / name}\n" in printed
    assert _names(workdir / "made") == ["result.txt", "seed_3"]


def test_a_stage_without_a_folder_sets_nothing_aside(workdir, stage):
    object.__setattr__(stage, "folder", "")
    record.complete(_Context(workdir), stage)
    record.complete(_Context(workdir, seed=1), stage)
    assert not list(workdir.rglob("*.old*"))


REDO = (
    "run tools/search.py without --stages to redo all that changed, or use another --workdir and give it "
    "what is to stay by --teachers and --arch"
)


def _packing(making, **changes):
    """A stage that needs another."""
    arguments = {
        "name": "packing",
        "work": lambda context: None,
        "folder": "",
        "settings": lambda context: (),
        "reads": lambda context: {},
        "leaves": lambda context: True,
        "needs": lambda context: [making],
    }
    return stages.Stage(**{**arguments, **changes})


def _refusal(workdir, stage, **changes):
    """What is said of a stage that needs another; nothing of it is recorded."""
    before = (workdir / "stages.json").read_bytes() if (workdir / "stages.json").exists() else None
    with pytest.raises(errors.UserError) as refusal:
        record.complete(_Context(workdir, **changes), _packing(stage))
    assert before == ((workdir / "stages.json").read_bytes() if before else None)
    message = str(refusal.value)
    assert message.startswith("packing: needs the making stage, which ")
    return message.removeprefix("packing: needs the making stage, which ")


def test_a_stage_is_refused_until_what_it_needs_is_complete(workdir, stage, work):
    hint = f" in {workdir}; run it first, as with tools/search.py --stages=making,packing"
    assert _refusal(workdir, stage) == f"has not run{hint}"
    object.__setattr__(stage, "work", _Killed())
    with pytest.raises(KeyboardInterrupt):
        record.complete(_Context(workdir), stage)
    assert _refusal(workdir, stage) == f"is not finished{hint}"
    object.__setattr__(stage, "work", work)
    record.complete(_Context(workdir), stage)
    record.complete(_Context(workdir), _packing(stage))
    assert _refusal(workdir, stage, seed=1) == f"ran with other inputs (--seed) in {workdir}; {REDO}"
    (workdir / "made" / "result.txt").unlink()
    assert _refusal(workdir, stage) == f"has lost some of its files{hint}"


def test_a_stage_is_refused_when_what_it_needs_rests_on_a_stage_of_other_inputs(workdir, stage):
    packing = _packing(stage)
    for each in (stage, packing):
        record.complete(_Context(workdir), each)
    sending = _packing(packing, name="sending")
    with pytest.raises(errors.UserError) as refusal:
        record.complete(_Context(workdir, seed=1), sending)
    assert str(refusal.value) == (
        "sending: needs the packing stage, which rests on a stage that ran with other inputs in "
        f"{workdir}; {REDO}"
    )
    record.complete(_Context(workdir), sending)


def test_files_of_a_stage_further_back_are_not_missed(workdir, stage):
    packing = _packing(stage)
    for each in (stage, packing):
        record.complete(_Context(workdir), each)
    shutil.rmtree(workdir / "made")
    record.complete(_Context(workdir), _packing(packing, name="sending"))


def test_a_needed_stage_that_is_needless_is_not_waited_for(workdir, stage):
    object.__setattr__(stage, "needless", lambda context: "--arch=mine.json")
    record.complete(_Context(workdir), _packing(stage))
    assert "packing" in json.loads((workdir / "stages.json").read_text())


def test_a_needless_stage_needs_nothing(workdir, stage):
    record.complete(_Context(workdir), _packing(stage, needless=lambda context: "--nobaseline"))


def test_current_are_the_stages_whose_results_are_of_this_run(workdir, stage):
    both = (stage, _packing(stage))
    assert record.current(_Context(workdir), both) == set()
    for each in both:
        record.complete(_Context(workdir), each)
    assert record.current(_Context(workdir), both) == {"making", "packing"}
    # What rests on a stage of other inputs is no more of this run than that stage.
    assert record.current(_Context(workdir, seed=1), both) == set()
    object.__setattr__(stage, "needless", lambda context: "--nobaseline")
    assert record.current(_Context(workdir), both) == {"packing"}


def test_current_looks_at_all_that_a_stage_rests_on(workdir, stage):
    packing = _packing(stage)
    every = (stage, packing, _packing(packing, name="sending"))
    for each in every:
        record.complete(_Context(workdir), each)
    assert record.current(_Context(workdir), every) == {"making", "packing", "sending"}
    assert record.current(_Context(workdir, seed=1), every) == set()
    object.__setattr__(stage, "work", _Killed())
    shutil.rmtree(workdir / "made")
    # Files that are gone hide nothing but themselves.
    assert record.current(_Context(workdir), every) == {"packing", "sending"}
    # Of a stage that is not made again to its end, nobody knows what it will be.
    with pytest.raises(KeyboardInterrupt):
        record.complete(_Context(workdir), stage)
    assert record.current(_Context(workdir), every) == set()


@pytest.mark.parametrize("content", ["[]", "null", '{"making": 3}', '{"making": {"complete": true}}', "{"])
def test_a_damaged_record_is_refused_by_its_file(workdir, stage, work, content):
    (workdir / "stages.json").write_text(content)
    with pytest.raises(errors.UserError) as refusal:
        record.complete(_Context(workdir), stage)
    assert str(refusal.value).startswith(f"{workdir / 'stages.json'}: ")
    assert "\n" not in str(refusal.value)
    assert work.count == 0


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
        reads=lambda context: {},
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


def test_every_call_leaves_its_command_in_the_order_of_the_calls(workdir, monkeypatch):
    for arguments in (["search.py", "--seed=1"], ["export.py"]):
        monkeypatch.setattr(sys, "argv", arguments)
        record.describe(_Context(workdir))
    commands = json.loads((workdir / "run.json").read_text())["commands"]
    assert [command["arguments"] for command in commands] == [["search.py", "--seed=1"], ["export.py"]]
    assert all(set(command) == {"arguments", "host", "machine", "started"} for command in commands)


def test_teachers_that_a_stage_made_come_into_the_description_without_another_command(workdir):
    record.describe(_Context(workdir))
    before = json.loads((workdir / "run.json").read_text())
    assert before["teachers"] == []
    path = workdir / "teachers" / "teacher_00.keras"
    files.write_text(path, "a network")
    record.describe_teachers(_Context(workdir))
    after = json.loads((workdir / "run.json").read_text())
    assert after == {**before, "teachers": [{"file": path.name, "sha256": files.sha256(path)}]}


@pytest.mark.parametrize("content", ["[]", "{}", '{"commands": "search.py"}', "{"])
def test_a_damaged_description_is_refused_by_its_file_before_anything_is_written(workdir, content):
    (workdir / "run.json").write_text(content)
    with pytest.raises(errors.UserError) as refusal:
        record.describe(_Context(workdir))
    assert str(refusal.value).startswith(f"{workdir / 'run.json'}: ")
    assert not (workdir / "flags.cfg").exists()
