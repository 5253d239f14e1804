"""What is held back comes out only when somebody needs it."""

import os
import sys
import warnings

import pytest

from okd_tf import errors, quiet


def write_everywhere():
    print("python out")
    print("python err", file=sys.stderr)
    os.write(1, b"native out\n")
    os.write(2, b"native err\n")
    warnings.warn("a warning", stacklevel=1)


def test_nothing_is_shown_when_all_goes_well(capfd):
    print("before")
    with quiet.output_held_back():
        write_everywhere()
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


def fail_with(error):
    with quiet.output_held_back():
        write_everywhere()
        raise error


def test_everything_is_shown_after_a_failure(capfd):
    with pytest.raises(ZeroDivisionError):
        fail_with(ZeroDivisionError())
    out, err = capfd.readouterr()
    assert out == ""
    assert sorted(err.splitlines()) == ["native err", "native out", "python err", "python out"]


def test_a_user_error_speaks_for_itself(capfd):
    with pytest.raises(errors.UserError):
        fail_with(errors.UserError("one line"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open descriptors are listed on Linux only")
def test_no_descriptor_is_left_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with quiet.output_held_back():
            pass
    assert len(os.listdir("/proc/self/fd")) == before
