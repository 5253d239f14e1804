"""A run whose student hears of each training example only the teachers that did not train on it."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from okd_tf import files
from okd_tf.data import splits as carving
from okd_tf.pipeline import lessons
from okd_tf.pipeline.context import Context
from okd_tf.settings import Settings
from okd_tf.teachers import folds, teacher

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
DATA = ("--dataset=digits", "--train_examples=256", "--val_examples=64", "--batch_size=64")
SMALL = (
    *DATA,
    *("--num_teachers=3", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=6"),
    *("--views=2", "--backbone=resnet8", "--backbone_width=8", "--search_epochs=2", "--candidates=2"),
    *("--student_epochs=2", "--teacher_folds=2", "--held_out_only"),
    "--opponents=none",
)


def run(tool, *flags):
    return subprocess.run(
        [sys.executable, ROOT / "tools" / tool, *map(str, flags)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("held_out") / "run"
    done = run(
        "search.py",
        f"--workdir={workdir}",
        *SMALL,
        "--stages=teachers,bank,search,student",
        "--strategy=gumbel",
    )
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


@pytest.fixture(scope="module")
def training_ids(digits):
    return carving.carve(digits, seed=0, val_examples=64, train_examples=256).train.ids


def test_each_teacher_records_its_part_and_the_diagnosis_has_both_accuracies(finished, training_ids):
    workdir, printed = finished
    recorded = [folds.recorded(workdir / "teachers" / f"teacher_{index:02}.keras") for index in range(3)]
    assert recorded == folds.assigned(training_ids, 3, 2, seed=0)
    diagnosis = json.loads((workdir / "teachers" / "diagnosis.json").read_text())
    unseen, seen = (np.array(diagnosis["held_out"][name]) for name in ("per_teacher", "seen"))
    # Halves of 256: together they are what the training split's own figures say.
    np.testing.assert_allclose((unseen + seen) / 2, diagnosis["train"]["per_teacher"])
    assert "held out: right on training images not trained on: " in printed


def test_the_run_knows_what_its_teachers_have_seen(finished, training_ids):
    workdir, _ = finished
    chosen = Settings(
        workdir=str(workdir),
        train_examples=256,
        val_examples=64,
        batch_size=64,
        views=2,
        held_out_only=True,
        teacher_folds=2,
    )
    context = Context(chosen)
    part = folds.parts(training_ids, 2, seed=0)
    np.testing.assert_array_equal(context.teaching.seen, [part != 0, part != 1, part != 0])
    batch = next(iter(lessons.training_batches(context, "oracle", "student training").dataset(0, 1)))
    rows = np.searchsorted(training_ids, batch["id"])
    np.testing.assert_array_equal(batch["heard"], ~context.teaching.seen.T[rows])
    stored = context.teaching.bank.reader("train")(rows, batch["view"].numpy())
    np.testing.assert_array_equal(batch["teacher_logits"], stored)
    np.testing.assert_array_equal(context.teaching.bank.seen(), context.teaching.seen)


def test_teachers_given_to_another_run_keep_what_they_held_out(finished, tmp_path):
    workdir, _ = finished
    flags = (*DATA, f"--teachers={workdir / 'teachers'}", f"--arch={workdir / 'search' / 'arch.json'}")
    flags += ("--held_out_only", "--student_epochs=1", "--nobaseline", "--opponents=none", "--views=0")
    done = run("distill.py", f"--workdir={tmp_path / 'run'}", *flags)
    assert done.returncode == 0, done.stderr
    for index in range(3):
        name = f"teacher_{index:02}.json"
        assert (tmp_path / "run" / "teachers" / name).read_text() == (workdir / "teachers" / name).read_text()
    refused = run("distill.py", f"--workdir={tmp_path / 'other'}", *flags, "--split_seed=1")
    assert refused.returncode == 2
    assert refused.stderr.startswith("--held_out_only: ") or ": --held_out_only: " in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.exhaustive
def test_searches_are_compared_with_the_same_held_out_teachers(finished, tmp_path):
    workdir, _ = finished
    arms = tmp_path / "some.arms"
    arms.write_text("[random]\n--strategy=random\n")
    done = run("compare.py", f"--workdir={workdir}", f"--arms={arms}", "--trials=1")
    assert done.returncode == 0, done.stderr
    stages = json.loads((workdir / "arms" / "random" / "trial_0" / "stages.json").read_text())
    key = stages["search"]["key"]
    assert key["settings"]["held_out_only"] == "true"
    first = teacher.content_hash(workdir / "teachers" / "teacher_00.keras")
    assert key["files"]["teacher 1"] == first != files.sha256(workdir / "teachers" / "teacher_00.keras")
