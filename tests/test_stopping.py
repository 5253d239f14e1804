"""Signals stop a program at once, or at the end of what must be finished first."""

import signal

import pytest

from okd_tf import files, stopping


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_stops_the_program_at_once(signals, signum, code):
    with pytest.raises(stopping.Stopped) as stop:
        signal.raise_signal(signum)
    assert stop.value.exit_code == code


def test_a_signal_that_is_ignored_stays_so(signals):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals()
    signal.raise_signal(signal.SIGHUP)
    assert not stopping.asked()


def test_what_is_deferred_is_finished_first(signals):
    done = []

    def work():
        with stopping.deferred():
            with stopping.deferred():
                signal.raise_signal(signal.SIGTERM)
                done.append("inner")
            assert stopping.asked() == signal.SIGTERM
            done.append("outer")
        done.append("after")

    with pytest.raises(stopping.Stopped):
        work()
    assert done == ["inner", "outer"]


def test_a_second_signal_does_not_wait(signals):
    done = []

    def work():
        with stopping.deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append("after the first")
            signal.raise_signal(signal.SIGINT)
            done.append("after the second")

    with pytest.raises(stopping.Stopped):
        work()
    assert done == ["after the first"]


def test_an_error_within_is_not_hidden_by_a_signal(signals):
    def fail():
        with stopping.deferred():
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_nothing_is_deferred_any_more_after_an_error(signals):
    with pytest.raises(ZeroDivisionError), stopping.deferred():
        raise ZeroDivisionError
    with pytest.raises(stopping.Stopped):
        signal.raise_signal(signal.SIGTERM)


def test_a_folder_takes_the_place_of_another_before_a_signal_stops_the_program(
    signals, tmp_path, monkeypatch
):
    path = tmp_path / "saved"
    path.mkdir()
    (path / "old").write_text("")
    replace = files.os.replace

    def interrupted(source, target):
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr(files.os, "replace", replace)
        replace(source, target)

    def write():
        with files.replacing(path) as temporary:
            temporary.mkdir()
            (temporary / "new").write_text("")

    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(stopping.Stopped):
        write()
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]
