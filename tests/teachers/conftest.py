"""Two small teachers, untrained but with statistics of their own."""

import keras
import numpy as np
import pytest
import tiny


def _network(seed):
    keras.utils.set_random_seed(seed)
    model = tiny.make_backbone().model
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("beta", "moving_mean", "moving_variance"):
            weight.assign(generator.uniform(0.5, 2, weight.shape))
    return model


@pytest.fixture(scope="module")
def networks():
    return [_network(1), _network(2)]


@pytest.fixture(scope="module")
def data():
    return tiny.make_splits()
