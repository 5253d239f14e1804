"""tools/diagnose.py as a user runs it, on digits."""

import json
import pathlib
import subprocess
import sys

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]
SMALL = ("--dataset=digits", "--train_examples=256", "--val_examples=128")


def run(tool, *flags):
    """Runs a tool to its end and gives what it said."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / tool, *map(str, flags)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), ("--teachers: none given", "train_teachers.py")),
        (("--stages=teachers",), ("--stages", "stages of its own")),
        ((f"--student={__file__}", f"--teachers={__file__}"), ("--student", "leave it out")),
    ],
)
def test_what_it_cannot_do_it_says_at_once_in_one_line_and_leaves_nothing(tmp_path, flags, words):
    refused = run("diagnose.py", f"--workdir={tmp_path / 'run'}", *flags)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert all(word in refused.stderr for word in words)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_own_teachers_are_diagnosed_without_training_and_the_spine_goes_on_with_them(tmp_path):
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((8, 8, 1))
        network = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)))
        network.save(tmp_path / f"mine_{seed}.keras")
    given = f"--teachers={tmp_path / 'mine_1.keras'},{tmp_path / 'mine_2.keras'}"
    workdir = tmp_path / "run"
    first = run("diagnose.py", f"--workdir={workdir}", given, *SMALL)
    assert first.returncode == 0, first.stderr
    for word in (
        "teacher 2",
        "oracle",
        "underfit: ",
        "warning: teacher 1 is right on",
        f"diagnosis: {workdir}",
    ):
        assert word in first.stdout, word
    folder = workdir / "teachers"
    assert {path.name for path in folder.iterdir()} == {
        *("teacher_00.keras", "teacher_01.keras"),
        *("diagnosis.json", "diagnosis.md", "diagnosis.png"),
    }
    found = json.loads((folder / "diagnosis.json").read_text())
    assert found["examples"] == {"train": 256, "train_views": 256, "val": 128, "test": 360}
    # Again, by the workdir's own flags: what is there is shown, and nothing is done.
    changed = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = run("diagnose.py", f"--workdir={workdir}")
    assert again.returncode == 0, again.stderr
    data, table = again.stdout.strip().split("\n", 1)
    assert data.startswith("data: digits: ")
    assert all(shown in first.stdout for shown in (data, table))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == changed
    bank = run("search.py", f"--workdir={workdir}", "--stages=teachers,bank", "--views=1")
    assert bank.returncode == 0, bank.stderr
    assert "teachers: complete, not run again" in bank.stdout
