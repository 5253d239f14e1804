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


@pytest.fixture(scope="module")
def report():
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "name", ["classifier", "classifier, stored logits", "mutual", *search.STRATEGIES, "darts, unrolled"]
)
def test_two_devices_learn_the_weights_of_one(report, name):
    assert report[name]["learnt"] > 0.1
    assert report[name]["weights"] < ROUNDING
    assert report[name]["history"] < ROUNDING


@pytest.mark.parametrize("name", ["classifier", "mutual", "darts", "darts, unrolled"])
def test_batch_statistics_are_those_of_the_whole_batch(report, name):
    # Not of paths: over several devices all operations run, and statistics of those not chosen move too.
    assert report[name]["statistics"] < ROUNDING


def test_stored_logits_are_heard_on_two_devices(report):
    assert report["classifier, stored logits"]["learnt"] != report["classifier"]["learnt"]


def test_second_order_is_seen_in_what_is_learnt(report):
    assert report["darts, unrolled"]["learnt"] != report["darts"]["learnt"]


def test_a_batch_that_does_not_split_is_refused(report):
    assert report["refusal"] == "--batch_size: 13 does not split over 2 devices; use a multiple"


def test_an_unknown_distribution_is_refused_with_the_nearest_name():
    with pytest.raises(distribution.errors.UserError, match="did you mean mirrored"):
        distribution.make("miror", 8)


def test_one_device_is_the_default_strategy():
    assert distribution.make("none", 7).num_replicas_in_sync == 1
