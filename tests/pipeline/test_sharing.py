"""Jobs are each done once, by whoever is free, and the run ends when all are done."""

import os
import threading
import time

import pytest

from okd_tf import claims, errors, files
from okd_tf.pipeline import sharing


class _Jobs:
    """Jobs that leave a file each; counts how often each is done."""

    def __init__(self, folder, count=3, work=lambda name: None):
        self.folder, self.done = folder, []
        self.claims = folder / claims.FOLDER
        self.jobs = [self._job(f"job {number}", work) for number in range(count)]

    def _job(self, name, work):
        path = self.folder / name

        def do():
            work(name)
            self.done.append(name)
            files.write_text(path, name)

        return sharing.Job(name, path.exists, do, (self.folder / f"{name}.csv",))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(sharing, "POLL_SECONDS", 0.01)


def _complete(made):
    sharing.complete("title", made.claims, made.jobs)


def _join(made, is_wanted=lambda: True):
    return sharing.join("title", made.claims, made.jobs, is_wanted)


def test_alone_it_does_all_in_their_order_says_nothing_and_leaves_no_claims(tmp_path, capsys):
    made = _Jobs(tmp_path / "new")
    _complete(made)
    assert made.done == ["job 0", "job 1", "job 2"]
    assert sorted(os.listdir(tmp_path / "new")) == made.done
    _complete(made)
    assert len(made.done) == 3
    assert capsys.readouterr().out == ""


def test_a_run_and_who_joins_do_each_job_once(tmp_path):
    both, begun, joined = threading.Barrier(2, timeout=30), set(), []

    def work(name):
        if threading.get_ident() not in begun:
            begun.add(threading.get_ident())
            both.wait()

    made = _Jobs(tmp_path, 12, work)
    helper = threading.Thread(target=lambda: joined.extend(_join(made)))
    made.claims.mkdir()
    helper.start()
    _complete(made)
    helper.join()
    assert sorted(made.done) == sorted(job.name for job in made.jobs)
    assert 0 < len(joined) < 12


def test_a_run_waits_for_the_others_and_says_for_whom_and_how_far_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sharing, "REMIND_SECONDS", 0.05)
    made = _Jobs(tmp_path)
    (tmp_path / "job 1.csv").write_text("epoch,step,seconds\n1,5,0.5\n2,10,0.5\n")
    with claims.Claims(made.claims).take("job 1"):
        run = threading.Thread(target=_complete, args=[made])
        run.start()
        time.sleep(0.3)
        assert run.is_alive()
        assert made.done == ["job 0", "job 2"]
        made.jobs[1].work()
    run.join(10)
    assert not run.is_alive()
    assert made.done == ["job 0", "job 2", "job 1"]
    lines = capsys.readouterr().out.splitlines()
    who = f"process {os.getpid()} on {os.uname().nodename}"
    assert lines[0] == f"title: waiting for job 1 ({who}; 2 epochs done)"
    assert lines[1].startswith(f"{lines[0]}, since ")


def test_a_run_takes_over_what_somebody_who_is_gone_has_left(tmp_path, capsys):
    made = _Jobs(tmp_path)
    made.claims.mkdir()
    (made.claims / "job_1").write_text(
        '{"host": "other", "pid": 5, "machine": "m", "started": "1", "token": "t"}'
    )
    os.utime(made.claims / "job_1", (1, 1))
    _complete(made)
    assert made.done == ["job 0", "job 1", "job 2"]
    assert (
        capsys.readouterr().out == "title: job 1: taken over from process 5 on other, not heard of any more\n"
    )


def test_what_fails_elsewhere_is_the_run_s_to_do_and_what_fails_here_surfaces(tmp_path):
    def fail(name):
        if name == "job 1":
            raise errors.UserError("--flag: no")

    made = _Jobs(tmp_path, work=fail)
    made.claims.mkdir()
    for share in (_join, _complete):
        with pytest.raises(errors.UserError, match="--flag: no"):
            share(made)
        assert claims.Claims(made.claims).holder("job 1") is None
    assert made.done == ["job 0"]


def test_a_job_that_was_lost_is_left_to_who_has_it_and_its_result_awaited(tmp_path, capsys):
    def lose(name):
        if name == "job 0" and not others:
            (made.claims / "job_0").unlink()
            others.append(claims.Claims(made.claims).take("job 0"))
            others[0].__enter__()
            threading.Timer(0.2, others[0].__exit__).start()

    others, made = [], _Jobs(tmp_path, work=lose)
    _complete(made)
    # The other left without a result.
    assert made.done == ["job 0", "job 1", "job 2", "job 0"]
    assert (tmp_path / "job 0").exists()
    assert "title: job 0: another process has taken over" in capsys.readouterr().out


class _Lead:
    """The lead of two workers, of whom the other does nothing."""

    size = 2

    def lead(self, work):
        return work()

    def agree(self, decide):
        return decide()


def test_many_workers_wait_for_others_as_one_does(tmp_path):
    made = _Jobs(tmp_path)
    made.claims.mkdir()
    other = claims.Claims(made.claims).take("job 0")
    other.__enter__()
    threading.Timer(0.2, other.__exit__).start()
    sharing.complete("title", made.claims, made.jobs, _Lead())
    assert made.done == ["job 0", "job 1", "job 2"]
    assert not made.claims.exists()


def test_a_job_that_many_workers_have_lost_is_written_by_none_of_them(tmp_path):
    made = _Jobs(tmp_path, work=lambda name: claims.remove(made.claims))
    with pytest.raises(errors.UserError, match=r"^title: job 0: another process has taken over.*; the same"):
        sharing.complete("title", made.claims, made.jobs, _Lead())
    assert not (tmp_path / "job 0").exists()


def test_who_joins_leaves_when_others_do_all_that_is_left(tmp_path):
    made = _Jobs(tmp_path)
    made.claims.mkdir()
    with claims.Claims(made.claims).take("job 1"):
        assert _join(made) == ["job 0", "job 2"]
        assert _join(made) == []
        assert (
            sharing.others(made.claims, made.jobs)
            == f"job 1 (process {os.getpid()} on {os.uname().nodename})"
        )
    assert sharing.others(made.claims, made.jobs) == ""


def test_who_joins_stops_when_its_jobs_are_not_wanted_any_more(tmp_path):
    made = _Jobs(tmp_path)
    made.claims.mkdir()
    assert _join(made, lambda: len(made.done) < 2) == ["job 0", "job 1"]


def test_who_joins_makes_the_folder_of_the_jobs_only_where_they_are_wanted(tmp_path):
    made = _Jobs(tmp_path / "new", count=1)
    assert _join(made, lambda: False) == []
    assert not made.folder.exists()
    assert _join(made) == ["job 0"]


def test_a_job_that_is_not_wanted_any_more_when_it_is_claimed_is_left(tmp_path):
    made, wanted = _Jobs(tmp_path), iter([True, False, False])
    assert _join(made, lambda: next(wanted)) == []
    assert made.done == []
    assert claims.Claims(made.claims).holder("job 0") is None
