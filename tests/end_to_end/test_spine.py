"""The tools as a user runs them, on digits: one small run of the whole spine, and what can happen to it."""

import json
import pathlib
import shutil
import subprocess
import sys

import ai_edge_litert.interpreter
import numpy as np
import pytest

from okd_tf import data
from okd_tf.data import splits

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    *("--dataset=digits", "--train_examples=256", "--val_examples=64", "--batch_size=64"),
    *("--num_teachers=2", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=3"),
    *("--views=2", "--backbone=resnet8", "--backbone_width=8", "--search_epochs=2", "--candidates=3"),
    *("--max_params=26000", "--student_epochs=3", "--steps_per_execution=2", "--checkpoint_seconds=0"),
    "--opponents=none",
)


def run(tool, *flags):
    """Runs a tool to its end and gives what it said."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / tool, *map(str, flags)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(workdir, what was printed) of one complete run."""
    workdir = tmp_path_factory.mktemp("spine") / "run"
    done = run("search.py", f"--workdir={workdir}", *SMALL)
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_the_spine_leaves_every_file_that_others_read(finished):
    workdir, _ = finished
    for name in (
        "flags.cfg",
        "run.json",
        "splits.csv",
        "teachers/teacher_00.keras",
        "teachers/teacher_01.keras",
        "teachers/diagnosis.json",
        "teachers/diagnosis.md",
        "teachers/diagnosis.png",
        "bank/train/view_000_rows_0000000.f16",
        "search/history.csv",
        "search/candidates.json",
        "search/arch.json",
        "student/student.keras",
        "student/metrics.json",
        "baseline/baseline.keras",
        "export/saved_model/saved_model.pb",
        "export/student_float32.tflite",
        "export/student_int8.tflite",
        "export/labels.txt",
        "export/report.json",
        "report.md",
    ):
        assert (workdir / name).exists(), name
    assert not list(workdir.rglob(".partial-*"))


def test_the_student_fits_its_budget_and_arch_json_says_what_was_built(finished):
    workdir, _ = finished
    arch = json.loads((workdir / "search" / "arch.json").read_text())
    metrics = json.loads((workdir / "student" / "metrics.json").read_text())
    assert arch["cost"]["params"] == metrics["params"] <= 26000
    candidates = json.loads((workdir / "search" / "candidates.json").read_text())
    assert all(candidate["params"] <= 26000 for candidate in candidates)
    # The strategy's own, then as many random ones.
    assert [candidate["chosen"] for candidate in candidates] == [True, *[False] * 5]
    strategies = [candidate["spec"]["provenance"]["strategy"] for candidate in candidates]
    assert strategies == ["darts"] * 3 + ["random"] * 3
    assert metrics["epochs"] == 3
    assert set(metrics) == {"test", "val", "params", "epochs"}


def test_exports_agree_with_the_student(finished):
    workdir, _ = finished
    files = json.loads((workdir / "export" / "report.json").read_text())["files"]
    assert files["student_float32.tflite"]["agreement"] == 1.0
    assert files["saved_model"]["agreement"] == 1.0
    assert files["student_int8.tflite"]["agreement"] > 0.9


def test_reported_test_accuracy_is_that_of_the_exported_file(finished):
    workdir, _ = finished
    test = splits.carve(data.load("digits"), seed=0).test
    interpreter = ai_edge_litert.interpreter.Interpreter(str(workdir / "export" / "student_float32.tflite"))
    interpreter.allocate_tensors()
    right = 0
    for image, label in zip(test.images, test.labels, strict=True):
        interpreter.set_tensor(
            interpreter.get_input_details()[0]["index"], image[np.newaxis].astype(np.float32)
        )
        interpreter.invoke()
        right += interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).argmax() == label
    metrics = json.loads((workdir / "student" / "metrics.json").read_text())
    assert metrics["test"]["accuracy"] == pytest.approx(right / len(test))


def test_the_table_names_all_that_was_compared(finished):
    _, printed = finished
    for row in ("teacher 1", "teachers, mean", "vote", "oracle", "bare backbone", "student", "student_int8"):
        assert row in printed


