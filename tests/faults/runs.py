"""Starts tools as processes of their own, and watches them die.

TensorFlow takes seconds to import, so one process imports it once and each tool is forked from that: before
TensorFlow has started any of its threads. `test_kills` holds what comes of it against a tool that was started
as a user starts it.
"""

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys

import launch

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 300  # seconds, for a machine that does much else
PRELOADED = (
    *("okd_tf", "tensorflow", "keras", "okd_tf.cli", "okd_tf.pipeline"),
    *("sklearn.datasets", "matplotlib.pyplot"),
)


class Attempt:
    """One process of a tool, running from when this is made."""

    def __init__(self, faults, flags, folder):
        """Takes faults as `launch` has them, the tool's flags, and where to keep what it says."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        forks = multiprocessing.get_context("forkserver")
        forks.set_forkserver_preload(list(PRELOADED))
        self._files = [folder / "output.txt", folder / "errors.txt"]
        for file in self._files:
            file.unlink(missing_ok=True)
        self._process = forks.Process(
            target=launch.main,
            args=(faults, ROOT / "tools" / "search.py", list(map(str, flags)), *self._files),
        )
        self._process.start()

    @property
    def output(self):
        """What it has said so far."""
        return self._said(0)

    @property
    def errors(self):
        """What it has said on standard error."""
        return self._said(1)

    def _said(self, which):
        return self._files[which].read_text() if self._files[which].exists() else ""

    @property
    def pid(self):
        """Of the process."""
        return self._process.pid

    def alive(self):
        """Whether it is still running."""
        return self._process.is_alive()

    def send(self, number):
        """Sends it a signal."""
        os.kill(self.pid, number)

    def wait(self):
        """Waits for its end; gives its exit code, which of one that a signal ended is negative."""
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"still running after {PATIENCE} s; it said: {self.output[-2000:]}")
        return self._process.exitcode

    def kill_after(self, seconds):
        """Kills it some time from now, unless it ends before; gives its exit code."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.send(signal.SIGKILL)
        return self.wait()


def as_a_user(*flags):
    """Runs a tool to its end as a user does, with nothing of this in between."""
    command = [sys.executable, ROOT / "tools" / "search.py", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
