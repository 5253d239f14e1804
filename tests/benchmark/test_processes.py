"""Cases in processes of their own: what goes wrong there is said here."""

import functools
import os
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


def test_no_tensorflow_is_needed_before_a_process_starts():
    code = "import sys, okd_tf.benchmark.processes; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
