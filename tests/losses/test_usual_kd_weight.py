"""The factor of a divergence where none is given, by hand and against what it makes up for."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import losses


@pytest.mark.parametrize(
    ("name", "classes", "weight"),
    [
        *(("mean", 4, 1.0), ("oracle", 25, 1.0), ("vote", 100, 4.0), ("confidence", 200, 8.0)),
        *(("dkd", 100, 1.0), ("oracle_dkd", 100, 1.0), ("mutual", 100, 1.0)),
    ],
)
def test_it_is_a_25th_of_the_classes_but_of_losses_with_factors_of_their_own(name, classes, weight):
    assert losses.usual_kd_weight(name, classes) == weight


def _gradient(classes):
    """Of one logit that is 1 too low, at a temperature far above all logits."""
    student = tf.constant(np.zeros((1, classes), np.float32))
    teacher = tf.one_hot([[0]], classes)
    weight = losses.usual_kd_weight("mean", classes)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = losses.KD_LOSSES["mean"]([0], student, teacher, 100.0, 0.0, kd_weight=weight)
    return tape.gradient(loss, student).numpy()[0, 0]


def test_with_it_the_gradient_of_a_softened_divergence_does_not_fall_with_the_classes():
    assert _gradient(100) == pytest.approx(_gradient(400), rel=0.02) == pytest.approx(-1 / 25, rel=0.02)
