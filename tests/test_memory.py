"""Memory that runs out is one line that says what to lower, whoever ran out of it."""

import signal
import sys

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import cli, memory
from okd_tf.cli import command_line


def _message(capsys, error, stopped=cli.GOES_ON):
    def work():
        raise error

    with pytest.raises(SystemExit) as leaving:
        cli._run(work, stopped)
    printed = capsys.readouterr().err
    assert leaving.value.code == command_line.EXIT_USER_ERROR
    assert len(printed.splitlines()) == 1
    return printed


def _of_tensorflow():
    with pytest.raises(tf.errors.ResourceExhaustedError) as raised:
        tf.zeros([2**40, 2**10]) + 1.0
    return raised.value


def _as_of_tensorflow():
    said = (
        "Graph execution error:\n\nOOM when allocating tensor with shape[128,512] and type float on CPU:0\n"
    )
    return tf.errors.ResourceExhaustedError(None, None, said)


def _of_numpy():
    with pytest.raises(MemoryError) as raised:
        np.empty([2**40, 2**10])
    return raised.value


@pytest.mark.parametrize(
    "make",
    [
        MemoryError,
        _of_numpy,
        _as_of_tensorflow,
        # It asks again for ten seconds.
        pytest.param(_of_tensorflow, marks=pytest.mark.slow),
    ],
)
def test_a_tool_that_runs_out_of_memory_says_what_to_lower_and_that_it_goes_on(capsys, make):
    line = _message(capsys, make())
    assert line.startswith("error: out of memory")
    for what in ("--batch_size", "--train_examples", "--views", "the same command goes on"):
        assert what in line


def test_what_could_not_be_allocated_is_said(capsys):
    assert "(Unable to allocate 8.00 PiB" in _message(capsys, _of_numpy())
    assert "(OOM when allocating tensor with shape[128,512]" in _message(capsys, _as_of_tensorflow())


def test_a_tool_that_keeps_nothing_does_not_promise_to_go_on(capsys):
    line = _message(capsys, MemoryError(), "stopped; nothing was written")
    assert line.endswith("stopped; nothing was written\n")
    assert "goes on" not in line


@pytest.mark.parametrize(
    "error",
    [ValueError("OOM"), tf.errors.ResourceExhaustedError(None, None, "a/b; No space left on device")],
)
def test_what_is_not_of_memory_is_not_taken_for_it(error):
    assert memory.line(error) == ""

    def work():
        raise error

    with pytest.raises(type(error)):
        cli._run(work)


@pytest.mark.parametrize("code", [0, 1, -signal.SIGTERM, None])
def test_only_a_process_that_the_system_killed_is_said_to_be(code):
    assert memory.line_of_exit(code) == ""
    assert "--batch_size" in memory.line_of_exit(-signal.SIGKILL)


def test_nothing_is_imported_for_it():
    assert not {"numpy", "tensorflow"} & set(vars(sys.modules["okd_tf.memory"]))
