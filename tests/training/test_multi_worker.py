"""Training over two workers is training on one device; what they do when one is not there any more."""

import json
import pathlib
import signal
import threading
import time

import pytest
import workers

from okd_tf import errors, search, stopping
from okd_tf.training import crew, distribution

SCRIPT = pathlib.Path(__file__).with_name("two_workers_script.py")
ROUNDING = 1e-6  # after six steps at a rate of 0.01; what they learn is 50,000 times as large
LEARNT = 0.05
FAST = ("classifier, stored logits",)
KEPT = ("kept: average", "kept: best")
SLOW = ("classifier, live teachers", "mutual", *search.STRATEGIES, "darts, unrolled")


def _compared(kinds):
    with workers.running([SCRIPT, *kinds]) as (lead, other):
        assert lead.wait(900) == 0, lead.said()
        assert other.wait(60) == 0, other.said()
    assert json.loads(other.lines[-1]) == {kind: {} for kind in kinds}
    return json.loads(lead.lines[-1])


@pytest.fixture(scope="module")
def report():
    return _compared(FAST)


@pytest.fixture(scope="module")
def slow_report():
    return _compared(SLOW)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("kind", KEPT)
def test_two_workers_keep_the_weights_that_one_device_does(kind):
    found = _compared([kind])[kind]
    assert found["how"] == [kind.removeprefix("kept: ")] * 2
    assert found["weights"] < ROUNDING
    assert found["loss"] < ROUNDING


def _assert_same(found):
    assert found["learnt"] > LEARNT
    assert found["weights"] < ROUNDING
    assert found["history"] < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAST)
def test_two_workers_learn_what_one_device_does(report, kind):
    _assert_same(report[kind])
    assert report[kind]["statistics"] < ROUNDING


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("kind", SLOW)
def test_two_workers_learn_what_one_device_does_in_every_kind_of_training(slow_report, kind):
    _assert_same(slow_report[kind])
    # Not of paths: over several devices all operations run, and statistics of those not chosen move too.
    if kind not in ("gumbel", "reinforce", "random"):
        assert slow_report[kind]["statistics"] < ROUNDING


def test_a_batch_that_does_not_split_over_the_workers_is_refused_before_they_meet(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", workers.config(workers.free_ports(2), 0))
    with pytest.raises(errors.UserError, match="--batch_size: 13 does not split over 2 workers"):
        distribution.make("multi_worker", 13)


def test_a_signal_stops_a_worker_that_waits_for_others(signals):
    signals()
    threading.Timer(0.3, signal.raise_signal, [signal.SIGTERM]).start()
    began = time.monotonic()
    with pytest.raises(stopping.Stopped):
        crew.patiently(lambda: time.sleep(20))
    assert time.monotonic() - began < 10


def test_what_fails_while_it_waits_fails_here():
    def fail():
        raise errors.UserError("of the work")

    with pytest.raises(errors.UserError, match="of the work"):
        crew.patiently(fail)
    with pytest.raises(TimeoutError):
        crew.patiently(lambda: time.sleep(3), seconds=0.1)


def test_one_process_leads_itself_and_waits_for_nobody(tmp_path):
    alone = crew.Alone()
    assert alone.leads
    assert alone.lead(lambda: "done", shows=tmp_path / "nowhere") == "done"
    assert alone.agree(lambda: [1, None]) == [1, None]
    assert alone.heard(15, True) == (15, "", True)
