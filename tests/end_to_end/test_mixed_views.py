"""A run whose teachers, search and student learn from mixed views, from the bank and live."""

import json
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    *("--dataset=digits", "--train_examples=256", "--val_examples=64", "--batch_size=64"),
    *("--num_teachers=2", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=4"),
    *("--views=2", "--backbone=resnet8", "--backbone_width=8", "--search_epochs=2", "--candidates=2"),
    *("--search_warmup_epochs=1", "--student_epochs=2", "--strategy=gumbel"),
    *("--teacher_mix=cutmix", "--mix=both", "--mix_probability=0.7", "--balance=sampling"),
    "--opponents=none",
)


def _run(workdir, *flags):
    command = [sys.executable, ROOT / "tools" / "search.py", f"--workdir={workdir}", *SMALL, *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("mixed") / "run"
    done = _run(workdir, "--stages=teachers,bank,search,student,baseline", "--check_bank=32")
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_the_bank_holds_what_teachers_say_of_the_mixed_views(finished):
    workdir, printed = finished
    assert "bank: 32 rows asked again" in printed
    key = json.loads((workdir / "bank" / "bank.json").read_text())["key"]
    assert key["the mixing of views"] == "Mixing(kind='both', probability=0.7, balanced=True)"


def test_views_that_are_mixed_otherwise_need_redo(finished):
    workdir, _ = finished
    refused = _run(workdir, "--mix_probability=0.6")
    assert refused.returncode == 2
    assert "--mix_probability is 0.7 there, 0.6 here" in refused.stderr


def test_live_teachers_are_asked_about_the_mixed_images(finished, tmp_path):
    workdir, _ = finished
    given = (f"--teachers={workdir / 'teachers'}", "--teacher_mix=none", "--views=0")
    done = _run(tmp_path / "live", *given, "--stages=teachers,search,student")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "live" / "student" / "student.keras").exists()
    assert not (tmp_path / "live" / "bank").exists()
