"""Strided 1x1 convolutions of few channels: the stock layer's function, with gradients that do not crash."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf.ops import batch_norm, strided_conv


def _network(channels, strides=2, kernel_size=1, **more):
    pixels = keras.Input((None, None, channels))
    layer = keras.layers.Conv2D(8, kernel_size, strides=strides, name="shortcut", **more)
    return keras.Model(pixels, layer(pixels))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(48, 48), (49, 64), (7, 5)])
def test_outputs_are_the_stock_layer_s_and_gradients_those_by_hand(rng, size, padding):
    # From 48 pixels on, the gradient of the stock layer of 4 channels ends the process on AVX-512.
    network = _network(4, padding=padding)
    twin = batch_norm.fused_copy(network)
    assert type(twin.get_layer("shortcut")) is strided_conv.TakingConv2D
    inputs = tf.constant(rng.normal(size=(2, *size, 4)).astype(np.float32))
    expected = network(inputs)
    kernel = twin.get_layer("shortcut").kernel.value
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = twin(inputs)
        upstream = rng.normal(size=outputs.shape).astype(np.float32)
        loss = tf.reduce_sum(outputs * upstream)
    by_inputs, by_kernel = tape.gradient(loss, [inputs, kernel])
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    taken = inputs.numpy()[:, ::2, ::2]
    np.testing.assert_allclose(by_kernel[0, 0], np.einsum("bhwi,bhwo->io", taken, upstream), atol=1e-3)
    np.testing.assert_allclose(by_inputs[:, ::2, ::2], upstream @ kernel.numpy()[0, 0].T, atol=1e-5)
    assert not np.any(by_inputs[:, 1::2])


def test_only_what_may_crash_is_replaced_and_the_saved_network_is_stock():
    for network in (_network(16), _network(4, strides=1), _network(4, kernel_size=3), _network(4, groups=4)):
        assert batch_norm.fused_copy(network).get_layer("shortcut") is network.get_layer("shortcut")
    network = _network(15, padding="same")
    back = batch_norm.stock_copy(batch_norm.fused_copy(network))
    assert type(back.get_layer("shortcut")) is keras.layers.Conv2D
    assert back.get_layer("shortcut").get_config() == network.get_layer("shortcut").get_config()
    for mine, theirs in zip(back.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_clone_for_a_search_is_replaced_as_well():
    network = _network(4)
    clone = batch_norm.fused_clone(network.get_layer("shortcut"), network)
    assert type(clone) is strided_conv.TakingConv2D
    assert clone.name == "shortcut"


def test_a_clone_has_the_initial_weights_of_a_stock_layer_and_leaves_those_of_others_alone():
    network = _network(4)
    stock = network.get_layer("shortcut")
    drawn = []
    for make in (
        lambda: batch_norm.fused_clone(stock, network),
        lambda: type(stock).from_config(stock.get_config()),
    ):
        keras.utils.set_random_seed(3)
        layer = make()
        layer.build((None, 8, 8, 4))
        drawn.append((layer.kernel.numpy().tolist(), random.random()))
    assert drawn[0] == drawn[1]
