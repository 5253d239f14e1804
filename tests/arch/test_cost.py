"""FLOPs by hand, and against the count of TensorFlow's profiler."""

import random

import branched
import hypothesis
import keras
import pytest
import tensorflow as tf
import tiny
from hypothesis import strategies as st

from okd_tf import backbones
from okd_tf.arch import build, cost, space, spec

MEAN, STD = (100.0,), (50.0,)
COUNTED = {"Conv2D", "DepthwiseConv2dNative", "MatMul"}


def _profiled(model):
    """FLOPs of the convolutions and matrix products that TensorFlow runs for one image."""
    shape = tf.TensorSpec((1, *model.input_shape[1:]))
    graph = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(shape).graph
    options = {**tf.compat.v1.profiler.ProfileOptionBuilder.float_operation(), "output": "none"}
    open_nodes = [tf.compat.v1.profiler.profile(graph, cmd="op", options=options)]
    found = 0
    while open_nodes:
        node = open_nodes.pop()
        found += node.float_ops if node.name in COUNTED else 0
        open_nodes.extend(node.children)
    return found


def _flops(*layers, shape):
    inputs = outputs = keras.Input(shape)
    for layer in layers:
        outputs = layer(outputs)
    return cost.of_model(keras.Model(inputs, outputs)).flops


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (keras.layers.Conv1D(4, 3, padding="same"), (10, 2), 2 * 10 * 3 * 2 * 4),
        (keras.layers.Conv2D(4, 3, dilation_rate=2), (8, 8, 6), 2 * 4 * 4 * 9 * 6 * 4),
        (keras.layers.Conv2D(4, (3, 1), groups=2), (8, 8, 6), 2 * 6 * 8 * 3 * 3 * 4),
        (keras.layers.Conv2D(4, 3, strides=2, padding="same"), (7, 8, 6), 2 * 4 * 4 * 9 * 6 * 4),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 6), 2 * 6 * 6 * 9 * 6 * 2),
        (keras.layers.DepthwiseConv1D(3), (8, 6), 2 * 6 * 3 * 6),
        (
            keras.layers.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, padding="same"),
            (8, 8, 6),
            2 * 4 * 4 * (9 * 12 + 12 * 4),
        ),
        # Each of the 4 x 4 inputs meets the whole kernel, whatever the stride spreads it over.
        (keras.layers.Conv2DTranspose(5, 3, strides=2, padding="same"), (4, 4, 6), 2 * 4 * 4 * 9 * 6 * 5),
        (keras.layers.Dense(5), (7,), 2 * 7 * 5),
        (keras.layers.Dense(5), (3, 4, 7), 2 * 3 * 4 * 7 * 5),
        (keras.layers.BatchNormalization(), (8, 8, 6), 0),
    ],
)
def test_flops_of_one_layer_by_hand(layer, shape, expected):
    assert _flops(layer, shape=shape) == expected


def test_a_layer_called_twice_is_paid_twice_in_flops_and_once_in_parameters():
    inputs = keras.Input((8, 8, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same")
    found = cost.of_model(keras.Model(inputs, keras.layers.MaxPooling2D()(shared(shared(inputs)))))
    assert found == spec.Cost(params=9 * 3 * 3 + 3, flops=2 * (2 * 64 * 9 * 3 * 3))


def test_a_model_within_a_model_is_counted_for_the_size_it_is_given():
    inner = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    assert _flops(inner, shape=(8, 8, 3)) == 2 * 64 * 9 * 3 * 4


def test_layers_that_cannot_be_counted_are_named():
    inputs = keras.Input((4, 4, 8))
    features = keras.layers.LayerNormalization(axis=(1, 2, 3))(keras.layers.PReLU()(inputs))
    features = keras.layers.EinsumDense("abcd,de->abce", (4, 4, 5), name="einsum")(features)
    nested = keras.Sequential([keras.Input((4, 4, 5)), keras.layers.Reshape((16, 5))], name="flat")
    nested.add(keras.layers.LSTM(3, name="lstm"))
    model = keras.Model(inputs, keras.layers.Dense(2)(nested(features)))
    assert cost.uncounted(model) == ("einsum", "lstm")
    assert cost.of_model(model).flops == 2 * 3 * 2
    assert cost.uncounted(branched.make()) == ()


@hypothesis.given(seed=st.integers(0, 2**32))
@hypothesis.settings(max_examples=5)
def test_flops_of_students_are_those_of_the_profiler(seed):
    arguments = ("resnet8", 3, (9, 7, 3), 5, MEAN * 3, STD * 3)
    of = space.SearchSpace.around(backbones.build(*arguments))
    architecture = tiny.draw(of, random.Random(seed))
    record = spec.ArchSpec(*arguments, of.add_ons(architecture), of.cost(architecture))
    assert _profiled(build.student(record)) == of.cost(architecture).flops


def test_flops_of_a_model_with_branches_are_those_of_the_profiler():
    model = branched.make()
    assert _profiled(model) == cost.of_model(model).flops


def test_flops_of_mobilenet_v2_are_those_of_the_profiler():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=10)
    assert _profiled(model) == cost.of_model(model).flops
