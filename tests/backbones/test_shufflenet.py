"""ShuffleNetV2 against what the distillation literature says of it, and its shuffle against NumPy."""

import keras
import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from okd_tf import backbones
from okd_tf.backbones import shufflenet
from okd_tf.export import network, tflite, tflite_file


def _build(width=16, input_shape=(32, 32, 3), classes=100):
    channels = input_shape[-1]
    return backbones.build(
        "shufflenet_v2", width, input_shape, classes, (120.0,) * channels, (60.0,) * channels
    )


def test_trainable_parameters_are_the_published_ones_for_100_classes():
    # As the codebase of Tian et al., "Contrastive Representation Distillation" (2020), counts them.
    weights = _build().model.trainable_weights
    assert sum(int(np.prod(weight.shape)) for weight in weights) == 1_355_528


def test_attach_points_are_the_outputs_of_its_units():
    backbone = _build(4, (16, 8, 1))
    shapes = [backbone.model.get_layer(point).output.shape[1:] for point in backbone.attach_points]
    assert shapes == [(8, 4, 30)] * 4 + [(4, 2, 58)] * 8 + [(2, 1, 116)] * 4


@pytest.fixture(scope="module")
def halves():
    """Splitting and shuffling alone: (left half, right half, shuffled the other way round)."""
    inputs = keras.Input((3, 2, 6))
    left, right = shufflenet._split(inputs, "unit")
    return keras.Model(inputs, [left, right, shufflenet._shuffled(right, left, "unit")])


def test_channels_are_split_in_the_middle_and_put_together_in_turn(halves, rng):
    pixels = rng.normal(size=(5, 3, 2, 6)).astype(np.float32)
    left, right, shuffled = (output.numpy() for output in halves(pixels))
    np.testing.assert_array_equal(left, pixels[..., :3])
    np.testing.assert_array_equal(right, pixels[..., 3:])
    np.testing.assert_array_equal(shuffled, pixels[..., [3, 0, 4, 1, 5, 2]])


@pytest.mark.slow
def test_splitting_and_shuffling_are_of_the_stock_runtime_in_eight_bits_too(rng):
    inputs = keras.Input((4, 4, 6))
    left, right = shufflenet._split(inputs, "unit")
    outputs = shufflenet._shuffled(right, left, "unit")
    model = keras.Model(inputs, keras.layers.Flatten()(outputs))
    images = rng.integers(0, 256, (8, 4, 4, 6), dtype=np.uint8)
    for content in (
        tflite.convert_float32(network.of_model(model)),
        tflite.convert_int8(network.of_model(model), images),
    ):
        assert tflite_file.foreign_operations(content) == []
        interpreter = litert.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.set_tensor(source["index"], images[:1].astype(source["dtype"]))
        interpreter.invoke()
        found = interpreter.get_tensor(sink["index"]).astype(np.float32)
        scale, zero_point = sink["quantization"]
        found = (found - zero_point) * scale if scale else found
        np.testing.assert_allclose(found, model(images[:1].astype(np.float32)), atol=1.0)
