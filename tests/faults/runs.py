"""Starts tools as processes of their own, and watches them die.

TensorFlow takes seconds to import, so one process imports it once and each tool is forked from that: before
TensorFlow has started any of its threads, and with the same results, which `test_kills` holds against a tool
that was started as a user starts it.
"""

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import launch

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 300  # seconds, for a machine that does much else

_PRELOADED = (
    *("okd_tf", "tensorflow", "keras", "okd_tf.cli", "okd_tf.pipeline"),
    *("sklearn.datasets", "matplotlib.pyplot"),
)


class Attempt:
    """One process of a tool."""

    def __init__(self, faults, flags, output, tool="search.py"):
        """Starts it."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        forks = multiprocessing.get_context("forkserver")
        forks.set_forkserver_preload(list(_PRELOADED))
        self._output = pathlib.Path(output)
        self._output.unlink(missing_ok=True)
        self._process = forks.Process(
            target=launch.main, args=(faults, ROOT / "tools" / tool, list(map(str, flags)), str(output))
        )
        self._process.start()

    @property
    def output(self):
        """What it has said so far."""
        return self._output.read_text() if self._output.exists() else ""

    @property
    def pid(self):
        """Of the process."""
        return self._process.pid

    def alive(self):
        """Whether it is still running."""
        return self._process.is_alive()

    def wait(self):
        """Waits for its end; gives its exit code, which is negative for a signal."""
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"still running after {PATIENCE} s; it said: {self.output[-2000:]}")
        return self._process.exitcode

    def wait_for(self, text):
        """Waits until it has said something; whether it lives."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.output and self._process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._process.is_alive()

    def send(self, number):
        """Sends it a signal."""
        os.kill(self.pid, number)

    def kill_after(self, seconds):
        """Kills it some time from now, or sees that it ended before; gives its exit code."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.send(signal.SIGKILL)
        return self.wait()


def as_a_user(*flags, tool="search.py"):
    """Runs a tool to its end as a user does, without anything here in between; gives its exit code."""
    command = [sys.executable, ROOT / "tools" / tool, *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
