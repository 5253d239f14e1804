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
ROUNDING = 1e-6  # of weights, after six steps at a rate of 0.01; their updates are 50,000 times as large
LEARNT = 0.05
LEARNT_SLOWLY = {"classifier, kept weights": 0.02}  # whose kept layers have a tenth of the rate
# Of the update, as vectors. A network that computes in 16 bits rounds another sum elsewhere.
MIXED_ROUNDING = {"bfloat16": 0.1, "float16": 0.02}

FAST = ("classifier, stored logits", "darts")
STEPS = ("step in float32", "step in float16")
SLOW = (
    *("classifier", "classifier, live teachers", "classifier, kept weights", "mutual"),
    *(name for name in search.STRATEGIES if name != "darts"),
    "darts, unrolled",
)
KEPT = ("kept: average", "kept: best")
MIXED = ("classifier in bfloat16", "mutual in float16", "gumbel in bfloat16", "darts, unrolled in float16")
CHECKPOINTS = ("checkpoints of classifier", "checkpoints of darts")


def _compared(kinds):
    command = [sys.executable, str(SCRIPT), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def report():
    return _compared((*FAST, *STEPS))


@pytest.fixture(scope="module")
def slow_report():
    return _compared((*SLOW, *CHECKPOINTS, *KEPT, "clipping", *FAST))


@pytest.fixture(scope="module")
def mixed_report():
    return _compared(MIXED)


def _assert_same(found, learnt=LEARNT):
    assert found["learnt"] > learnt
    assert found["weights"] < ROUNDING
    assert found["ratio"] < 2 * ROUNDING
    assert found["history"] < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAST)
def test_two_devices_learn_what_one_does(report, kind):
    _assert_same(report[kind])
    assert report[kind]["statistics"] < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("kind", SLOW)
def test_two_devices_learn_what_one_does_in_every_kind_of_training(slow_report, kind):
    _assert_same(slow_report[kind], LEARNT_SLOWLY.get(kind, LEARNT))
    # Not of paths: over several devices all operations run, and statistics of those not chosen move too.
    if kind in ("classifier", "mutual", "classifier, kept weights", "darts, unrolled"):
        assert slow_report[kind]["statistics"] < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEPS)
def test_gradients_are_clipped_after_their_sum_and_before_l2(report, kind):
    first, _ = report[kind]
    # [3, 4] clipped to [2.4, 3.2], L2 of [0.1, 0.2]; neither device's own gradient is as long as the bound.
    for weights in first["weights"]:
        assert weights == pytest.approx([1 - 0.5 * 2.5, 2 - 0.5 * 3.4], rel=1e-6)


@pytest.mark.slow
def test_a_step_that_overflows_on_one_device_is_skipped_on_all(report):
    first, second = report["step in float16"]
    assert second["weights"] == first["weights"]
    assert [found["weights/loss_scale"] for found in (first, second)] == [2.0**15, 2.0**14]
    # It counts all the same: schedules go on.
    assert [found["iterations"] for found in (first, second)] == [1, 2]


@pytest.mark.slow
def test_two_devices_clip_as_one_where_neither_of_them_would(slow_report):
    found = slow_report["clipping"]
    assert max(found["parts"]) < 0.95 * found["bound"]
    assert found["bound"] < 0.95 * found["sum"]
    _assert_same(found)
    assert found["learnt"] < 0.97 * found["free"]["learnt"]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("kind", MIXED)
def test_two_devices_learn_in_sixteen_bits_what_one_does(mixed_report, kind):
    found = mixed_report[kind]
    assert found["learnt"] > LEARNT
    assert found["ratio"] < MIXED_ROUNDING[kind.rpartition(" ")[2]]


def _assert_kept_the_same(found, how):
    assert found["how"] == [how, how]
    assert found["weights"] < ROUNDING
    assert found["loss"] < ROUNDING


@pytest.mark.slow
def test_two_devices_keep_the_average_that_one_does(slow_report):
    _assert_kept_the_same(slow_report[KEPT[0]], "average")
    assert slow_report[KEPT[0]]["apart"] > 1e-3


@pytest.mark.slow
def test_two_devices_keep_the_best_weights_that_one_does(slow_report):
    _assert_kept_the_same(slow_report[KEPT[1]], "best")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["none to mirrored", "mirrored to none"])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_is_read_on_another_number_of_devices_to_the_bit(slow_report, kind, way):
    found = slow_report[kind][way]
    assert found["steps"] == [4, 4]  # in the second epoch
    assert found["variables"] > 20
    assert found["different"] == 0
    # Sums over the devices among them: of the metrics, after one step of 12.
    assert found["examples"] == 12
    assert found["weights"] < ROUNDING
    assert found["history"] < ROUNDING


@pytest.mark.slow
def test_stored_logits_are_heard_on_two_devices(slow_report):
    assert slow_report["classifier, stored logits"]["learnt"] != slow_report["classifier"]["learnt"]


@pytest.mark.slow
def test_second_order_is_seen_in_what_is_learnt(slow_report):
    assert slow_report["darts, unrolled"]["learnt"] != slow_report["darts"]["learnt"]


@pytest.mark.slow
def test_a_batch_that_does_not_split_is_refused(report):
    assert report["refusal"] == "--batch_size: 13 does not split over 2 devices; use a multiple"


def test_an_unknown_distribution_is_refused_with_the_nearest_name():
    with pytest.raises(distribution.errors.UserError, match="did you mean mirrored"):
        distribution.make("miror", 8)


def test_one_device_is_the_default_strategy():
    assert distribution.make("none", 7).num_replicas_in_sync == 1
