"""Conv-4 against a count by hand."""

import keras
import pytest

from okd_tf import backbones, errors


def _build(width=16, input_shape=(64, 64, 3), classes=4):
    channels = input_shape[-1]
    return backbones.build("conv4", width, input_shape, classes, (120.0,) * channels, (60.0,) * channels)


def test_parameters_are_those_of_four_convolutions_their_batch_norms_and_one_dense_layer():
    convolutions = 9 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 96)
    batch_norms = 4 * (16 + 32 + 64 + 96)
    assert _build().model.count_params() == convolutions + batch_norms + 96 * 4 + 4 == 79_988


def test_attach_points_are_its_blocks_each_of_half_the_size_of_the_one_before():
    backbone = _build(2, (36, 16, 1))
    shapes = [backbone.model.get_layer(point).output.shape[1:] for point in backbone.attach_points]
    assert shapes == [(18, 8, 2), (9, 4, 4), (4, 2, 8), (2, 1, 12)]
    assert all(
        isinstance(backbone.model.get_layer(one), keras.layers.MaxPooling2D) for one in backbone.attach_points
    )


def test_images_that_four_poolings_would_leave_nothing_of_are_refused():
    with pytest.raises(errors.UserError, match="conv4 takes images of 16x16 pixels and more"):
        _build(input_shape=(15, 64, 3))
