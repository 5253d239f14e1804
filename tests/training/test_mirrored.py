"""Training over two devices is training on one.

Devices are configured before TensorFlow starts, so a process of its own does the work: mirrored_script.py.
"""

import json
import pathlib
import subprocess
import sys

import pytest

from okd_tf import search
from okd_tf.training import distribution

SCRIPT = pathlib.Path(__file__).with_name("mirrored_script.py")
ROUNDING = 5e-5  # after six steps at a rate of 0.1


FAST = ("classifier", "classifier, stored logits", "darts")
SLOW = ("mutual", *(name for name in search.STRATEGIES if name != "darts"), "darts, unrolled")


def _compared(kinds):
    command = [sys.executable, str(SCRIPT), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def report():
    return _compared(FAST)


@pytest.fixture(scope="module")
def slow_report():
    return _compared((*SLOW, "darts"))


def _assert_same(found):
    assert found["learnt"] > 0.1
    assert found["weights"] < ROUNDING
    assert found["history"] < ROUNDING


@pytest.mark.parametrize("kind", FAST)
def test_two_devices_learn_what_one_does(report, kind):
    _assert_same(report[kind])
    assert report[kind]["statistics"] < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("kind", SLOW)
def test_two_devices_learn_what_one_does_in_every_kind_of_training(slow_report, kind):
    _assert_same(slow_report[kind])
    # Not of paths: over several devices all operations run, and statistics of those not chosen move too.
    if kind in ("mutual", "darts, unrolled"):
        assert slow_report[kind]["statistics"] < ROUNDING


def test_stored_logits_are_heard_on_two_devices(report):
    assert report["classifier, stored logits"]["learnt"] != report["classifier"]["learnt"]


@pytest.mark.slow
def test_second_order_is_seen_in_what_is_learnt(slow_report):
    assert slow_report["darts, unrolled"]["learnt"] != slow_report["darts"]["learnt"]


def test_a_batch_that_does_not_split_is_refused(report):
    assert report["refusal"] == "--batch_size: 13 does not split over 2 devices; use a multiple"


def test_an_unknown_distribution_is_refused_with_the_nearest_name():
    with pytest.raises(distribution.errors.UserError, match="did you mean mirrored"):
        distribution.make("miror", 8)


def test_one_device_is_the_default_strategy():
    assert distribution.make("none", 7).num_replicas_in_sync == 1
