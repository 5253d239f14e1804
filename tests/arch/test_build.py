"""Building students: what they cost and what they compute."""

import dataclasses
import random

import hypothesis
import keras
import numpy as np
import pytest
import tiny
from hypothesis import strategies as st

from okd_tf import backbones, errors
from okd_tf.arch import build, cost, space, spec

MEAN, STD = (100.0,), (50.0,)
POINTS = tuple(f"stage{stage}_block{block}_out" for stage in (1, 2, 3) for block in (1, 2))


@pytest.fixture(scope="module")
def backbone():
    return backbones.build("resnet14", 4, (8, 8, 1), 5, MEAN, STD)


@pytest.fixture(scope="module")
def of(backbone):
    return space.SearchSpace.around(backbone)


def _spec(*add_ons, built_cost):
    return spec.ArchSpec("resnet14", 4, (8, 8, 1), 5, MEAN, STD, tuple(add_ons), built_cost)


def _student(of, architecture):
    return build.student(_spec(*of.add_ons(architecture), built_cost=of.cost(architecture)))


def _choice(of, op, chain, feed_back):
    return of.ops.index(op), chain, feed_back


def _architecture(of, **choices):
    """DEAD but for layer1=(op, chain, feed_back), ..."""
    return tuple(
        _choice(of, *choices[f"layer{layer}"]) if f"layer{layer}" in choices else space.DEAD
        for layer in range(1, of.layers + 1)
    )


def test_the_space_of_a_resnet_chains_within_a_stage(of, backbone):
    assert of.attach_points == backbone.attach_points == POINTS
    assert of.chainable == (False, True, False, True, False, True)
    assert of.base.params == backbone.model.count_params()


@hypothesis.given(seed=st.integers(0, 2**32))
@hypothesis.settings(max_examples=8)
def test_the_built_student_costs_what_the_space_says(of, seed):
    architecture = tiny.draw(of, random.Random(seed))
    model = _student(of, architecture)
    assert model.count_params() == of.cost(architecture).params
    assert cost.of_model(model) == of.cost(architecture)


@pytest.mark.parametrize(("width", "input_shape"), [(5, (8, 8, 1)), (8, (9, 7, 3))])
def test_the_cost_table_holds_for_other_widths_and_odd_sizes(width, input_shape):
    channels = input_shape[-1]
    arguments = (width, input_shape, 10, MEAN * channels, STD * channels)
    of = space.SearchSpace.around(backbones.build("resnet8", *arguments))
    architecture = tuple((op, 1, 1) for op in (1, 4, 2))
    record = spec.ArchSpec("resnet8", *arguments, of.add_ons(architecture), of.cost(architecture))
    assert build.student(record).count_params() == of.cost(architecture).params


def test_parameters_of_each_operation_by_hand(of):
    # 4 channels: kernels, and the 4 vectors of a batch norm.
    assert {name: item.params for name, item in zip(of.ops, of.op_costs[0], strict=True)} == {
        "identity": 0,
        "conv_3x3": 9 * 4 * 4 + 4 * 4,
        "conv_5x5": 25 * 4 * 4 + 4 * 4,
        "sep_conv_3x3": 9 * 4 + 4 * 4 + 4 * 4,
        "sep_conv_5x5": 25 * 4 + 4 * 4 + 4 * 4,
        "max_pool_3x3": 0,
        "avg_pool_3x3": 0,
    }


def test_flops_of_each_operation_by_hand(of):
    # 8 x 8 places and 4 channels, 2 per multiply-add.
    assert {name: item.flops for name, item in zip(of.ops, of.op_costs[0], strict=True)} == {
        "identity": 0,
        "conv_3x3": 2 * 64 * 4 * 9 * 4,
        "conv_5x5": 2 * 64 * 4 * 25 * 4,
        "sep_conv_3x3": 2 * 64 * 4 * (9 + 4),
        "sep_conv_5x5": 2 * 64 * 4 * (25 + 4),
        "max_pool_3x3": 0,
        "avg_pool_3x3": 0,
    }


