"""Residual networks with pre-activation, narrow and wide, against what was published about them."""

import keras
import numpy as np
import pytest

from okd_tf import backbones
from okd_tf.backbones import preact_resnet, wide_resnet


def _build(name, width=16, input_shape=(32, 32, 3), classes=100):
    channels = input_shape[-1]
    return backbones.build(name, width, input_shape, classes, (120.0,) * channels, (60.0,) * channels)


def _trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        # As the codebase of Tian et al., "Contrastive Representation Distillation" (2020), counts them.
        ("wrn16_2", 703_284),
        ("wrn40_1", 569_780),
        pytest.param("wrn40_2", 2_255_156, marks=pytest.mark.slow),
    ],
)
def test_wide_networks_have_the_published_parameters_for_100_classes(name, params):
    assert _trainable(_build(name).model) == params


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "millions"),
    # Zagoruyko & Komodakis (2016), tables 4 and 5, for 10 classes; He et al. (2016), table 2.
    [("wrn40_1", 0.6), ("wrn40_2", 2.2), ("wrn40_4", 8.9), ("wrn28_10", 36.5), ("preact_resnet110", 1.7)],
)
def test_parameters_round_to_those_of_the_papers_for_10_classes(name, millions):
    assert round(_trainable(_build(name, classes=10).model) / 1e6, 1) == millions


def _by_hand(blocks, channels, classes):
    """Of a stem of 16 channels and blocks of two convolutions, each after a batch norm."""
    total, before = 3 * 9 * 16, 16
    for own in channels:
        for _ in range(blocks):
            total += 2 * before + 9 * before * own + 2 * own + 9 * own * own
            total += before * own if before != own else 0
            before = own
    return total + 2 * before + before * classes + classes


@pytest.mark.parametrize(("name", "blocks"), [("preact_resnet20", 3), ("preact_resnet32", 5)])
def test_narrow_networks_have_the_parameters_of_their_formula(name, blocks):
    assert _trainable(_build(name).model) == _by_hand(blocks, (16, 32, 64), 100)


def test_an_attach_point_is_a_sum_that_is_activated_only_after_it():
    backbone = _build("wrn16_1", 4, (8, 8, 1))
    assert backbone.attach_points == tuple(
        f"stage{stage}_block{block}_out" for stage in (1, 2, 3) for block in (1, 2)
    )
    for point in backbone.attach_points:
        layer = backbone.model.get_layer(point)
        assert isinstance(layer, keras.layers.Add)
        readers = {node.operation.name for node in layer._outbound_nodes}
        assert any(name.endswith("_bn") for name in readers), readers


def _sources(model, name):
    """The names of the layers that an Add adds."""
    return {tensor._keras_history.operation.name for tensor in model.get_layer(name).input}


def test_the_first_block_adds_its_stem_if_wide_and_what_is_activated_if_not():
    wide, narrow = (_build(name, 4, (8, 8, 1)).model for name in ("wrn16_1", "preact_resnet20"))
    assert _sources(wide, "stage1_block1_out") == {"stem_conv", "stage1_block1_2_conv"}
    assert _sources(narrow, "stage1_block1_out") == {"stage1_block1_1_relu", "stage1_block1_2_conv"}
    for model in (wide, narrow):
        assert _sources(model, "stage1_block2_out") == {"stage1_block1_out", "stage1_block2_2_conv"}
        assert _sources(model, "stage2_block1_out") == {
            "stage2_block1_shortcut_conv",
            "stage2_block1_2_conv",
        }
        shortcut = model.get_layer("stage2_block1_shortcut_conv").input
        assert shortcut._keras_history.operation.name == "stage2_block1_1_relu"


@pytest.mark.parametrize(("name", "expected"), [("wrn16_2", (8, 16, 32)), ("preact_resnet20", (4, 8, 16))])
def test_channels_of_the_stages_are_of_the_width(name, expected):
    backbone = _build(name, 4, (8, 8, 1))
    channels = [backbone.model.get_layer(point).output.shape[-1] for point in backbone.attach_points]
    assert tuple(dict.fromkeys(channels)) == expected
    assert backbone.model.get_layer("stem_conv").output.shape[-1] == 4


@pytest.mark.parametrize("depth", [4, 17, 20, -2])
def test_a_depth_that_is_not_6n_plus_4_is_refused(depth):
    with pytest.raises(ValueError, match=rf"6n\+4.*{depth}"):
        wide_resnet.build(depth, 2, 4, (8, 8, 1), 10, (0.0,), (1.0,))


@pytest.mark.parametrize("depth", [2, 21, 16, -4])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=rf"6n\+2.*{depth}"):
        preact_resnet.build(depth, 4, (8, 8, 1), 10, (0.0,), (1.0,))
