"""Learning rates over a training, and L2."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors
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


def test_step_divides_by_ten_after_the_shares_of_the_training_that_are_given():
    drops = (0.625, 0.75, 0.875)
    optimizer = optimizers.sgd(0.05, "step", 240, drops)
    for step, rate in ((149, 0.05), (151, 0.005), (179, 0.005), (181, 5e-4), (211, 5e-5), (239, 5e-5)):
        optimizer.iterations.assign(step)
        np.testing.assert_allclose(float(optimizer.learning_rate), rate, rtol=1e-5)


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


def _scaled(scale, compute="float16"):
    weight = keras.Variable([1.0, -2.0])
    optimizer = optimizers.scaling(keras.optimizers.SGD(0.5), compute)
    optimizer.build([weight])
    if compute == "float16":
        optimizer.dynamic_scale.assign(scale)
        optimizer.dynamic_growth_steps = 3
    return optimizer, weight


def _step(optimizer, weight, gradient):
    scaled = [optimizer.scale_loss(tf.constant(1.0)) * tf.constant(gradient)]
    optimizers.apply(optimizer, optimizers.unscaled(optimizer, scaled), [weight])


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_no_loss_is_scaled_but_in_float16(compute):
    optimizer, weight = _scaled(0, compute)
    assert float(optimizer.scale_loss(tf.constant(3.0))) == 3.0
    assert optimizers.scalars(optimizer, "weights") == {}
    _step(optimizer, weight, [2.0, 0.0])
    np.testing.assert_array_equal(weight, [0.0, -2.0])


def test_a_scaled_loss_makes_the_step_of_the_loss():
    optimizer, weight = _scaled(64.0)
    assert float(optimizer.scale_loss(tf.constant(3.0))) == 192.0
    _step(optimizer, weight, [2.0, 0.0])
    np.testing.assert_array_equal(weight, [0.0, -2.0])


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_step_that_is_not_finite_moves_nothing_halves_the_scale_and_counts(bad):
    optimizer, weight = _scaled(64.0)
    _step(optimizer, weight, [1.0, bad])
    np.testing.assert_array_equal(weight, [1.0, -2.0])
    assert optimizers.scalars(optimizer, "weights") == {"weights/loss_scale": 32.0}
    assert int(optimizer.iterations) == 1


def test_the_scale_doubles_after_so_many_good_steps_in_a_row():
    optimizer, weight = _scaled(64.0)
    scales = []
    for bad in (0, 0, 1, 0, 0, 0, 0):
        _step(optimizer, weight, [np.inf if bad else 0.0, 0.0])
        scales.append(float(optimizer.dynamic_scale))
    assert scales == [64, 64, 32, 32, 32, 64, 64]
    assert int(optimizer.iterations) == 7


def test_a_scale_that_has_sunk_to_one_in_vain_is_refused_and_one_that_is_found_is_not():
    optimizer, weight = _scaled(4.0)
    for expected in (2.0, 1.0):
        optimizers.refuse_what_is_stuck({"weights": optimizer}, 7)
        _step(optimizer, weight, [np.inf, 0.0])
        assert float(optimizer.dynamic_scale) == expected
    with pytest.raises(errors.UserError, match=r"^--precision: at step 7 .* of the alphas are too large for"):
        optimizers.refuse_what_is_stuck({"alphas": optimizer}, 7)
    _step(optimizer, weight, [np.inf, 0.0])
    assert float(optimizer.dynamic_scale) == 1.0
    _step(optimizer, weight, [1.0, 0.0])
    optimizers.refuse_what_is_stuck({"alphas": optimizer}, 8)


@pytest.mark.parametrize(
    ("momentum", "nesterov", "expected"),
    [
        # Two steps of the gradient 1 at a rate of 0.5: v = m v - 0.5; w += v (Nesterov: m v - 0.5).
        (0.8, False, -0.5 - 0.9),
        (0.8, True, (0.8 * -0.5 - 0.5) + (0.8 * -0.9 - 0.5)),
        (0.0, False, -1.0),
        (0.0, True, -1.0),
    ],
)
def test_momentum_and_nesterov_s_are_what_they_are_told(momentum, nesterov, expected):
    optimizer = optimizers.sgd(0.5, "step", 100, momentum=momentum, nesterov=nesterov)
    weight = keras.Variable([0.0])
    optimizer.build([weight])
    for _ in range(2):
        optimizers.apply(optimizer, [tf.ones([1])], [weight])
    assert float(weight.numpy()[0]) == pytest.approx(expected, rel=1e-6)