def test_flops_count_strides_groups_and_dense_layers():
    inputs = keras.Input((8, 8, 6))
    features = keras.layers.Conv2D(4, 3, strides=2, padding="same", groups=2)(inputs)
    features = keras.layers.DepthwiseConv2D(3, depth_multiplier=2)(features)
    features = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, keras.layers.Dense(10)(features))
    strided, depthwise, dense = 2 * 4 * 4 * 4 * 9 * 3, 2 * 2 * 2 * 8 * 9, 2 * 8 * 10
    assert cost.of_model(model).flops == strided + depthwise + dense


def test_flops_of_resnet20_are_the_published_ones():
    model = backbones.build("resnet20", 16, (32, 32, 3), 10, MEAN * 3, STD * 3).model
    # 41 million multiply-adds, in every table of CIFAR networks.
    assert cost.of_model(model).flops / 2e6 == pytest.approx(41, abs=0.5)


def test_a_student_without_add_ons_is_the_backbone(of, backbone, rng):
    model = _student(of, (space.DEAD,) * 6)
    assert [layer.name for layer in model.layers] == [layer.name for layer in backbone.model.layers]
    assert model.count_params() == backbone.model.count_params()
    model.set_weights(backbone.model.get_weights())
    pixels = rng.integers(0, 256, (3, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(model(pixels), backbone.model(pixels), rtol=1e-5, atol=1e-6)


def test_a_student_is_freshly_initialised(of, backbone):
    kernels = [
        model.get_layer("stem_conv").kernel.numpy()
        for model in (_student(of, (space.DEAD,) * 6), _student(of, (space.DEAD,) * 6), backbone.model)
    ]
    assert len({kernel.tobytes() for kernel in kernels}) == 3


def test_dead_layers_are_not_built(of):
    architecture = _architecture(
        of,
        layer1=("conv_3x3", 0, 0),
        layer3=("conv_5x5", 0, 1),
        layer4=("sep_conv_3x3", 1, 0),
        layer6=("identity", 0, 0),
    )
    names = [layer.name for layer in _student(of, architecture).layers if layer.name.startswith("addon")]
    assert names == ["addon3_conv_5x5_conv", "addon3_conv_5x5_bn", "addon3_conv_5x5_relu", "addon3_feed_back"]


def test_a_student_is_made_of_stock_layers(of):
    architecture = tuple((op, 1, 1) for op in range(1, 7))
    for layer in _student(of, architecture).layers:
        assert type(layer) is getattr(keras.layers, type(layer).__name__)


def _between(model, start, end):
    """The part of a network from one layer's output to another's."""
    return keras.Model(model.get_layer(start).output, model.get_layer(end).output)


def _features(model, pixels, point):
    return keras.Model(model.input, model.get_layer(point).output)(pixels).numpy()


def _max_pool(features):
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    height, width = features.shape[1:3]
    return np.max(
        [padded[:, top : top + height, left : left + width] for top in range(3) for left in range(3)], axis=0
    )


def test_identity_with_feed_back_doubles_the_stream(of, backbone, rng):
    model = _student(of, _architecture(of, layer2=("identity", 0, 1)))
    model.set_weights(backbone.model.get_weights())
    pixels = rng.integers(0, 256, (3, 8, 8, 1)).astype(np.float32)
    h = _features(backbone.model, pixels, POINTS[1])
    expected = _between(backbone.model, POINTS[1], "logits")(2 * h)
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4, atol=1e-5)
    assert np.any(np.abs(model(pixels) - backbone.model(pixels)) > 1e-3)


def test_feed_back_adds_what_the_operation_makes(of, backbone, rng):
    model = _student(of, _architecture(of, layer1=("max_pool_3x3", 0, 1)))
    model.set_weights(backbone.model.get_weights())
    pixels = rng.integers(0, 256, (3, 8, 8, 1)).astype(np.float32)
    h = _features(backbone.model, pixels, POINTS[0])
    expected = _between(backbone.model, POINTS[0], "logits")(h + _max_pool(h))
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4, atol=1e-5)


