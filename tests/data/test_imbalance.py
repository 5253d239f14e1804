"""Weights of classes, by hand."""

import numpy as np
import pytest

from okd_tf.data import imbalance

LABELS = np.array([0, 0, 3, 0, 1, 1])  # three, two, none and one


def test_weights_make_all_classes_that_have_examples_weigh_the_same():
    weights = imbalance.class_weights("weights", LABELS)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [6 / 9, 1.0, 0.0, 2.0], rtol=1e-6)
    assert weights[LABELS].mean() == pytest.approx(1)


def test_classes_of_equal_size_weigh_one_exactly():
    for classes, each in ((3, 7), (7, 3), (100, 49), (10, 1)):
        weights = imbalance.class_weights("weights", np.repeat(np.arange(classes), each))
        assert weights.tolist() == [1.0] * classes


@pytest.mark.parametrize("balance", [one for one in imbalance.BALANCES if one != "weights"])
def test_nothing_else_has_weights(balance):
    assert imbalance.class_weights(balance, LABELS) is None
