"""The comparison of strategies as a user runs it, on digits."""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import stats

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    *("--dataset=digits", "--train_examples=128", "--val_examples=64", "--batch_size=64"),
    *("--num_teachers=2", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=1"),
    *("--views=2", "--backbone=resnet8", "--backbone_width=8", "--search_epochs=2", "--candidates=2"),
    *("--max_params=26000", "--student_epochs=1", "--controller_updates=1", "--controller_children=2"),
    *("--ops=identity,conv_3x3,max_pool_3x3", "--trials=1", "--sample=2"),
)
pytestmark = pytest.mark.slow
WHO = ["darts", "gumbel", "reinforce", "random"]


def run(*flags):
    """Runs the tool to its end and gives what it said."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "compare_strategies.py", *flags],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(workdir, what was printed) of one comparison."""
    workdir = tmp_path_factory.mktemp("compare") / "run"
    done = run(f"--workdir={workdir}", *SMALL)
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_every_strategy_and_the_bare_backbone_have_a_row(finished):
    workdir, printed = finished
    found = json.loads((workdir / "compare" / "comparison.json").read_text())
    assert [row["who"] for row in found["results"]] == [*WHO, "bare backbone"]
    for row in found["results"]:
        assert row["params"] <= 26000
        assert 0 <= row["test_accuracy"] <= 1
        metrics = json.loads((workdir / row["folder"] / "student" / "metrics.json").read_text())
        assert metrics["val"]["last"]["accuracy"] == row["val_accuracy"]
        assert metrics["test"]["accuracy"] == row["test_accuracy"]
        assert row["who"] in printed
    assert (workdir / "compare" / "comparison.md").exists()
    assert (workdir / "compare" / "comparison.png").exists()


def test_the_sample_is_scored_by_every_search_and_correlated(finished):
    workdir, _ = finished
    found = json.loads((workdir / "compare" / "comparison.json").read_text())
    trained = [row["val_accuracy"] for row in found["sample"]]
    for row in found["results"][:-1]:
        assert len(row["sample_shared_val_accuracy"]) == len(trained) == 2
        tau = stats.kendalltau(row["sample_shared_val_accuracy"], trained).statistic
        # Of equal accuracies there is no rank correlation.
        assert row["kendall_tau"] == (None if np.isnan(tau) else pytest.approx(tau))


def test_cost_is_counted_in_images(finished):
    workdir, _ = finished
    found = json.loads((workdir / "compare" / "comparison.json").read_text())
    images = {row["who"]: row.get("search_images") for row in found["results"]}
    steps, batch = 2 * 2, 64
    assert images["random"] == steps * batch
    assert images["darts"] == images["gumbel"] == 2 * steps * batch
    # Two epochs, each with one update of two networks on a batch of 64.
    assert images["reinforce"] == steps * batch + 2 * 2 * 64
    assert images["bare backbone"] is None


def test_all_use_the_same_teachers_and_nothing_is_done_twice(finished):
    workdir, _ = finished
    assert not list((workdir / "compare").rglob("teacher_*.keras"))
    before = {path: path.stat().st_mtime_ns for path in (workdir / "compare").rglob("*.keras")}
    again = run(f"--workdir={workdir}", "--trials=1", "--sample=2")
    assert again.returncode == 0, again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (workdir / "compare").rglob("*.keras")}


@pytest.mark.exhaustive
def test_what_a_comparison_says_is_the_same_when_another_process_has_joined_it(finished, tmp_path):
    workdir, flags = tmp_path / "run", ("--strategies=random", "--trials=1", "--sample=2")
    tool = [sys.executable, ROOT / "tools" / "compare_strategies.py", f"--workdir={workdir}"]
    with subprocess.Popen([*tool, *SMALL, *flags], stdout=subprocess.DEVNULL) as comparing:
        deadline = time.monotonic() + 300
        while not (workdir / "stages.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        joined = run(f"--workdir={workdir}", "--join")
        assert comparing.wait(300) == 0
    assert joined.returncode == 0, joined.stderr
    did = joined.stdout.strip().splitlines()[-1]
    assert did.startswith(f"joined {workdir}: did ")
    assert any(name in did for name in ("sample/00", "sample/01", "random/trial_0", "bare_backbone/trial_0"))
    found, alone = (
        json.loads((one / "compare" / "comparison.json").read_text()) for one in (workdir, finished[0])
    )
    assert found["sample"] == alone["sample"]
    for row in (*found["results"], *alone["results"]):
        row.pop("search_seconds", None)
    assert found["results"] == [row for row in alone["results"] if row["who"] in ("random", "bare backbone")]
    assert (
        "--strategies: is as the run that --join helps has it"
        in run(f"--workdir={workdir}", "--join", "--strategies=random").stderr
    )
    assert run(f"--workdir={workdir}", "--join").stderr == (
        f"error: --join: nothing to do in {workdir}: all is done that can be shared; the run itself is "
        "started without it\n"
    )


def test_what_was_compared_is_not_replaced_unasked(finished):
    workdir, _ = finished
    done = run(f"--workdir={workdir}", "--trials=1", "--sample=2", "--student_epochs=2")
    assert done.returncode == 2
    assert "--redo" in done.stderr.strip().splitlines()[-1]
    assert "--student_epochs" in done.stderr


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--strategies=drats", "darts"),
        ("--strategies=", "--strategies"),
        ("--trials=0", "--trials"),
        ("--max_params=5", "--max_params"),
        ("--arch=some.json", "--arch"),
        ("--trial=1", "--trials"),
        ("--strategies=darts,darts", "twice"),
        ("--search_warmup_epochs=2", "--search_epochs=2"),
    ],
)
def test_what_cannot_be_used_is_one_line(flag, expected, tmp_path):
    done = run(f"--workdir={tmp_path / 'run'}", *SMALL, flag)
    assert done.returncode == 2
    assert expected in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "compare").exists()
