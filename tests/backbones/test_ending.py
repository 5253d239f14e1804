"""What a network ends in is seen in its graph, and can be left out."""

import keras
import numpy as np
import pytest

from okd_tf.backbones import ending

SHAPE = (4, 4, 3)


def _through(*layers):
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Flatten()(inputs)
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def _nested():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, _through(keras.layers.Dense(5, activation="softmax"))(inputs * 0.5))


def _sequential():
    return keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(5, activation="softmax")]
    )


NETWORKS = {
    "a softmax of a dense layer": (lambda: _through(keras.layers.Dense(5, activation="softmax")), "softmax"),
    "an activation": (lambda: _through(keras.layers.Dense(5), keras.layers.Activation("softmax")), "softmax"),
    "a layer": (lambda: _through(keras.layers.Dense(5), keras.layers.Softmax()), "softmax"),
    "an operation": (lambda: _through(keras.layers.Dense(5), keras.ops.softmax), "softmax"),
    "within a model": (_nested, "softmax"),
    "a sequential model": (_sequential, "softmax"),
    "before what passes on": (
        lambda: _through(
            keras.layers.Dense(5, activation="softmax"), keras.layers.Activation("linear"), lambda x: x + 0.0
        ),
        "",
    ),
    "before a cast": (
        lambda: _through(
            keras.layers.Dense(5, activation="softmax"), keras.layers.Activation("linear", dtype="float32")
        ),
        "softmax",
    ),
    "sigmoids": (lambda: _through(keras.layers.Dense(5, activation="sigmoid")), "sigmoid"),
    "an operation of sigmoids": (lambda: _through(keras.layers.Dense(5), keras.ops.sigmoid), "sigmoid"),
    "logits": (lambda: _through(keras.layers.Dense(5)), "linear"),
    "a relu": (lambda: _through(keras.layers.Dense(5, activation="relu")), ""),
    "no layer with weights": (_through, ""),
}
FUNCTIONS = {"softmax": keras.ops.softmax, "sigmoid": keras.ops.sigmoid}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_seen_and_the_network_without_it_gives_what_it_was_made_of(name, rng):
    make, end = NETWORKS[name]
    network = make()
    assert ending.of(network) == end
    if end not in FUNCTIONS:
        return
    images = rng.normal(size=(6, *SHAPE)).astype(np.float32)
    expected = network(images).numpy()
    without = ending.without(network)
    assert ending.of(without) == "linear"
    np.testing.assert_allclose(FUNCTIONS[end](without(images)), expected, atol=1e-6)
