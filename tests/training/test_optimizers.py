"""Learning rates over a training, and L2."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.training import optimizers


def _rates(schedule, steps, at):
    optimizer = optimizers.sgd(0.4, schedule, steps)
    rates = []
    for step in at:
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    return rates


def test_cosine_warms_up_over_a_twentieth_and_falls_to_zero():
    # 200 steps: 10 of warm-up, half a cosine over 190.
    at_start, in_warmup, at_peak, at_half, at_end = _rates("cosine", 200, (0, 5, 10, 105, 200))
    assert at_start == pytest.approx(0.04)
    assert in_warmup == pytest.approx((0.04 + 0.4) / 2)
    assert at_peak == pytest.approx(0.4)
    assert at_half == pytest.approx(0.2)
    assert at_end == pytest.approx(0, abs=1e-8)


def test_cosine_falls_as_half_a_cosine():
    steps = np.arange(10, 200, 17)
    expected = 0.2 * (1 + np.cos(np.pi * (steps - 10) / 190))
    np.testing.assert_allclose(_rates("cosine", 200, steps), expected, rtol=1e-4)


def test_cosine_of_a_training_too_short_to_warm_up_starts_at_the_highest_rate():
    assert _rates("cosine", 10, (0,)) == [pytest.approx(0.4)]


def test_step_divides_by_ten_after_one_half_and_after_three_quarters():
    rates = _rates("step", 200, (0, 99, 102, 149, 152, 199))
    assert rates == pytest.approx([0.4, 0.4, 0.04, 0.04, 0.004, 0.004])


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="schedule must be one of"):
        optimizers.sgd(0.1, "linear", 100)


def test_momentum_is_nesterov_s():
    optimizer = optimizers.sgd(0.1, "cosine", 100)
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)


def test_l2_adds_the_gradient_of_half_the_squared_norm():
    weight = tf.Variable([1.0, -2.0])
    with tf.GradientTape() as tape:
        penalty = 0.3 / 2 * tf.reduce_sum(weight**2)
    expected = np.array([5.0, 6.0]) + tape.gradient(penalty, weight)
    (found,) = optimizers.with_l2([tf.constant([5.0, 6.0])], [weight], 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
