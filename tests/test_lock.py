"""One run at a time in a workdir."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from okd_tf import errors, lock

HOLD = """
import sys, time
from okd_tf import lock
with lock.holding(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the workdir."""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def _refusal(workdir):
    with pytest.raises(errors.UserError) as refusal, lock.holding(workdir):
        pass
    return str(refusal.value)


def test_a_second_run_is_refused_and_told_who_is_there(holder, tmp_path):
    assert f"{tmp_path} is in use by process {holder.pid} on " in _refusal(tmp_path)
    holding = json.loads((tmp_path / lock.HOLDER).read_text())
    assert holding["command"] == ["-c", str(tmp_path)]


def test_a_second_run_takes_over_when_the_first_is_dead(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / lock.HOLDER).exists()
    with lock.holding(tmp_path):
        assert json.loads((tmp_path / lock.HOLDER).read_text())["pid"] == os.getpid()
    assert not (tmp_path / lock.HOLDER).exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": [], "host": 1}', '{"pid": "a", "host": "b"}'])
def test_a_second_run_is_refused_whatever_is_written_of_the_first(holder, tmp_path, content):
    (tmp_path / lock.HOLDER).write_text(content)
    assert f"{tmp_path} is in use by another run" in _refusal(tmp_path)


def test_folders_that_nothing_was_put_in_are_gone_after(tmp_path):
    with lock.holding(tmp_path / "new" / "run"):
        assert (tmp_path / "new" / "run").is_dir()
    assert not (tmp_path / "new").exists()


def test_a_workdir_stays_that_something_was_put_in_or_that_was_there(tmp_path):
    (tmp_path / "there").mkdir()
    with lock.holding(tmp_path / "there"):
        pass
    assert (tmp_path / "there").exists()
    with lock.holding(tmp_path / "new"):
        (tmp_path / "new" / "flags.cfg").write_text("")
    assert (tmp_path / "new" / "flags.cfg").exists()


def test_an_error_within_is_not_taken_for_one_of_the_lock(tmp_path):
    with pytest.raises(FileNotFoundError), lock.holding(tmp_path):
        pathlib.Path(tmp_path / "missing").read_text()


def test_a_workdir_that_cannot_be_made_is_refused_by_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    assert f"cannot write {tmp_path / 'file' / 'run'}: Not a directory" in _refusal(tmp_path / "file" / "run")
