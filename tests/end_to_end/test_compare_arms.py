"""tools/compare.py as a user runs it, on digits."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOOL = (sys.executable, ROOT / "tools" / "compare.py")
COMMON = (
    *("--dataset=digits", "--train_examples=128", "--val_examples=64", "--batch_size=64"),
    *("--num_teachers=2", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=1"),
    *("--views=2", "--backbone=resnet8", "--backbone_width=8", "--strategy=none", "--student_epochs=4"),
    "--checkpoint_steps=1",
)
ARMS = """
# Two losses, and a search.
[labels]
--train_loss=ce

[mean mixed]
--train_loss=mean
--mix=cutmix

[searched]
--strategy=random
--search_epochs=2
--candidates=2
--max_params=26000
"""


def run(*flags):
    """Runs the tool to its end and gives what it said."""
    return subprocess.run([*TOOL, *map(str, flags)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    path = tmp_path_factory.mktemp("arms") / "some.arms"
    path.write_text(ARMS)
    return path


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--arms=",), "--arms: none given"),
        (("--reference=label",), "--reference: unknown name 'label'; did you mean labels?"),
        (("--only=resnet*",), "--only: resnet* matches no arm; there are labels, mean mixed, searched"),
        (("--only_trial=3",), "--only_trial: 3 is none of --trials=3, which are counted from 0"),
        (("--trials=0",), "--trials"),
        (("--trial=1",), "--trial: --trials says how many"),
        (("--bank=b",), "--bank: the bank of each --views and --mix is made in --workdir"),
        (("--check_bank=2",), "--check_bank: "),
        (("--student=s.keras",), "--student: "),
        (("--join",), "--join: start the same command a second time"),
        (("--stages=student",), "--stages: "),
        (("--json=results.txt",), "--json: results.txt does not end in .json"),
        (("--page_only",), "--page_only: of which results? name them by --json"),
        (("--page_only", "--json=nowhere.json"), "nowhere.json: no such file"),
    ],
)
def test_what_cannot_be_used_is_one_line_at_once(arms, tmp_path, flags, expected):
    refused = run(f"--workdir={tmp_path / 'run'}", f"--arms={arms}", *COMMON, *flags)
    assert refused.returncode == 2
    assert expected in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_arms_are_compared_after_a_kill_and_the_page_is_made_of_the_results_alone(arms, tmp_path):
    workdir, results = tmp_path / "run", tmp_path / "results" / "some.json"
    command = (f"--workdir={workdir}", f"--arms={arms}", f"--json={results}", "--trials=1", *COMMON)
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen([*TOOL, *command], stdout=out, stderr=out) as killed:
        deadline = time.monotonic() + 600
        # Where there is something to go on from.
        while not list(workdir.glob("arms/mean_mixed/trial_0/student/checkpoints/step_*/manifest.json")):
            assert time.monotonic() < deadline
            assert killed.poll() is None, log.read_text()
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
    # What had finished before is in the file.
    partial = json.loads(results.read_text())
    assert partial["missing"] == [["mean mixed", 0], ["searched", 0]]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "compare: 1 of 3 trainings done" in done.stdout
    assert "student (mean): going on from step" in done.stdout
    found = json.loads(results.read_text())
    assert found["missing"] == []
    assert found["arms"]["labels"] == partial["arms"]["labels"]
    (searched,) = found["arms"]["searched"]["trials"]
    assert 20_000 < searched["params"] <= 26_000
    assert searched["search_seconds"] > 0
    # Two epochs of two steps of 64 images.
    assert searched["search_images"] == 256
    assert 0 <= searched["shared_val_accuracy"] <= 1
    assert found["teachers"] == partial["teachers"]
    told = "python tools/compare.py --workdir=run --arms=some.arms --json=some.json --trials=1 "
    assert found["command"].startswith(told)
    assert not list((workdir / "arms").rglob("teacher_*.keras"))
    page = results.with_suffix(".md")
    text = page.read_text(encoding="utf-8")
    page.unlink()
    results.with_suffix(".png").unlink()
    again = run("--page_only", f"--json={results}")
    assert again.returncode == 0, again.stderr
    assert page.read_text(encoding="utf-8") == text
    assert results.with_suffix(".png").exists()
    other = run("--page_only", f"--json={results}", "--reference=searched")
    assert other.returncode == 0, other.stderr
    assert "the same trials of `searched`" in page.read_text(encoding="utf-8")
    # Of the next trial one arm alone.
    part = run(*command, "--trials=2", "--only=lab*", "--only_trial=1")
    assert part.returncode == 0, part.stderr
    found = json.loads(results.read_text())
    assert [row["seed"] for row in found["arms"]["labels"]["trials"]] == [0, 1]
    assert found["missing"] == [["mean mixed", 1], ["searched", 1]]
