"""Logits over arrays of images, and what is read from them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf.training import inference

IMAGES = tiny.make_examples(11, 0).images


def test_the_first_of_tied_logits_is_the_prediction():
    logits = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    assert inference.accuracy(logits, np.array([0, 1, 0, 0])) == 1.0
    assert inference.accuracy(logits, np.array([1, 2, 2, 2])) == 0.0
    assert inference.accuracy(logits, np.array([0, 2, 0, 1])) == 0.5


def test_cross_entropy_is_the_mean_negative_log_probability_of_the_label(rng):
    logits, labels = rng.normal(size=(20, 4)).astype(np.float32), rng.integers(0, 4, 20)
    expected = [
        -np.log(np.exp(row[label]) / np.exp(row).sum())
        for row, label in zip(logits.astype(np.float64), labels, strict=True)
    ]
    assert inference.cross_entropy(logits, labels) == pytest.approx(np.mean(expected), rel=1e-9)


def test_cross_entropy_of_huge_logits_is_finite():
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], np.float32)
    assert inference.cross_entropy(logits, np.array([0, 0])) == pytest.approx(5e3)


@pytest.fixture(scope="module")
def network():
    model = tiny.make_backbone().model
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.5, 1, weight.shape) for weight in model.get_weights()])
    return model


def test_logits_do_not_depend_on_the_batch_size(network):
    images = tiny.make_examples(11, 0).images
    expected = network(images.astype(np.float32), training=False).numpy()
    for batch_size in (1, 4, 11, 256):
        found = inference.Predictor(network, batch_size).logits(images)
        assert found.shape == (11, tiny.CLASSES)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_asking_changes_nothing_in_the_network(network):
    before = network.get_weights()
    inference.Predictor(network).logits(tiny.make_examples(5, 0).images)
    for mine, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_evaluation_is_accuracy_and_cross_entropy_of_the_logits(network):
    split, predictor = tiny.make_examples(11, 0), inference.Predictor(network)
    logits = predictor.logits(split.images)
    assert predictor.evaluate(split) == {
        "accuracy": inference.accuracy(logits, split.labels),
        "loss": inference.cross_entropy(logits, split.labels),
    }


def test_what_is_called_as_a_network_is_asked_with_the_shape_of_its_images():
    def brightness(pixels, training):
        return tf.reduce_mean(pixels, axis=[1, 2])

    found = inference.Predictor(brightness, image_shape=tiny.SHAPE).logits(IMAGES)
    np.testing.assert_allclose(found, IMAGES.mean(axis=(1, 2)), rtol=1e-6)


def test_a_network_of_logits_stays_itself(network):
    assert inference.as_logits(network, IMAGES) is network


def test_certain_probabilities_become_finite_logits_whose_softmax_they_are():
    inputs = keras.Input(tiny.SHAPE)
    dense = keras.layers.Dense(tiny.CLASSES, activation="softmax")
    network = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.set_weights([np.zeros((16, tiny.CLASSES)), np.array([500.0, 0.0, 0.0])])
    logits = inference.as_logits(network, IMAGES)(IMAGES[:2].astype(np.float32)).numpy()
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(tf.nn.softmax(logits), [[1, 0, 0]] * 2, atol=1e-6)
