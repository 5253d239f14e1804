"""Several processes share the teachers of one run, one of them is killed, and the teachers are the same."""

import json
import pathlib
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from okd_tf import claims

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    *("--dataset=digits", "--train_examples=256", "--val_examples=64", "--batch_size=64"),
    *("--num_teachers=3", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=4"),
    "--checkpoint_seconds=0",
)
pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


def command(workdir, *flags):
    return [sys.executable, ROOT / "tools" / "train_teachers.py", f"--workdir={workdir}", *flags]


@pytest.fixture
def start(tmp_path):
    """Starts the tool in a workdir; what it says is in a file of its name. It is gone when the test is."""
    started = []

    def run(name, *flags):
        with (tmp_path / name).open("w") as said:
            process = subprocess.Popen(
                command(tmp_path / "run", *flags), stdout=said, stderr=subprocess.STDOUT
            )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_until(happens):
    deadline = time.monotonic() + 300
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hold_back(process, until):
    """Lets a process do next to nothing until something happens, but show that it is alive."""
    while not until():
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)


def claimed(workdir, process):
    """The names of the claims of a process."""
    found = []
    for path in (workdir / "teachers" / claims.FOLDER).glob("teacher*"):
        try:
            if json.loads(path.read_text())["pid"] == process.pid:
                found.append(path.name)
        except (OSError, ValueError):
            pass  # it is just being made or removed
    return found


def is_in_teachers_stage(workdir):
    path = workdir / "stages.json"
    return path.exists() and "teachers" in json.loads(path.read_text())


def weights(workdir, index):
    with zipfile.ZipFile(workdir / "teachers" / f"teacher_{index:02}.keras") as file:
        return file.read("model.weights.h5")


def figures(workdir, index):
    """The history of a teacher but for its times."""
    lines = (workdir / "teachers" / f"history_{index:02}" / "history.csv").read_text().splitlines()
    return [line.split(",")[:2] + line.split(",")[3:] for line in lines]


def test_teachers_of_a_run_and_two_who_joined_of_whom_one_was_killed_are_those_of_a_run_alone(
    start, tmp_path
):
    alone, workdir = tmp_path / "alone", tmp_path / "run"
    done = subprocess.run(command(alone, *SMALL), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    # A run that is killed at its first teacher, or before.
    first = start("first.txt", *SMALL)
    wait_until(lambda: is_in_teachers_stage(workdir))
    first.kill()
    first.wait()

    # Who joins then is killed in the middle of a teacher.
    killed = start("killed.txt", "--join")
    checkpoints = workdir / "teachers" / "history_00" / "checkpoints"
    wait_until(lambda: claimed(workdir, killed) and len(list(checkpoints.glob("step_*"))) == 2)
    killed.kill()
    killed.wait()
    assert claimed(workdir, killed) == ["teacher_1"]

    # The run takes over what it left, and somebody else has come.
    run = start("run.txt")
    wait_until(lambda: claimed(workdir, run))
    joined = start("joined.txt", "--join")
    hold_back(run, lambda: claimed(workdir, joined))
    assert joined.wait(300) == 0
    assert run.wait(300) == 0

    said = {name: (tmp_path / f"{name}.txt").read_text() for name in ("run", "joined")}
    assert f"teachers: teacher 1: taken over from process {killed.pid} on " in said["run"]
    assert "teacher 1 of 3 (resnet8): going on from step" in said["run"]
    assert "teacher 2 of 3 (resnet8): done" in said["joined"]
    assert f"joined {workdir}: did teacher 2" in said["joined"]
    for index in range(3):
        assert weights(workdir, index) == weights(alone, index)
        assert figures(workdir, index) == figures(alone, index)
    assert not list(workdir.rglob(".partial-*"))
    assert not (workdir / "teachers" / claims.FOLDER).exists()
    assert json.loads((workdir / "stages.json").read_text())["teachers"]["complete"]
    commands = json.loads((workdir / "run.json").read_text())["commands"]
    assert not [one for one in commands if "--join" in one["arguments"]]

    late = subprocess.run(command(workdir, "--join"), capture_output=True, text=True, check=False)
    assert late.returncode == 2
    assert late.stderr.startswith(f"error: --join: nothing to do in {workdir}: ")
    assert late.stderr.count("\n") == 1
