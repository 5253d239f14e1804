"""Runs a tool with faults aimed at it: the real tool, in a process that really dies.

    python tests/faults/launch.py SIGKILL:replace:search/arch.json tools/search.py --workdir=runs/mine

A fault is WHAT:EVENT:WHERE:NTH: what happens at the nth event of a kind whose place matches. Before it does,
one line says so, so that a test knows that it struck and where.

    what      SIGKILL, SIGTERM, SIGINT    the process gets this signal
              halve                       SIGKILL when half of what goes to the file has been written
              keep                        nothing; a copy of the folder is kept beside the workdir
              count                       nothing; how many there were is said at the end
              ENOSPC, EIO, ...            the file system refuses with this error
              MemoryError, exhausted      memory runs out: Python's, or TensorFlow's
              NaN                         the batch of this training step is spoilt
    event     open       a file is about to be opened for writing
              sync       what was written is about to be flushed to the disk
              replace    a temporary file or folder is about to take its place
              replaced   it has
              remove     a file or folder is about to be removed
              touch      any of those, once a stage has been recorded as begun
              step       a step of a training was run
    where     the last parts of a path in the workdir, as pathlib matches them; of a step, the training's name
    nth       from 1, which it is if it is left out; of NaN, the step

Two faults hold from the start: limit:FSIZE:BYTES, limit:AS:BYTES (RLIMIT_*), and user:ID.
"""

import errno
import fnmatch
import os
import pathlib
import resource
import runpy
import shutil
import signal
import sys

_FILE_EVENTS = ("open", "sync", "replace", "replaced", "remove")


class Aim:
    """One fault and how often its event has been seen."""

    def __init__(self, text, workdir):
        """Takes a fault as text."""
        self.what, self.event, self.where, nth = [*text.split(":"), "1"][:4]
        self.nth, self.seen, self.workdir = int(nth), 0, workdir
        self._begun = False

    def see(self, event, place, written=None):
        """Strikes if this is the event; `written` is the file or folder that half is to be of."""
        touched = self.event == "touch" and event in _FILE_EVENTS and self._begun
        self._begun = self._begun or (event == "replaced" and pathlib.Path(place).name == "stages.json")
        if event != self.event and not touched:
            return
        matches = fnmatch.fnmatch(place, self.where) if event == "step" else self._inside(place)
        self.seen += matches
        if matches and self.what == "keep":
            if pathlib.Path(place).is_dir():
                _keep(pathlib.Path(place), self.workdir)
        elif matches and self.seen == self.nth and self.what != "count":
            print(f"struck: {self.what} at {event} of {place}", flush=True)
            self._strike(pathlib.Path(place), pathlib.Path(written or place))

    def _inside(self, place):
        path = pathlib.Path(place)
        return path.is_relative_to(self.workdir) and path.match(self.where)

    def _strike(self, path, written):
        if self.what == "halve":
            _halve(written)
        if self.what in ("SIGKILL", "halve"):
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.what.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, self.what))
        elif self.what == "MemoryError":
            raise MemoryError
        elif self.what == "exhausted":
            import tensorflow as tf

            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[1,2]")
        else:
            number = getattr(errno, self.what)
            raise OSError(number, os.strerror(number), str(path))


def _keep(path, workdir):
    kept = workdir.with_name("kept") / path.relative_to(workdir)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(path, kept)


def _halve(written):
    """Leaves half of a file, or of each file of a folder, as a process leaves it that dies in between."""
    for file in [written] if written.is_file() else written.rglob("*"):
        if file.is_file():
            os.truncate(
                file, _SIZES.get(str(file), 0) + (file.stat().st_size - _SIZES.get(str(file), 0)) // 2
            )


_SIZES = {}  # of files when they were opened for writing, by path: what was there before is not cut


def aim(faults, workdir):
    """Sets the faults up in this process."""
    aims = []
    for text in faults:
        what, *rest = text.split(":")
        if what == "limit":
            kind = getattr(resource, f"RLIMIT_{rest[0]}")
            resource.setrlimit(kind, (int(rest[1]), resource.getrlimit(kind)[1]))
        elif what == "user":
            os.setgroups([])
            os.setgid(int(rest[0]))
            os.setuid(int(rest[0]))
        elif what == "NaN":
            _spoil(int(rest[2]))
        else:
            aims.append(Aim(text, workdir))
    if aims:
        _watch_files(aims)
        _watch_steps(aims)
    return aims


def _watch_files(aims):
    def see(event, place, written=None):
        place = os.path.abspath(os.fsdecode(place))
        for one in aims:
            one.see(event, place, written)

    def audit(event, arguments):
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            if arguments[2] & (os.O_WRONLY | os.O_RDWR):
                path = os.path.abspath(os.fsdecode(arguments[0]))
                appended = arguments[2] & os.O_APPEND and os.path.exists(path)
                _SIZES[path] = os.path.getsize(path) if appended else 0
                see("open", path)
        elif event == "shutil.rmtree":
            see("remove", arguments[0])
        elif event == "os.remove":
            path, folder = arguments
            see("remove", path if folder < 0 else f"{os.readlink(f'/proc/self/fd/{folder}')}/{path}")

    replace, sync = os.replace, os.fsync

    def watched_replace(source, target, **arguments):
        see("replace", target, source)
        replace(source, target, **arguments)
        see("replaced", target)

    def watched_sync(file):
        number = file if isinstance(file, int) else file.fileno()
        see("sync", os.readlink(f"/proc/self/fd/{number}"))
        sync(file)

    sys.addaudithook(audit)
    os.replace, os.fsync = watched_replace, watched_sync


def _watch_steps(aims):
    from okd_tf import progress

    step = progress.Progress.step

    def watched(self, number):
        step(self, number)
        for one in aims:
            one.see("step", self._title)

    progress.Progress.step = watched


def _spoil(spoilt_step):
    import tensorflow as tf

    from okd_tf.data import batches

    dataset = batches.Batches.dataset

    def spoilt(self, start, stop):
        def spoil(step, batch):
            factor = tf.where(step == spoilt_step - 1, float("nan"), 1.0)
            return {**batch, "image": tf.cast(batch["image"], tf.float32) * factor}

        return dataset(self, start, stop).enumerate(start).map(spoil)

    batches.Batches.dataset = spoilt


def main(faults, tool, flags, output=None, errors=None):
    """Runs a tool; what it says goes to these files, or where it goes anyway."""
    for path, descriptor in ((output, 1), (errors, 2)):
        if path:
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    # Tests that run in the background may have been started with it ignored, and a tool leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    workdir = next((flag.partition("=")[2] for flag in flags if flag.startswith("--workdir=")), ".")
    aims = aim(faults, pathlib.Path(workdir).absolute())
    sys.argv = [str(tool), *flags]
    try:
        runpy.run_path(str(tool), run_name="__main__")
    finally:
        for one in aims:
            if one.what == "count":
                print(f"counted: {one.seen}", flush=True)


if __name__ == "__main__":
    first = next(index for index, argument in enumerate(sys.argv) if index and argument.endswith(".py"))
    main(sys.argv[1:first], sys.argv[first], sys.argv[first + 1 :])
