"""What a network gives becomes logits: of softmaxes, of sigmoids, of one number for two classes."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.teachers import formats, manifest, teacher

TWO = dataclasses.replace(tiny.make_splits(), class_names=("dark", "bright"))
DATA = tiny.make_splits()
PIXELS = tf.cast(DATA.val.images, tf.float32)


def _dense(units, activation=None, scale=0.02):
    """A model whose numbers are far apart from image to image, and its logits of PIXELS."""
    inputs = keras.Input(tiny.SHAPE)
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    layer = keras.layers.Dense(units, activation=activation)
    model = keras.Model(inputs, layer(mean))
    kernel, bias = scale * np.arange(1, units + 1)[None], -scale * 110 * np.arange(1, units + 1)
    layer.set_weights([kernel, bias])
    return model, np.asarray(keras.ops.mean(PIXELS, axis=(1, 2))) @ kernel + bias


def _read(model, data, exact=False, **declared):
    network = formats.of_model("mine.keras", model, fused=not exact)
    return teacher.Teacher("mine.keras", network, manifest.Manifest(**declared), data, exact)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_number_for_two_classes_is_the_logit_of_the_second_beside_zero(activation, exact):
    model, logits = _dense(1, activation)
    one = _read(model, TWO, exact)
    expected = np.concatenate([np.zeros_like(logits), logits], axis=1)
    np.testing.assert_allclose(one(PIXELS), expected, atol=1e-5)
    assert "of one class, taken for 'bright'" in one.description()
    assert one(PIXELS).shape == (len(DATA.val), 2)


def test_the_class_of_the_one_number_is_the_second_that_is_declared():
    model, logits = _dense(1, "sigmoid")
    one = _read(model, TWO, class_names=("bright", "dark"))
    expected = np.concatenate([logits, np.zeros_like(logits)], axis=1)
    np.testing.assert_allclose(one(PIXELS), expected, atol=1e-5)
    assert "taken for 'dark'" in one.description()


def test_one_number_for_three_classes_is_refused():
    with pytest.raises(errors.UserError, match=r"gives 1 classes, the dataset has 3 classes"):
        _read(_dense(1, "sigmoid")[0], DATA)


def test_a_probability_whose_graph_is_not_seen_becomes_the_same_logits():
    model, logits = _dense(1, "sigmoid")
    network = dataclasses.replace(formats.of_model("mine.keras", model), model=None, ends_in="")
    one = teacher.Teacher("mine.keras", network, manifest.Manifest(), TWO)
    difference = one(PIXELS)[:, 1] - one(PIXELS)[:, 0]
    np.testing.assert_allclose(difference, logits[:, 0], atol=1e-4)


def test_sigmoids_that_are_declared_are_probabilities_divided_by_their_sum():
    model, _ = _dense(3, "sigmoid")
    sigmoids = model(PIXELS).numpy()
    for exact in (False, True):
        one = _read(model, DATA, exact, outputs="sigmoids")
        found = tf.nn.softmax(one(PIXELS)).numpy()
        np.testing.assert_allclose(found, sigmoids / sigmoids.sum(axis=1, keepdims=True), atol=1e-6)
    with pytest.raises(errors.UserError, match="as sigmoids do"):
        _read(model, DATA, exact=True)


def test_exact_logits_are_those_before_the_softmax_where_logarithms_of_probabilities_end():
    model, logits = _dense(3, "softmax", scale=2.0)
    exact, usual = (_read(model, DATA, exact=one)(PIXELS).numpy() for one in (True, False))
    np.testing.assert_allclose(exact, logits, rtol=1e-5, atol=1e-3)
    assert np.ptp(logits, axis=1).max() > 100
    assert usual.min() == pytest.approx(np.log(teacher.LEAST_PROBABILITY))


def test_logits_between_0_and_1_are_known_by_the_graph():
    inputs = keras.Input(tiny.SHAPE)
    layer = keras.layers.Dense(3)
    model = keras.Model(inputs, layer(keras.layers.Flatten()(inputs)))
    layer.set_weights([np.zeros((16, 3)), np.array([0.2, 0.3, 0.9])])
    np.testing.assert_allclose(_read(model, DATA)(PIXELS)[0], [0.2, 0.3, 0.9])


@pytest.mark.parametrize("size", [(8, 8), (2, 3), (3, 9), (4, 5)])
def test_an_exact_network_is_shown_the_same_resized_images(size, rng):
    inputs = keras.Input((*size, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    exact, usual = (_read(model, DATA, exact=one, input_size=size) for one in (True, False))
    np.testing.assert_allclose(exact(PIXELS), usual(PIXELS), rtol=1e-4, atol=1e-3)
