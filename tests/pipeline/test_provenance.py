"""Where results come from."""

import subprocess

import pytest

import okd_tf
from okd_tf.pipeline import provenance


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--flagfile=configs/a.cfg", "--trials=3"], "--flagfile=configs/a.cfg --trials=3"),
        (["--workdir=/home/me/runs/a", "--data_dir=/data/tfds"], "--workdir=a --data_dir=/data/tfds"),
        (["--workdir", "/home/me/a/", "--data_dir", "/data"], "--workdir a --data_dir /data"),
        (["--teachers=/x/a.keras,/y/b.keras"], "--teachers=a.keras,b.keras"),
        (
            ["--only=a*", "--redo", "--noredo", "--trials=3", "--only", "a b", "--x=1"],
            "--trials=3 --x=1",
        ),
        (["--reference=a b"], "'--reference=a b'"),
    ],
)
def test_a_command_has_no_paths_of_a_machine_but_those_that_stay(arguments, expected):
    found = provenance.command("tools/compare.py", arguments, without=("only", "redo"))
    assert found == f"python tools/compare.py {expected}"


def test_a_path_inside_the_working_directory_is_relative_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance.command("t", [f"--json={tmp_path}/a/b.json"]) == "python t --json=a/b.json"


def _git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_commit_is_that_of_the_checkout_and_says_if_its_code_has_changed(tmp_path, monkeypatch):
    (tmp_path / "okd_tf").mkdir()
    (tmp_path / "okd_tf" / "__init__.py").write_text("")
    monkeypatch.setattr(okd_tf, "__file__", str(tmp_path / "okd_tf" / "__init__.py"))
    assert provenance.commit() == ""
    _git(tmp_path, "init", "-q")
    assert provenance.commit() == ""
    _git(tmp_path, "add", "-A")
    _git(tmp_path, "commit", "-qm", "first")
    commit = _git(tmp_path, "rev-parse", "HEAD")
    assert provenance.commit() == commit
    # What is no code, such as results that are being written, is not of the commit's concern.
    (tmp_path / "results.json").write_text("{}")
    assert provenance.commit() == commit
    (tmp_path / "okd_tf" / "__init__.py").write_text("changed = 1")
    assert provenance.commit() == f"{commit}+changes"


def test_the_processor_has_a_name():
    assert provenance.processor()
