"""Cases in processes of their own: what goes wrong there is said here."""

import functools
import os
import signal
import subprocess
import sys

import pytest

from okd_tf import errors
from okd_tf.benchmark import processes
from okd_tf.benchmark.setup import Setup

SETUP = Setup("none", "resnet8", 8, "resnet8", 8, teachers=2, views=2, batch_size=4, ops=("identity",))


def _refuse():
    raise errors.UserError("--flag: mend it")


def test_what_a_case_refuses_reaches_the_user():
    with pytest.raises(errors.UserError, match=r"^--flag: mend it$"):
        processes.Process("ce", SETUP, _refuse)


def test_a_process_that_dies_is_named():
    with pytest.raises(errors.UserError, match="the process of ce ended with code 3"):
        processes.Process("ce", SETUP, functools.partial(os._exit, 3))


def _die(number):
    os.kill(os.getpid(), number)


def test_a_process_that_the_system_kills_for_memory_is_one_line_that_says_so():
    with pytest.raises(errors.UserError, match=r"process of ce was killed by the system.*lower --batch_size"):
        processes.Process("ce", SETUP, functools.partial(_die, signal.SIGKILL))


def _exhaust():
    raise MemoryError("Unable to allocate 8.00 PiB")


def test_a_case_that_runs_out_of_memory_says_so_in_its_parent():
    with pytest.raises(errors.UserError, match=r"^--what: ce: out of memory \(Unable to.*lower --batch_size"):
        processes.Process("ce", SETUP, _exhaust)


def test_no_tensorflow_is_needed_before_a_process_starts():
    code = "import sys, okd_tf.benchmark.processes; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
