"""What a program that runs a TFLite file relies on, and what is refused."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from okd_tf import errors
from okd_tf.export import network, parity, tflite, tflite_file


class Cholesky(keras.layers.Layer):
    """A layer that the stock runtime has no operation for, though TensorFlow's kernels do."""

    def call(self, inputs):
        gram = tf.matmul(inputs, inputs, transpose_a=True) + tf.eye(inputs.shape[-1])
        return inputs @ tf.linalg.cholesky(gram)


class InverseErrorFunction(keras.layers.Layer):
    """A layer that neither the stock runtime nor TensorFlow's kernels in it have an operation for."""

    def call(self, inputs):
        return tf.math.erfinv(tf.tanh(inputs))


def with_layer(layer):
    inputs = keras.Input([8, 8, 1])
    features = layer(keras.layers.Reshape([8, 8])(inputs))
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(features)))


def tensors(content):
    interpreter = litert.Interpreter(model_content=content)
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    return [(np.dtype(tensor["dtype"]).name, tensor["shape"].tolist()) for tensor in (inputs, outputs)]


@pytest.fixture(scope="module")
def float32(random_model):
    return tflite.convert_float32(network.of_model(random_model))


def test_float32_takes_one_image_of_pixels_and_gives_logits(float32, random_model, splits, tmp_path):
    assert tensors(float32) == [("float32", [1, 8, 8, 1]), ("float32", [1, 10])]
    path = tmp_path / "model.tflite"
    path.write_bytes(float32)
    expected = parity.logits(network.of_model(random_model), splits.test.images)
    logits = parity.run_tflite(path, splits.test.images).outputs
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_signature_names_pixels_and_logits(float32):
    signatures = litert.Interpreter(model_content=float32).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["pixels"], "outputs": ["logits"]}}


def test_converting_twice_gives_the_same_bytes(float32, random_model):
    assert tflite.convert_float32(network.of_model(random_model)) == float32


def test_int8_is_integers_from_end_to_end(random_model, images):
    before = images.copy()
    content = tflite.convert_int8(network.of_model(random_model), images)
    np.testing.assert_array_equal(images, before)
    assert tensors(content) == [("uint8", [1, 8, 8, 1]), ("int8", [1, 10])]
    interpreter = litert.Interpreter(model_content=content)
    used = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert np.float32 not in used
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_int8_refuses_images_that_set_no_range(random_model, dtype):
    count = 0 if dtype == np.uint8 else 4
    with pytest.raises(errors.UserError, match="expected uint8 representative images"):
        tflite.convert_int8(network.of_model(random_model), np.zeros((count, 8, 8, 1), dtype))


@pytest.mark.parametrize(
    ("layer", "operation", "format_name"),
    [(Cholesky, "Cholesky", "float32"), (InverseErrorFunction, "Erfinv", "int8")],
)
def test_operations_outside_the_stock_runtime_are_refused(layer, operation, format_name, images, capfd):
    with pytest.raises(errors.UserError, match=f"has no {operation};") as caught:
        tflite.FORMATS[format_name](network.of_model(with_layer(layer())), images)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_conversion_prints_nothing(random_model, images, capfd):
    tflite.convert_int8(network.of_model(random_model), images)
    assert capfd.readouterr() == ("", "")


def test_foreign_operations_are_seen_in_a_written_file(float32):
    assert tflite_file.foreign_operations(float32) == []
    # Made outside this package, whose own conversion refuses it.
    model = with_layer(Cholesky())
    function = tf.function(model, input_signature=[tf.TensorSpec([1, 8, 8, 1])], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    assert tflite_file.foreign_operations(converter.convert()) == ["FlexCholesky"]


def _elu_and_relu():
    inputs = keras.Input([8, 8, 1])
    features = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    for name in ("elu", "elu_1"):
        features = keras.layers.ELU(name=name)(keras.layers.Conv2D(4, 3)(features))
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(features)))


def test_operations_that_stay_in_float_are_named_with_their_layers(images):
    exported = network.of_model(_elu_and_relu())
    found = tflite_file.arithmetic(tflite.convert_int8(exported, images), exported.scopes)
    assert found.float_operations == ["ELU in layer 'elu'", "ELU in layer 'elu_1'"]
    # Three convolutions (in the first lies the scaling), two ELUs, a reshaping and a dense layer.
    assert found.integer_share == pytest.approx(1 - 2 / 7)


