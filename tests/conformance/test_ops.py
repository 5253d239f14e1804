"""What every candidate operation must do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf.ops import OPS, base, batch_norm

pytestmark = pytest.mark.parametrize("name", OPS)


def _built(name, channels=4, **arguments):
    operation = OPS[name](**arguments)
    operation.build((None, 6, 5, channels))
    # Neither weights nor statistics as they start: a zero offset and a unit scale hide mistakes.
    generator = np.random.default_rng(2)
    operation.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in operation.get_weights()])
    return operation


def _inputs(channels=4):
    return np.random.default_rng(1).normal(size=(3, 6, 5, channels)).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 8, 8, 1), (3, 6, 5, 4), (1, 1, 1, 3), (2, 2, 3, 7)])
def test_keeps_the_shape_of_its_input(name, shape):
    operation = OPS[name]()
    assert operation(np.ones(shape, np.float32)).shape == shape
    assert operation.compute_output_shape(shape) == shape


def test_is_the_chain_of_its_stock_layers(name):
    operation = _built(name)
    inputs = outputs = keras.Input((6, 5, 4))
    layers = OPS[name].stock_layers(4, "x")
    for layer in layers:
        outputs = layer(outputs)
    chain = keras.Model(inputs, outputs)
    assert [weight.shape for weight in chain.get_weights()] == [w.shape for w in operation.get_weights()]
    chain.set_weights(operation.get_weights())
    for training in (False, True):
        expected = chain(_inputs(), training=training)
        np.testing.assert_allclose(operation(_inputs(), training=training), expected, rtol=1e-4, atol=1e-4)
    for left, right in zip(chain.get_weights(), operation.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_stock_layers_are_new_stock_and_named_by_the_prefix(name):
    first, second = OPS[name].stock_layers(4, "x"), OPS[name].stock_layers(4, "x")
    assert not {id(layer) for layer in first} & {id(layer) for layer in second}
    assert all(type(layer) is getattr(keras.layers, type(layer).__name__) for layer in first)
    names = [layer.name for layer in first]
    assert len(set(names)) == len(names)
    assert all(layer_name.startswith("x_") for layer_name in names)


def test_batch_norms_are_fused_and_synchronized_when_asked(name):
    for synchronized in (False, True):
        norms = [
            layer
            for layer in _built(name, synchronized=synchronized).chain
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        assert all(type(norm) is batch_norm.FusedBatchNormalization for norm in norms)
        assert all(norm.synchronized is synchronized for norm in norms)


def test_gradients_are_finite_and_reach_the_input_and_every_weight(name):
    operation, inputs = _built(name), tf.constant(_inputs())
    upstream = np.random.default_rng(3).normal(size=inputs.shape)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(operation(inputs, training=True) * upstream)
    sources = [inputs, *(weight.value for weight in operation.trainable_weights)]
    for gradient in tape.gradient(loss, sources):
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)


def test_config_makes_an_equal_layer(name):
    operation = OPS[name](synchronized=True, name="here")
    again = OPS[name].from_config(operation.get_config())
    assert type(again) is OPS[name]
    assert isinstance(again, base.Operation)
    assert again.get_config() == operation.get_config()
    assert (again.name, again.synchronized) == ("here", True)


def test_is_loaded_from_a_file_as_it_was_saved(name, tmp_path):
    inputs = keras.Input((6, 5, 4))
    model = keras.Model(inputs, _built(name)(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(_inputs()), model(_inputs()))