def test_tensorboard_has_scalars_of_every_training_stage(finished):
    workdir, _ = finished
    from tensorboard.backend.event_processing import event_accumulator

    for folder, tags in (
        ("teachers/teacher_00", {"loss", "accuracy", "val_accuracy", "learning_rate"}),
        ("search", {"loss", "alpha_loss", "expected_params", "addon1/conv_3x3", "addon2/feed_back"}),
        ("student", {"loss", "val_loss"}),
        ("baseline", {"loss", "val_loss"}),
    ):
        accumulator = event_accumulator.EventAccumulator(
            str(workdir / "logs" / folder), size_guidance={"tensors": 0}
        )
        accumulator.Reload()
        assert tags <= set(accumulator.Tags()["tensors"]), folder
        assert len(accumulator.Tensors("loss")) >= 2, folder


def test_a_complete_run_repeated_by_its_own_flags_trains_nothing(finished):
    workdir, _ = finished
    before = (workdir / "student" / "student.keras").stat().st_mtime_ns
    again = run("search.py", f"--flagfile={workdir / 'flags.cfg'}")
    assert again.returncode == 0, again.stderr
    for stage in ("teachers", "bank", "search", "student", "baseline", "evaluate", "export"):
        assert f"{stage}: complete, not run again" in again.stdout
    assert (workdir / "student" / "student.keras").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_workdir_that_was_copied_is_still_complete_and_says_so_from_anywhere(finished, tmp_path):
    workdir, _ = finished
    shutil.copytree(workdir, tmp_path / "moved")
    again = subprocess.run(
        [sys.executable, ROOT / "tools" / "search.py", "--workdir=moved"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    for stage in ("teachers", "bank", "search", "student", "baseline", "evaluate", "export"):
        assert f"{stage}: complete, not run again" in again.stdout


@pytest.mark.slow
def test_a_stage_is_refused_when_what_it_needs_is_of_other_flags(finished):
    workdir, _ = finished
    refused = run("search.py", f"--workdir={workdir}", "--redo", "--seed=5", "--stages=student")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "student: needs the search stage, which ran with other inputs (--seed" in refused.stderr
    assert "--seed=0" in (workdir / "flags.cfg").read_text()


def test_another_flag_is_refused_in_a_used_workdir(finished):
    workdir, _ = finished
    refused = run("distill.py", f"--workdir={workdir}", "--student_epochs=4")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "--student_epochs is 3 there, 4 here" in refused.stderr


@pytest.mark.slow
def test_tools_work_on_files_from_elsewhere(finished, tmp_path):
    workdir, _ = finished
    flags = [
        flag for flag in SMALL if "teachers" not in flag and "backbone" not in flag and "search" not in flag
    ]
    distilled = run(
        "distill.py",
        f"--workdir={tmp_path / 'other'}",
        f"--arch={workdir / 'search' / 'arch.json'}",
        f"--teachers={workdir / 'teachers'}",
        "--nobaseline",
        *flags,
    )
    assert distilled.returncode == 0, distilled.stderr
    exported = run(
        "export.py", f"--workdir={tmp_path / 'out'}", f"--student={tmp_path / 'other/student/student.keras'}"
    )
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "out" / "export" / "student_int8.tflite").exists()


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (("--dataset=digts",), ("--dataset", "digits")),
        (("--max_params=100",), ("--max_params", "backbone")),
        (("--dataset=cifar100", "--data_dir=/nowhere"), ("--data_dir", "--download")),
        (("--teachers=missing.keras",), ("--teachers", "missing.keras")),
        (("lr=0.7",), ("lr=0.7", "two dashes")),
        (("--no_such_flag=1",), ("no_such_flag",)),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(tmp_path, flags, names):
    failed = run("search.py", f"--workdir={tmp_path / 'run'}", *flags)
    assert failed.returncode == 2
    assert failed.stderr.strip().count("\n") == 0, failed.stderr
    for name in names:
        assert name in failed.stderr
    assert not (tmp_path / "run").exists()
