"""The float32 twin of a model in sixteen bits, wherever in it these are."""

import keras
import numpy as np
import pytest

from okd_tf.ops import precision

SHAPE = (8, 8, 3)


def _nested():
    inputs = keras.Input(SHAPE)
    features = keras.layers.Conv2D(4, 3)(keras.layers.Normalization(mean=100.0, variance=900.0)(inputs))
    inner = keras.Model(inputs, keras.layers.ReLU()(keras.layers.BatchNormalization()(features)))
    pixels = keras.Input(SHAPE)
    features = keras.layers.GlobalAveragePooling2D()(inner(pixels, training=False) * 0.5 + 1.0)
    return keras.Model(pixels, keras.layers.Dense(3, dtype="float32")(features))


def _wrapped():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.TimeDistributed(keras.layers.Dense(4)),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("make", [_nested, _wrapped])
@pytest.mark.parametrize("compute", ["mixed_float16", "mixed_bfloat16"])
def test_layers_within_models_and_layers_are_raised_too(make, compute, rng):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(compute)
    try:
        model = make()
    finally:
        keras.config.set_dtype_policy(policy)
    twin = precision.in_float32(model)
    assert {layer.compute_dtype for layer in twin._flatten_layers()} == {"float32"}
    images = rng.integers(0, 256, (5, *SHAPE)).astype(np.float32)
    expected = np.asarray(model(images), np.float32)
    np.testing.assert_allclose(twin(images).numpy(), expected, rtol=0.05, atol=0.05)
    for one, other in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_in_float32_is_its_own_twin():
    model = _nested()
    assert precision.in_float32(model) is model
