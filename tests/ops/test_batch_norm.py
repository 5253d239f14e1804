"""The fused batch norm against Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf.ops import batch_norm, precision

ARGUMENTS = {
    "momentum": 0.7,
    "epsilon": 1e-3,
    "gamma_initializer": keras.initializers.RandomUniform(0.5, 2.0, seed=1),
    "beta_initializer": keras.initializers.RandomUniform(-1.0, 1.0, seed=2),
}


def _twins(shape=(None, 5, 6, 3), **arguments):
    layers = (
        keras.layers.BatchNormalization(**ARGUMENTS, **arguments),
        batch_norm.FusedBatchNormalization(**ARGUMENTS, **arguments),
    )
    for layer in layers:
        layer.build(shape)
    for left, right in zip(layers[0].weights, layers[1].weights, strict=True):
        np.testing.assert_array_equal(left, right)
    return layers


def _train(layer, inputs, upstream):
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs * upstream)
    return outputs, tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])


def test_training_gives_keras_s_outputs_gradients_and_moving_statistics(rng):
    stock, fused = _twins()
    for _ in range(3):
        inputs = (rng.normal(size=(4, 5, 6, 3)) * [1, 3, 0.5] + [0, 2, -5]).astype(np.float32)
        upstream = rng.normal(size=inputs.shape).astype(np.float32)
        (expected, expected_gradients), (outputs, gradients) = (
            _train(layer, inputs, upstream) for layer in (stock, fused)
        )
        np.testing.assert_allclose(outputs, expected, atol=2e-5)
        for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(fused.moving_mean, stock.moving_mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(fused.moving_variance, stock.moving_variance, rtol=1e-5)
    assert np.any(np.abs(fused.moving_mean.numpy()) > 0.5)


@pytest.mark.parametrize(("scale", "center"), [(False, True), (True, False), (False, False)])
def test_a_layer_without_scale_or_center_gives_keras_s_outputs_gradients_and_statistics(rng, scale, center):
    stock, fused = _twins(scale=scale, center=center)
    inputs = tf.constant(rng.normal(size=(4, 5, 6, 3)).astype(np.float32) * 2 + 1)
    upstream = rng.normal(size=inputs.shape).astype(np.float32)
    gradients = []
    for layer in (stock, fused):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs * upstream)
        gradients.append((outputs, *tape.gradient(loss, [inputs, *layer.trainable_variables])))
    assert len(gradients[0]) == 2 + scale + center
    for left, right in zip(*gradients, strict=True):
        np.testing.assert_allclose(right, left, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fused.moving_variance, stock.moving_variance, rtol=1e-5)
    np.testing.assert_allclose(fused(inputs), stock(inputs), atol=1e-5)


def test_inference_gives_keras_s_outputs_and_moves_nothing(rng):
    stock, fused = _twins()
    inputs = rng.normal(size=(4, 5, 6, 3)).astype(np.float32) + 3
    weights = np.array([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0], [1.0, 2.0, 3.0], [0.5, 1.0, 4.0]])
    for layer in (stock, fused):
        layer.set_weights(list(weights))
    before = fused.get_weights()
    np.testing.assert_allclose(fused(inputs, training=False), stock(inputs, training=False), atol=1e-5)
    np.testing.assert_allclose(fused(inputs), stock(inputs), atol=1e-5)
    for left, right in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_frozen_layer_uses_and_keeps_its_moving_statistics_in_training(rng):
    stock, fused = _twins()
    inputs = rng.normal(size=(4, 5, 6, 3)).astype(np.float32) + 3
    stock.trainable = fused.trainable = False
    np.testing.assert_allclose(fused(inputs, training=True), stock(inputs, training=True), atol=1e-5)
    np.testing.assert_array_equal(fused.moving_mean, np.zeros(3))


def test_training_inside_a_graph_moves_the_statistics(rng):
    stock, fused = _twins()
    step = tf.function(lambda inputs: fused(inputs, training=True))
    inputs = rng.normal(size=(4, 5, 6, 3)).astype(np.float32) + 3
    np.testing.assert_allclose(step(inputs), stock(inputs, training=True), atol=1e-5)
    np.testing.assert_allclose(fused.moving_variance, stock.moving_variance, rtol=1e-5)


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
def test_in_sixteen_bits_scale_offset_and_statistics_stay_float32(rng, compute):
    stock, fused = _twins(dtype=f"mixed_{compute}")
    exact = _twins()[1]
    for layer in (stock, fused, exact):
        # Of more digits than sixteen bits hold.
        layer.gamma.assign([1.001, 0.3333, 2.0001])
        layer.beta.assign([1e-3, 7.0007, 0.0])
    inputs = tf.cast(rng.normal(size=(4, 5, 6, 3)) + 3, compute)
    outputs = fused(inputs, training=True)
    assert outputs.dtype == compute
    # But for the rounding of what leaves.
    expected = tf.cast(exact(tf.cast(inputs, tf.float32), training=True), compute)
    same = np.mean(outputs.numpy().astype(np.float32) == expected.numpy().astype(np.float32))
    assert same > 0.98
    by_keras = tf.cast(stock(inputs, training=True), tf.float32)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), by_keras, atol=0.05)
    assert {weight.dtype for weight in fused.weights} == {"float32"}
    np.testing.assert_allclose(fused.moving_mean, exact.moving_mean, rtol=1e-6)
    np.testing.assert_allclose(fused.moving_variance, exact.moving_variance, rtol=1e-6)


def test_synchronized_on_one_replica_is_as_on_its_own(rng):
    alone, synchronized = _twins()[1], _twins(synchronized=True)[1]
    inputs = rng.normal(size=(4, 5, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(synchronized(inputs, training=True), alone(inputs, training=True))
    np.testing.assert_array_equal(synchronized.moving_variance, alone.moving_variance)


def test_features_without_height_and_width_are_normalised_as_keras_does(rng):
    stock, fused = _twins(shape=(None, 3))
    inputs = rng.normal(size=(16, 3)).astype(np.float32) + 2
    for training in (True, False):
        np.testing.assert_allclose(
            fused(inputs, training=training), stock(inputs, training=training), atol=1e-5
        )


def test_stock_has_the_momentum_and_epsilon_written_here():
    layer = batch_norm.stock("bn")
    assert type(layer) is keras.layers.BatchNormalization
    assert (layer.name, layer.momentum, layer.epsilon) == ("bn", batch_norm.MOMENTUM, batch_norm.EPSILON)


def test_fuse_keeps_every_setting_of_the_layer():
    layer = keras.layers.BatchNormalization(momentum=0.8, epsilon=0.01, name="bn", trainable=False)
    fused = batch_norm.fuse(layer)
    assert type(fused) is batch_norm.FusedBatchNormalization
    assert fused.get_config() == layer.get_config()
    assert batch_norm.fuse(layer, synchronized=True).synchronized


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.BatchNormalization(axis=1),
        keras.layers.BatchNormalization(renorm=True),
        batch_norm.FusedBatchNormalization(),
        keras.layers.LayerNormalization(),
        keras.layers.Conv2D(3, 1),
    ],
)
def test_fuse_leaves_a_layer_it_cannot_stand_for_alone(layer):
    assert batch_norm.fuse(layer) is layer


def _network():
    inputs = keras.Input((6, 6, 2), name="pixels")
    features = keras.layers.Conv2D(3, 3, name="conv")(inputs)
    features = batch_norm.stock("bn")(features)
    features = keras.layers.BatchNormalization(axis=2, name="unsuitable")(features)
    features = keras.layers.Flatten(name="flat")(features)
    model = keras.Model(inputs, batch_norm.stock("bn_flat")(features))
    model(np.random.default_rng(3).normal(size=(8, 6, 6, 2)).astype(np.float32) * 4 + 1, training=True)
    return model


def test_copies_give_the_same_outputs_there_and_back(rng):
    model = _network()
    fused = batch_norm.fused_copy(model)
    back = batch_norm.stock_copy(fused)
    assert type(fused.get_layer("bn")) is batch_norm.FusedBatchNormalization
    assert type(fused.get_layer("unsuitable")) is keras.layers.BatchNormalization
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in model.layers]
    assert [layer.get_config() for layer in back.layers] == [layer.get_config() for layer in model.layers]
    inputs = rng.normal(size=(4, 6, 6, 2)).astype(np.float32)
    expected = model(inputs).numpy()
    np.testing.assert_allclose(fused(inputs), expected, atol=1e-5)
    np.testing.assert_array_equal(back(inputs), expected)


def test_a_synchronized_copy_comes_back_unsynchronized():
    fused = batch_norm.fused_copy(_network(), synchronized=True)
    assert fused.get_layer("bn").synchronized
    assert not batch_norm.stock_copy(fused).get_layer("bn").synchronized


def test_a_twin_has_batch_norms_of_its_own_and_shares_the_rest(rng):
    model = _network()
    fused = batch_norm.fused_copy(model)
    stock = batch_norm.stock_copy(fused)
    fused(rng.normal(size=(4, 6, 6, 2)).astype(np.float32), training=True)
    moved, *still = (net.get_layer("bn").moving_mean.numpy() for net in (fused, stock, model))
    assert all(np.any(moved != other) for other in still)
    for layer, twin in zip(model.layers, fused.layers, strict=True):
        own = isinstance(twin, batch_norm.FusedBatchNormalization | keras.layers.InputLayer)
        assert (twin is layer) != own
    assert isinstance(fused.get_layer("bn"), batch_norm.FusedBatchNormalization)


def test_a_twin_keeps_what_a_normalization_layer_has_adapted_to(rng):
    images = rng.normal(100.0, 50.0, size=(8, 6, 6, 2)).astype(np.float32)
    adapted = keras.layers.Normalization()
    adapted.adapt(images)
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, keras.layers.BatchNormalization()(adapted(inputs)))
    for twin in (batch_norm.fused_copy(model), batch_norm.stock_copy(batch_norm.fused_copy(model))):
        np.testing.assert_allclose(twin(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
def test_a_copy_in_sixteen_bits_scales_pixels_and_gives_logits_in_32_and_comes_back(rng, compute):
    images = rng.integers(0, 256, size=(8, 6, 6, 2)).astype(np.float32)
    adapted = keras.layers.Normalization(name="adapted")
    adapted.adapt(images)
    inputs = keras.Input((6, 6, 2))
    features = keras.layers.Rescaling(1 / 3, name="scaled")(adapted(inputs))
    features = keras.layers.Conv2D(8, 3, name="conv")(features)
    features = keras.layers.ReLU(name="relu")(batch_norm.stock("bn")(features))
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Flatten(name="flat")(features))
    model = keras.Model(inputs, logits)
    copy = batch_norm.fused_copy(model, compute=compute)
    computes = {layer.name: layer.compute_dtype for layer in copy.layers[1:]}
    whole = dict.fromkeys(("adapted", "scaled", "logits"), "float32")
    assert computes == {**dict.fromkeys(("conv", "bn", "relu", "flat"), compute), **whole}
    assert not {weight.dtype for weight in copy.weights} & {"bfloat16", "float16"}
    np.testing.assert_allclose(copy(images), model(images), atol=0.05)
    assert np.any(copy(images).numpy() != model(images).numpy())
    back = batch_norm.stock_copy(copy)
    assert {layer.compute_dtype for layer in back.layers} == {"float32"}
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in model.layers]
    np.testing.assert_array_equal(back(images), model(images))


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_a_network_that_was_made_in_another_precision_trains_in_the_one_that_is_asked_for(rng, policy):
    inputs = keras.Input((6, 6, 2))
    features = keras.layers.Conv2D(3, 3, dtype=policy)(inputs)
    features = keras.layers.BatchNormalization(dtype=policy)(features)
    model = keras.Model(inputs, keras.layers.Flatten(dtype=policy)(features))
    for copy in (batch_norm.fused_copy(model), precision.in_float32(model)):
        assert {layer.compute_dtype for layer in copy.layers[1:]} == {"float32"}
        assert {weight.dtype for weight in copy.weights} == {"float32"}
        for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, np.asarray(theirs, np.float32))
