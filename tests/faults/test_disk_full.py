"""A disk that is full, or refuses: one line that names the file; then the same command goes on."""

import contextlib
import os
import shutil
import subprocess
import time

import kills
import pytest
import runs


def refuse(stages, name, *faults, code=2):
    """Has a scene fail in one line, which is given."""
    attempt = stages.start(name, *faults)
    assert attempt.wait() == code, attempt.output + attempt.errors
    assert attempt.errors.count("\n") == 1, attempt.errors
    assert not list(stages.workdir.rglob(".partial-*"))
    return attempt.errors


# What it would write next, at whatever there it is full: opening, flushing or renaming the file.
FULL = (
    ("short", "ENOSPC:open:train/.partial-view_001_*", "bank/train/view_001_rows_0000000.f16"),
    ("short", "ENOSPC:sync:bank/shards.sha256:2", "bank/shards.sha256"),
    ("short", "ENOSPC:replace:checkpoints/step_*:3", "search/checkpoints/step_0000000003"),
    ("short", "EDQUOT:sync:search/.partial-arch.json", "search/arch.json"),
    (
        "short",
        "ENOSPC:open:checkpoints/.partial-step_*/manifest.json:3",
        "student/checkpoints/step_0000000002",
    ),
    ("short", "ENOSPC:open:student/.partial-student.keras", "student/student.keras"),
    ("short", "ENOSPC:sync:.partial-stages.json:2", "stages.json"),
    ("short_export", "ENOSPC:sync:.partial-saved_model/*", "export/saved_model"),
    ("short_export", "ENOSPC:open:export/.partial-student_int8.tflite", "export/student_int8.tflite"),
    ("short_report", "ENOSPC:replace:report.md", "report.md"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["short", "short_export", "short_report"])
def test_a_full_disk_is_one_line_and_then_the_same_command_goes_on(stages, name):
    stages.measured(name)
    stages.before(name)
    for scene, fault, file in FULL:
        if scene == name:
            line = refuse(stages, name, fault)
            assert line.startswith(f"error: cannot write {stages.workdir / file}: "), line
            assert line.endswith("; free some space, and the same command goes on\n")
    kills.finish(stages, name)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most_bytes", "file"),
    [
        ("short", 1500, "teachers/"),
        ("short_student", 12_000, "student/checkpoints/step_"),
        ("short_export", 9000, "export/"),
    ],
)
def test_a_limit_on_the_size_of_files_is_one_line_and_then_the_same_command_goes_on(
    stages, name, most_bytes, file
):
    stages.measured(name)
    stages.before(name)
    line = refuse(stages, name, f"limit:FSIZE:{most_bytes}")
    assert line.startswith(f"error: cannot write {stages.workdir / file}"), line
    assert "ulimit -f" in line
    kills.finish(stages, name)


@contextlib.contextmanager
def mounted(path, size):
    """A file system of its own, of so many bytes, at a path; whoever may not mount skips the test."""
    path.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small file system is for root")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)
    finally:
        subprocess.run(["umount", path], check=True)


def moved_away(stages):
    """Where the workdir now is, so that a file system can take its place."""
    before = stages.workdir.with_name("before")
    shutil.rmtree(before, ignore_errors=True)
    shutil.move(stages.workdir, before)
    return before


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("name", "room"), [("short_student", 60_000), ("short_export", 20_000)])
def test_a_small_file_system_that_is_full_is_one_line_and_then_the_same_command_goes_on(stages, name, room):
    stages.measured(name)
    stages.before(name)
    before = moved_away(stages)
    with mounted(stages.workdir, "64m") as remount:
        shutil.copytree(before, stages.workdir, dirs_exist_ok=True)
        used = shutil.disk_usage(stages.workdir).used
        remount(f"size={used + room}")
        line = refuse(stages, name)
        assert line.startswith(f"error: cannot write {stages.workdir}/"), line
        assert line.endswith("; free some space, and the same command goes on\n")
        remount("size=64m")
        kills.finish(stages, name)


@pytest.mark.slow
def test_a_workdir_that_nobody_may_write_to_is_one_line_before_any_work(stages):
    stages.before("short_student")
    before = moved_away(stages)
    with contextlib.ExitStack() as stack:
        if os.getuid() == 0:
            remount = stack.enter_context(mounted(stages.workdir, "64m"))
            shutil.copytree(before, stages.workdir, dirs_exist_ok=True)
            remount("ro")
        else:
            shutil.copytree(before, stages.workdir)
            stages.workdir.chmod(0o555)
            stack.callback(stages.workdir.chmod, 0o755)
        started = time.monotonic()
        refused = runs.as_a_user(*stages.flags("short_student"))
        seconds = time.monotonic() - started
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: cannot write {stages.workdir}")
    assert refused.stderr.count("\n") == 1
    assert not refused.stdout
    assert seconds < 10  # TensorFlow is not imported for it; a second on a quiet machine