def test_of_layers_within_models_the_innermost_is_named(images):
    inputs = keras.Input([8, 8, 1])
    pixels = keras.Input([8, 8, 1])
    inner = keras.Model(inputs, keras.layers.ELU(name="deep")(keras.layers.Conv2D(4, 3)(inputs)))
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(inner(pixels * 0.01)))
    exported = network.of_model(keras.Model(pixels, outputs))
    found = tflite_file.arithmetic(tflite.convert_int8(exported, images), exported.scopes)
    assert found.float_operations == ["ELU in layer 'deep'"]


def test_all_of_a_network_of_this_project_is_integers(random_model, images):
    exported = network.of_model(random_model)
    found = tflite_file.arithmetic(tflite.convert_int8(exported, images), exported.scopes)
    assert found == tflite_file.Arithmetic(1.0, [])


def _concatenated(pixels):
    features = keras.layers.Conv2D(3, 3, padding="same")(keras.layers.Rescaling(1 / 50, -2.0)(pixels))
    return keras.layers.Concatenate()([pixels, features * 100.0])


@pytest.mark.parametrize(
    "front", [_concatenated, keras.applications.resnet50.preprocess_input], ids=["concatenated", "caffe"]
)
def test_an_input_that_shares_another_scale_takes_bytes_all_the_same(front, rng, tmp_path):
    images = rng.integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
    pixels = keras.Input([8, 8, 3])
    features = keras.layers.Conv2D(4, 3, activation="relu")(front(pixels))
    model = keras.Model(pixels, keras.layers.Dense(10)(keras.layers.Flatten()(features)))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite.convert_int8(network.of_model(model), images))
    interpreter = litert.Interpreter(model_path=str(path))
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)
    found, expected = parity.run_tflite(path, images).outputs, model(images.astype(np.float32)).numpy()
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


def test_an_input_that_is_taken_by_more_than_its_quantisation_is_refused(images):
    inputs = keras.Input([8, 8, 1])
    features = keras.ops.where(inputs > 127.0, inputs, -inputs)
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(features)))
    with pytest.raises(errors.UserError, match=r"cannot take bytes as they are; .*=saved_model,float32$"):
        tflite.convert_int8(network.of_model(model), images)


@pytest.mark.slow
def test_a_layer_that_ends_the_converter_s_process_is_named(images):
    inputs = keras.Input([8, 8, 1])
    features = keras.layers.GRU(3, name="memory")(keras.layers.Reshape([8, 8])(inputs))
    exported = network.of_model(keras.Model(inputs, keras.layers.Dense(10)(features)))
    with pytest.raises(errors.UserError, match=r"at layer 'memory' \(GRU\) \(its process ended by") as caught:
        tflite.convert_int8(exported, images)
    assert str(caught.value).endswith("or go without by --export_formats=saved_model,float32")


def test_layers_that_keras_has_quantised_are_named(images):
    inputs = keras.Input([8, 8, 1])
    model = keras.Model(inputs, keras.layers.Dense(10, name="head")(keras.layers.Flatten()(inputs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the input's layer cannot be quantised
        model.quantize("int8")
    with pytest.raises(errors.UserError, match=r"Keras has quantised 'head' to int8 .*=saved_model$"):
        tflite.convert_float32(network.of_model(model))


@pytest.mark.slow
def test_a_layer_that_is_dead_is_named_since_the_runtime_has_no_range_for_it(images):
    inputs = keras.Input([8, 8, 1])
    dead = keras.layers.Conv2D(
        4, 3, activation="relu", bias_initializer=keras.initializers.Constant(-1e4), name="dead"
    )
    features = keras.layers.Conv2D(4, 3, use_bias=False)(dead(inputs))
    exported = network.of_model(keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(features))))
    with pytest.raises(errors.UserError, match="layer 'dead' gives the same number for all training images"):
        tflite.convert_int8(exported, images)
    assert tflite.convert_float32(exported)
