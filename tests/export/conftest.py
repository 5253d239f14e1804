"""A small random network, and a small one that knows its digits."""

import keras
import numpy as np
import pytest

from okd_tf import backbones


def build(splits):
    return backbones.build("resnet8", 4, splits.image_shape, splits.classes, splits.mean, splits.std).model


@pytest.fixture(scope="session")
def random_model(splits):
    keras.utils.set_random_seed(0)
    return build(splits)


@pytest.fixture(scope="session")
def trained_model(splits):
    keras.utils.set_random_seed(0)
    model = build(splits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, jit_compile=False)
    model.fit(splits.train.images.astype(np.float32), splits.train.labels, batch_size=64, epochs=6, verbose=0)
    return model


@pytest.fixture
def images(rng):
    """uint8 [16, 8, 8, 1] that miss both ends of the range of pixel values."""
    return rng.integers(3, 250, size=(16, 8, 8, 1), dtype=np.uint8)
