"""The CIFAR residual networks against what was published about them."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from okd_tf import backbones, errors
from okd_tf.arch import cost
from okd_tf.backbones import base, resnet


def _build(name, width=16, input_shape=(32, 32, 3), classes=10):
    channels = input_shape[-1]
    return backbones.build(name, width, input_shape, classes, (120.0,) * channels, (60.0,) * channels)


def _trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("resnet20", 272_474),
        ("resnet32", 466_906),
        ("resnet44", 661_338),
        ("resnet56", 855_770),
        ("resnet110", 1_730_714),
    ],
)
def test_trainable_parameters_are_the_published_ones_for_10_classes(name, params):
    assert _trainable(_build(name).model) == params


@pytest.mark.parametrize(
    ("name", "millions"), [("resnet8", 0.08), ("resnet20", 0.28), ("resnet32", 0.47), ("resnet56", 0.86)]
)
def test_trainable_parameters_round_to_the_published_ones_for_100_classes(name, millions):
    # The table of Tian et al., "Contrastive Representation Distillation" (2020).
    assert round(_trainable(_build(name, classes=100).model) / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("name", "classes", "params"),
    [
        # As the codebase of Tian et al. counts them.
        ("resnet8x4", 100, 1_233_540),
        ("resnet32x4", 100, 7_433_860),
        # As those codebases count it that give a ResNet-18 a stem for CIFAR.
        ("resnet18", 10, 11_173_962),
    ],
)
def test_trainable_parameters_of_wider_networks_are_the_published_ones(name, classes, params):
    assert _trainable(_build(name, classes=classes).model) == params


@pytest.mark.parametrize("depth", [8, 14, 20])
def test_a_stride_at_the_input_keeps_the_parameters_and_quarters_the_arithmetic(depth):
    shape = (64, 64, 3)
    plain, strided = (_build(name, 4, shape).model for name in (f"resnet{depth}", f"resnet{depth}_s2"))
    assert strided.count_params() == plain.count_params()
    assert strided.get_layer("stage1_block1_out").output.shape == (None, 32, 32, 4)
    costs = [cost.of_model(model).flops for model in (strided, plain)]
    assert abs(4 * costs[0] / costs[1] - 1) < 0.01


def test_resnet18_halves_an_image_of_64_pixels_three_times_in_four_stages_of_two_blocks():
    backbone = _build("resnet18", width=1, input_shape=(64, 64, 1))
    shapes = [backbone.model.get_layer(point).output.shape[1:] for point in backbone.attach_points]
    assert shapes == [(64, 64, 4)] * 2 + [(32, 32, 8)] * 2 + [(16, 16, 16)] * 2 + [(8, 8, 32)] * 2


def test_networks_four_times_as_wide_have_a_stem_of_twice_the_width():
    backbone = _build("resnet8x4", width=2, input_shape=(8, 8, 1))
    layers = ("stem_out", *backbone.attach_points)
    assert [backbone.model.get_layer(one).output.shape[-1] for one in layers] == [4, 8, 16, 32]


@pytest.mark.parametrize(("name", "blocks"), [("resnet8", 1), ("resnet14", 2), ("resnet20", 3)])
def test_attach_points_are_all_block_outputs_in_order(name, blocks):
    backbone = _build(name, width=4, input_shape=(8, 8, 1))
    assert backbone.attach_points == tuple(
        f"stage{stage}_block{block}_out" for stage in (1, 2, 3) for block in range(1, blocks + 1)
    )
    shapes = [backbone.model.get_layer(point).output.shape[1:] for point in backbone.attach_points]
    assert shapes == [(8, 8, 4)] * blocks + [(4, 4, 8)] * blocks + [(2, 2, 16)] * blocks


def test_convolutions_of_the_main_path_and_the_last_layer_make_the_depth():
    layers = _build("resnet20", width=4, input_shape=(8, 8, 1)).model.layers
    main_path = [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and "shortcut" not in layer.name
    ]
    assert len(main_path) == 20
    assert len([layer for layer in layers if layer.name.endswith("shortcut_conv")]) == 2


def test_width_is_the_channels_of_the_first_stage():
    for width in (4, 6):
        model = _build("resnet8", width=width, input_shape=(8, 8, 1)).model
        assert model.get_layer("stem_out").output.shape[-1] == width


def test_normalize_gives_zero_mean_and_unit_variance_per_channel(rng):
    pixels = rng.integers(0, 256, (10, 6, 6, 3)).astype(np.float32) * np.array([1, 0.5, 0.1], np.float32)
    mean, std = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, base.normalize(inputs, mean.tolist(), std.tolist()))
    normalized = model(pixels).numpy()
    np.testing.assert_allclose(normalized.mean(axis=(0, 1, 2)), np.zeros(3), atol=1e-4)
    np.testing.assert_allclose(normalized.std(axis=(0, 1, 2)), np.ones(3), rtol=1e-4)


def test_model_normalises_pixels_itself(rng):
    pixels = rng.integers(0, 256, (4, 8, 8, 1)).astype(np.float32)
    raw = backbones.build("resnet8", 4, (8, 8, 1), 5, (100.0,), (50.0,)).model
    prepared = backbones.build("resnet8", 4, (8, 8, 1), 5, (0.0,), (1.0,)).model
    prepared.set_weights(raw.get_weights())
    logits = raw(pixels).numpy()
    assert logits.shape == (4, 5)
    np.testing.assert_allclose(logits, prepared((pixels - 100) / 50), rtol=1e-4, atol=1e-5)
    assert np.any(np.abs(logits - prepared(pixels).numpy()) > 1e-2)


def test_logits_are_not_probabilities(rng):
    logits = _build("resnet8", 4, (8, 8, 1)).model(rng.integers(0, 256, (4, 8, 8, 1)).astype(np.float32))
    assert np.min(logits) < 0


@pytest.mark.parametrize("depth", [2, 7, 21, -4])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=rf"6n\+2.*{depth}"):
        resnet.build(depth, 4, (8, 8, 1), 10, (0.0,), (1.0,))


def test_an_unknown_backbone_is_refused_with_the_nearest_names():
    with pytest.raises(errors.UserError, match=r"unknown name 'resnet33'; did you mean .*resnet32"):
        _build("resnet33")


@pytest.mark.slow
def test_a_saved_model_loads_in_a_process_that_does_not_know_okd_tf(rng, tmp_path):
    model = _build("resnet8", 4, (8, 8, 1)).model
    pixels = rng.integers(0, 256, (4, 8, 8, 1)).astype(np.float32)
    model(pixels, training=True)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "expected.npz", pixels=pixels, logits=model(pixels))
    program = (
        "import sys, keras, numpy as np; "
        "model, saved = keras.models.load_model(sys.argv[1]), np.load(sys.argv[2]); "
        "assert not [name for name in sys.modules if name.startswith('okd_tf')]; "
        "np.testing.assert_allclose(model(saved['pixels']), saved['logits'], rtol=1e-4, atol=1e-5); "
        "print('same')"
    )
    command = [sys.executable, "-c", program, tmp_path / "model.keras", tmp_path / "expected.npz"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "same\n", result.stderr
