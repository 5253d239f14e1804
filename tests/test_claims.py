"""A job is one process's at a time, whatever becomes of the process."""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from okd_tf import claims, errors, files

HOLD = """
import sys, time
from okd_tf import claims
with claims.Claims(sys.argv[1], float(sys.argv[2])).take("job"):
    print("held", flush=True)
    time.sleep(60)
"""
RACE = """
import sys, time
from okd_tf import claims
held = claims.Claims(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(*(job for job in range(50) if held.take(str(job))), flush=True)
sys.stdin.readline()
"""
FOREVER = 1000.0


@pytest.fixture
def folder(tmp_path):
    return tmp_path / claims.FOLDER


@pytest.fixture
def start():
    """Starts a process; it is gone when the test is."""
    started = []

    def run(script, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _of_another_host(folder, job="job", age=0.0):
    """Leaves the claim of a process of another host, touched so many seconds ago."""
    folder.mkdir(exist_ok=True)
    other = claims.Holder("elsewhere", 7, "elsewhere", "1", "token")
    (folder / job).write_text(json.dumps(vars(other)))
    then = time.time() - age
    os.utime(folder / job, (then, then))


def test_a_claim_keeps_others_out_until_it_is_released(folder):
    with claims.Claims(folder).take("job") as claim:
        assert claims.Claims(folder).take("job") is None
        holder = claims.Claims(folder).holder("job")
        assert (holder.pid, str(holder)) == (os.getpid(), f"process {os.getpid()} on {os.uname().nodename}")
        claim.check()
        with claims.Claims(folder).take("another job"):
            pass
    assert claims.Claims(folder).holder("job") is None
    with claims.Claims(folder).take("job") as claim:
        assert claim.before is None


def test_a_claim_is_released_whatever_ends_the_work(folder):
    with pytest.raises(KeyboardInterrupt), claims.Claims(folder).take("job"):
        raise KeyboardInterrupt
    assert claims.Claims(folder).holder("job") is None


def test_of_many_processes_exactly_one_gets_each_job(folder, start):
    racing = [start(RACE, folder) for _ in range(3)]
    for process in racing:
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [job for process in racing for job in process.stdout.readline().split()]
    assert sorted(won, key=int) == list(map(str, range(50)))


def test_of_many_that_find_a_claim_over_exactly_one_takes_its_place(folder):
    barrier = threading.Barrier(8)

    def take(job):
        barrier.wait()
        return claims.Claims(folder, seconds=30.0).take(job)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            _of_another_host(folder, f"job_{round_}", age=31.0)
            taken = [claim for claim in pool.map(take, [f"job {round_}"] * 8) if claim]
            assert len(taken) == 1
            assert taken[0].before.host == "elsewhere"


def test_a_claim_of_another_host_is_over_when_it_was_not_touched_for_long(folder):
    _of_another_host(folder, age=29.0)
    assert claims.Claims(folder, seconds=30.0).take("job") is None
    _of_another_host(folder, age=31.0)
    assert claims.Claims(folder, seconds=30.0).holder("job") is None
    with claims.Claims(folder, seconds=30.0).take("job") as claim:
        assert str(claim.before) == "process 7 on elsewhere"


def test_a_heartbeat_keeps_a_claim_from_growing_old(folder):
    with claims.Claims(folder, seconds=0.6).take("job"):
        for _ in range(2):
            os.utime(folder / "job", (1, 1))
            deadline = time.monotonic() + 30
            while (folder / "job").stat().st_mtime == 1:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert claims.Claims(folder, seconds=30.0).take("job") is None


def test_the_claim_of_a_killed_process_of_this_host_is_over_at_once(folder, start):
    process = start(HOLD, folder, FOREVER)
    assert claims.Claims(folder, FOREVER).holder("job").pid == process.pid
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not buried by its parent
    assert claims.Claims(folder, FOREVER).holder("job") is None
    process.wait()
    with claims.Claims(folder, FOREVER).take("job") as claim:
        assert claim.before.pid == process.pid


def test_a_later_process_of_the_same_number_is_not_taken_for_the_holder(folder):
    with claims.Claims(folder, FOREVER).take("job"):
        said = json.loads((folder / "job").read_text())
        (folder / "job").write_text(json.dumps({**said, "started": "1"}))
        assert claims.Claims(folder, FOREVER).holder("job") is None


def test_a_process_that_was_suspended_for_long_finds_its_claim_lost(folder, start):
    process = start(HOLD, folder, 0.3)
    os.kill(process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while (claim := claims.Claims(folder, 0.3).take("job")) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert claim.before.pid == process.pid


def test_who_has_lost_a_claim_writes_nothing_more_and_leaves_the_new_one(folder, tmp_path):
    with claims.Claims(folder).take("job") as mine:
        (folder / "job").unlink()
        with claims.Claims(folder).take("job") as another:
            with files.owned(mine.check):
                for write in (
                    lambda: files.write_text(tmp_path / "result", "mine"),
                    lambda: files.append_line(tmp_path / "result", "mine"),
                    lambda: files.remove(folder),
                    lambda: files.set_aside(folder),
                ):
                    with pytest.raises(claims.LostError):
                        write()
            assert not (tmp_path / "result").exists()
            mine.__exit__()
            another.check()


def test_a_claim_that_goes_with_its_folder_is_lost_and_is_not_made_again(tmp_path):
    folder = tmp_path / "stage" / claims.FOLDER
    folder.parent.mkdir()
    with claims.Claims(folder, seconds=0.12).take("job") as claim:
        folder.parent.rename(tmp_path / "aside")
        with pytest.raises(claims.LostError):
            claim.check()
        time.sleep(0.1)
        assert claims.Claims(folder).take("job") is None
        assert claims.Claims(folder).holder("job") is None
    assert not folder.parent.exists()


def test_claims_that_are_ended_are_lost_while_others_come_and_go(folder):
    ended = threading.Event()

    def come_and_go(number):
        while not ended.is_set():
            claim = claims.Claims(folder).take(f"job {number}")
            if claim:
                with claim:
                    pass

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        coming = [pool.submit(come_and_go, number) for number in range(3)]
        for _ in range(10):
            with claims.Claims(folder).take("mine") or pytest.fail("not taken") as claim:
                claims.remove(folder)
                with pytest.raises(claims.LostError):
                    claim.check()
        ended.set()
        for one in coming:
            one.result()
    claims.remove(folder)
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"pid": "x"}', '{"pid": 1}', "null"])
def test_a_claim_that_cannot_be_read_counts_until_it_is_old(folder, content):
    folder.mkdir()
    (folder / "job").write_text(content)
    assert claims.Claims(folder).take("job") is None
    assert str(claims.Claims(folder).holder("job")) == "another process"
    os.utime(folder / "job", (1, 1))
    with claims.Claims(folder).take("job") as claim:
        assert str(claim.before) == "another process"


def test_a_claim_that_cannot_be_made_is_refused_by_its_name(tmp_path):
    (tmp_path / claims.FOLDER).write_text("")
    with pytest.raises(
        errors.UserError, match=f"cannot write {tmp_path / claims.FOLDER / 'job'}: File exists"
    ):
        claims.Claims(tmp_path / claims.FOLDER).take("job")
