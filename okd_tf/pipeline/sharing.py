"""Independent jobs, distributed over the processes that share a workdir.

The run itself does all jobs that no other process does, and waits for the others. A process that joins does
free jobs and ends. A job's results are the same in every process.
"""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable

from okd_tf import claims, errors, files, progress
from okd_tf.training import history

POLL_SECONDS = 1.0
REMIND_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Job:
    """An independent job.

    Attributes:
        name: its name on screen and in its claim (lease).
        is_done: function () -> whether its results exist.
        work: function that makes the results; it resumes where a process that is gone has stopped.
        histories: files that grow by one row with each finished epoch of the job.
    """

    name: str
    is_done: Callable[[], bool]
    work: Callable[[], None]
    histories: tuple[pathlib.Path, ...] = ()

    def progress(self):
        """Return the job's progress in a few words, or ""."""
        epochs = sum(len(history.read(path)) for path in self.histories)
        return f"{epochs} epochs done" if epochs else ""


def complete(title, folder, jobs, workers=None):
    """Do all jobs in order, except those that other processes do, and wait for these: then all are done.

    Args:
        title: start of the lines on screen.
        folder: folder of the claims (leases); removed at the end.
        jobs: a list of `Job`.
        workers: the group of workers that executes each job together; None is this process alone.

    Raises:
        UserError: as a job raises it; a job that failed in another process is tried here in its turn.
    """
    folder = pathlib.Path(folder)
    held = claims.Claims(folder)
    if workers and workers.size > 1:
        for job in jobs:
            _together(title, folder, job, workers)
        workers.lead(lambda: claims.remove(folder))
        return
    while left := [job for job in jobs if not job.is_done()]:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if all(_attempt(title, held, job) is None for job in left):
            _wait(title, held, left)
    claims.remove(folder)


def join(title, folder, jobs, is_wanted):
    """Do jobs that no other process does until there are none.

    Args:
        title: start of the lines on screen.
        folder: folder of the claims (leases).
        jobs: a list of `Job`.
        is_wanted: function () -> whether the run still needs these jobs; called before each.

    Returns:
        The names of the jobs done here.

    Raises:
        UserError: as a job raises it.
    """
    held, done = claims.Claims(folder), []
    taken = True
    while taken:
        taken = False
        for job in jobs:
            if not is_wanted():
                return done
            if not job.is_done():
                pathlib.Path(folder).parent.mkdir(exist_ok=True)
                said = dataclasses.replace(job, work=functools.partial(_say_and_do, title, job))
                worked = _attempt(title, held, said, is_wanted)
                taken = taken or worked is not None
                done += [job.name] * bool(worked)
    return done


def others(folder, jobs):
    """Return in words the jobs that other processes are doing, and these processes; "" without any."""
    held = claims.Claims(folder)
    there = ((job, held.holder(job.name)) for job in jobs if not job.is_done())
    return ", ".join(f"{job.name} ({holder})" for job, holder in there if holder)


def _together(title, folder, job, workers):
    """Run a job on all workers while the chief holds its claim, or wait until another process has done it.

    Raises:
        UserError: the claim was lost while the job ran.
    """
    held = claims.Claims(folder)

    def own():
        folder.parent.mkdir(parents=True, exist_ok=True)
        while not job.is_done():
            claim = held.take(job.name)
            if claim is not None:
                return claim
            _wait(title, held, [job])
        return None

    claim = workers.lead(own)
    if claim is None:  # of who does not lead; or nothing is left to do
        if not workers.agree(job.is_done):
            job.work()
        return
    try:
        with claim, files.owned(claim.check):
            if not workers.agree(job.is_done):
                job.work()
    except claims.LostError as lost:
        # The others are in the middle of it, and cannot be led to another job.
        raise errors.UserError(f"{title}: {job.name}: {lost}; the same command waits for it") from lost


def _say_and_do(title, job):
    progress.say(f"{title}: {job.name}")
    job.work()


def _attempt(title, held, job, is_wanted=lambda: True):
    """Do a job if no other process has it.

    Returns:
        None if another process has it, else whether it was done here.
    """
    claim = held.take(job.name)
    if claim is None:
        return None
    with claim:
        # Asked again, since what was seen before may have changed until others were kept out.
        if job.is_done() or not is_wanted():
            return False
        if claim.before:
            progress.say(f"{title}: {job.name}: taken over from {claim.before}, not heard of any more")
        try:
            with files.owned(claim.check):
                job.work()
        except claims.LostError as lost:
            progress.say(f"{title}: {job.name}: {lost}")
            return False
    return True


def _wait(title, held, jobs):
    """Wait until one of these jobs has no owner: it is done, or its owner is gone."""
    started, reminded = time.monotonic(), None
    while True:
        holders = [held.holder(job.name) for job in jobs]
        if None in holders:
            return
        now = time.monotonic()
        if reminded is None or now - reminded > REMIND_SECONDS:
            doing = ", ".join(
                f"{job.name} ({'; '.join(filter(None, [str(holder), job.progress()]))})"
                for job, holder in zip(jobs, holders, strict=True)
            )
            waited = f", since {progress.duration(now - started)}" if reminded else ""
            progress.say(f"{title}: waiting for {doing}{waited}")
            reminded = now
        time.sleep(POLL_SECONDS)
