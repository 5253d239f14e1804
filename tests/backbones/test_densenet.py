"""DenseNet-BC against what was published about it."""

import keras
import numpy as np
import pytest

from okd_tf import backbones
from okd_tf.backbones import densenet


def _build(name, width=16, input_shape=(32, 32, 3), classes=10):
    channels = input_shape[-1]
    return backbones.build(name, width, input_shape, classes, (120.0,) * channels, (60.0,) * channels)


def _trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.slow
def test_a_hundred_layers_have_the_published_parameters():
    # Huang et al. (2017), table 2: 0.8 million; the exact count is that of the authors' PyTorch version.
    assert _trainable(_build("densenet100_12").model) == 769_162


def test_forty_layers_have_the_parameters_of_their_formula():
    growth, channels = 12, 24
    total = 3 * 9 * channels
    for block in range(3):
        for _ in range(6):
            total += 2 * channels + channels * 4 * growth + 2 * 4 * growth + 9 * 4 * growth * growth
            channels += growth
        if block < 2:
            total += 2 * channels + channels * (channels // 2)
            channels //= 2
    total += 2 * channels + channels * 10 + 10
    assert _trainable(_build("densenet40_12").model) == total == 176_122


def test_a_dense_layer_adds_as_many_channels_as_it_grows_by_and_keeps_those_before():
    model = _build("densenet40_12", 4, (8, 8, 1)).model  # a quarter of the growth: 3
    added = [layer for layer in model.layers if isinstance(layer, keras.layers.Concatenate)]
    assert len(added) == 18
    for layer in added:
        before, new = (tensor.shape[-1] for tensor in layer.input)
        assert new == 3
        assert layer.output.shape[-1] == before + 3
    assert model.get_layer("stem_conv").output.shape[-1] == 6


def test_attach_points_are_blocks_and_transitions_which_halve_size_and_channels():
    backbone = _build("densenet40_12", 4, (8, 8, 1))
    shapes = {point: backbone.model.get_layer(point).output.shape[1:] for point in backbone.attach_points}
    assert shapes == {
        "block1_out": (8, 8, 24),
        "transition1_out": (4, 4, 12),
        "block2_out": (4, 4, 30),
        "transition2_out": (2, 2, 15),
        "block3_out": (2, 2, 33),
    }


@pytest.mark.parametrize(("width", "growth"), [(16, 12), (8, 6), (2, 2), (1, 1)])
def test_the_growth_rate_is_in_proportion_to_the_width_and_at_least_one(width, growth):
    model = _build("densenet40_12", width, (4, 4, 1)).model
    assert model.get_layer("block1_layer1_2_conv").filters == growth


@pytest.mark.parametrize("depth", [4, 41, -2])
def test_a_depth_that_is_not_6n_plus_4_is_refused(depth):
    with pytest.raises(ValueError, match=rf"6n\+4.*{depth}"):
        densenet.build(depth, 12, 16, (8, 8, 1), 10, (0.0,), (1.0,))
