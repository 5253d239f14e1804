"""MobileNetV2 against what the distillation literature says of it."""

import functools

import keras
import numpy as np
import pytest

from okd_tf import backbones
from okd_tf.backbones import mobilenet


def _build(width=16, input_shape=(32, 32, 3), classes=100):
    channels = input_shape[-1]
    return backbones.build(
        "mobilenet_v2", width, input_shape, classes, (120.0,) * channels, (60.0,) * channels
    )


@functools.cache
def _narrow():
    keras.utils.set_random_seed(0)
    return _build(8, (16, 16, 1))


def test_trainable_parameters_are_the_published_ones_for_100_classes():
    # As the codebase of Tian et al., "Contrastive Representation Distillation" (2020), counts them.
    weights = _build().model.trainable_weights
    assert sum(int(np.prod(weight.shape)) for weight in weights) == 812_836


def test_attach_points_are_the_linear_outputs_of_seventeen_inverted_residuals():
    backbone = _narrow()
    assert len(backbone.attach_points) == sum(blocks for *_, blocks, _ in mobilenet.STAGES) == 17
    for point in backbone.attach_points:
        layer = backbone.model.get_layer(point)
        expected = keras.layers.BatchNormalization if "block1" in point else keras.layers.Add
        assert type(layer) is expected
    sizes = [backbone.model.get_layer(point).output.shape[1] for point in backbone.attach_points]
    assert sizes == [8] * 3 + [4] * 3 + [2] * 7 + [1] * 4


def test_a_block_widens_six_times_and_works_on_each_channel_alone():
    model = _narrow().model
    for name, before in (("stage2_block1", 4), ("stage2_block2", 6), ("stage7_block1", 40)):
        depthwise = model.get_layer(f"{name}_2_depthwise")
        assert isinstance(depthwise, keras.layers.DepthwiseConv2D)
        assert depthwise.input.shape[-1] == depthwise.output.shape[-1] == 6 * before
    assert model.get_layer("stage1_block1_2_depthwise").input.shape[-1] == 8


def test_kernels_of_depthwise_convolutions_keep_the_scale_of_their_nine_inputs():
    kernel = _narrow().model.get_layer("stage7_block1_2_depthwise").kernel.numpy()
    assert kernel.size == 9 * 240
    assert 9 * np.var(kernel) == pytest.approx(2, rel=0.2)  # as ReLU halves it
