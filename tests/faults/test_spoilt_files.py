"""A file that was cut short between two runs: one line that names it, or what is before it; nothing lies."""

import kills
import pytest


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def refusal(stages, name):
    attempt = stages.start(name)
    assert attempt.wait() == 2, attempt.output + attempt.errors
    assert attempt.errors.count("\n") == 1, attempt.errors
    return attempt.errors


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("files", [("variables.data-*",), ("variables.index",), ("manifest.json",)])
def test_of_a_checkpoint_cut_short_the_one_before_is_taken(stages, files):
    stages.measured("short_student")
    stages.before("short_student")
    kills.strike(stages, "short_student", "SIGKILL:replaced:student/checkpoints/step_*:3")
    for pattern in files:
        (path,) = (stages.workdir / "student" / "checkpoints" / "step_0000000003").glob(pattern)
        cut(path)
    attempt = stages.start("short_student")
    assert attempt.wait() == 0, attempt.errors
    assert "warning: checkpoint left out: " in attempt.output
    assert "going on from step 2 of 8" in attempt.output
    assert stages.differences("short_student") == []


@pytest.mark.exhaustive
@pytest.mark.slow
def test_when_no_checkpoint_can_be_read_it_begins_again_and_says_so(stages):
    stages.measured("short_student")
    stages.before("short_student")
    kills.strike(stages, "short_student", "SIGKILL:replaced:student/checkpoints/step_*:2")
    for path in (stages.workdir / "student" / "checkpoints").glob("*/variables.data-*"):
        cut(path)
    attempt = stages.start("short_student")
    assert attempt.wait() == 0, attempt.errors
    assert attempt.output.count("warning: checkpoint left out: ") == 2
    assert stages.differences("short_student") == []


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_bank_shard_cut_short_is_missed_and_the_bank_stage_writes_it_again(stages):
    stages.measured("random")
    stages.before("random")
    cut(stages.workdir / "bank" / "train" / "view_001_rows_0000000.f16")
    assert "needs the bank stage, which has lost some of its files" in refusal(stages, "random")
    assert stages.start("bank").wait() == 0
    kills.finish(stages, "random")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_bank_shard_of_other_content_is_named(stages):
    stages.measured("bank")
    stages.before("bank")
    kills.strike(stages, "bank", "SIGKILL:replaced:train/view_001_*.f16")
    shard = stages.workdir / "bank" / "train" / "view_000_rows_0000000.f16"
    shard.write_bytes(shard.read_bytes()[::-1])
    line = refusal(stages, "bank")
    assert line.startswith(f"error: {shard}: damaged, ")
    assert "delete this file" in line
    shard.unlink()
    kills.finish(stages, "bank")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_teacher_cut_short_is_named_and_trained_again_when_it_is_deleted(stages):
    stages.measured("bank")
    stages.before("bank")
    teacher = stages.workdir / "teachers" / "teacher_01.keras"
    cut(teacher)
    assert "needs the teachers stage, which has lost some of its files" in refusal(stages, "bank")
    assert refusal(stages, "teachers").startswith(f"error: {teacher}: not a readable .keras file")
    teacher.unlink()
    assert stages.start("teachers").wait() == 0
    kills.finish(stages, "bank")


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("short_student", "search/arch.json"),
        ("short_export", "student/student.keras"),
        ("random", "stages.json"),
        ("random", "bank/bank.json"),
    ],
)
def test_a_result_cut_short_is_named_in_one_line_by_the_stage_that_reads_it(stages, name, file):
    stages.measured(name)
    stages.before(name)
    cut(stages.workdir / file)
    assert str(stages.workdir / file) in refusal(stages, name)