def test_chain_adds_the_previous_add_on_layer_to_what_the_operation_reads(of, backbone, rng):
    model = _student(of, _architecture(of, layer1=("max_pool_3x3", 0, 0), layer2=("max_pool_3x3", 1, 1)))
    model.set_weights(backbone.model.get_weights())
    pixels = rng.integers(0, 256, (3, 8, 8, 1)).astype(np.float32)
    h1, h2 = (_features(backbone.model, pixels, point) for point in POINTS[:2])
    # The first add-on layer does not feed back: the stream up to h2 is the backbone's.
    a1 = _max_pool(h1)
    a2 = _max_pool(h2 + a1)
    expected = _between(backbone.model, POINTS[1], "logits")(h2 + a2)
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4, atol=1e-5)


def test_a_chained_layer_reads_the_result_and_not_the_stream_it_was_fed_into(of, backbone, rng):
    model = _student(of, _architecture(of, layer1=("max_pool_3x3", 0, 1), layer2=("identity", 1, 1)))
    model.set_weights(backbone.model.get_weights())
    pixels = rng.integers(0, 256, (3, 8, 8, 1)).astype(np.float32)
    h1 = _features(backbone.model, pixels, POINTS[0])
    a1 = _max_pool(h1)
    h2 = _between(backbone.model, POINTS[0], POINTS[1])(h1 + a1).numpy()
    expected = _between(backbone.model, POINTS[1], "logits")(2 * h2 + a1)
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4, atol=1e-5)


def _add_on(after=POINTS[1], op="conv_3x3", chain=False, feed_back=True):
    return spec.AddOn(after, op, chain, feed_back)


@pytest.mark.parametrize(
    ("add_ons", "message"),
    [
        ([_add_on(op="conv_3x")], "unknown name 'conv_3x'; did you mean conv_3x3"),
        ([_add_on(after="stage1_block9_out")], "attach point of resnet14: unknown name 'stage1_block9_out'"),
        ([_add_on(chain=True)], f"after {POINTS[1]}: chain asks for"),
        ([_add_on(after=POINTS[0], chain=True)], f"after {POINTS[0]}: chain asks for"),
        ([_add_on(), _add_on(after=POINTS[2], chain=True)], f"after {POINTS[2]}: chain asks for"),
        ([_add_on(after=POINTS[3]), _add_on(after=POINTS[5], chain=True)], "chain asks for"),
    ],
)
def test_a_spec_that_cannot_be_built_is_refused_in_one_line(of, add_ons, message):
    with pytest.raises(errors.UserError) as refusal:
        build.student(_spec(*add_ons, built_cost=of.base))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_chain_does_not_reach_over_a_missing_layer_of_the_same_shape():
    add_ons = (_add_on(after="stage1_block1_out"), _add_on(after="stage1_block3_out", chain=True))
    record = dataclasses.replace(_spec(*add_ons, built_cost=spec.Cost(0, 0)), backbone="resnet20")
    with pytest.raises(errors.UserError, match="after stage1_block3_out: chain asks for"):
        build.student(record)


@pytest.mark.parametrize("wrong", [{"params": 1}, {"flops": 1}])
def test_a_spec_whose_cost_is_not_the_built_network_s_is_refused(of, wrong):
    with pytest.raises(errors.UserError, match="cost says"):
        build.student(_spec(built_cost=dataclasses.replace(of.base, **wrong)))


def test_an_unknown_backbone_in_a_spec_is_refused(of):
    record = dataclasses.replace(_spec(built_cost=of.base), backbone="resnet15")
    with pytest.raises(errors.UserError, match="unknown name 'resnet15'"):
        build.student(record)
