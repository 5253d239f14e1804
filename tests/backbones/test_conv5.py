"""Conv-5 against a count by hand."""

import itertools

import pytest

from okd_tf import backbones, errors


def _build(width=16, input_shape=(64, 64, 3), classes=4):
    channels = input_shape[-1]
    return backbones.build("conv5", width, input_shape, classes, (120.0,) * channels, (60.0,) * channels)


@pytest.mark.parametrize(("width", "params"), [(16, 246_644), (8, 62_268)])
def test_parameters_are_those_of_five_convolutions_their_batch_norms_and_one_dense_layer(width, params):
    channels = [3, width, 2 * width, 4 * width, 8 * width, 8 * width]
    convolutions = sum(9 * before * after for before, after in itertools.pairwise(channels))
    batch_norms = 4 * sum(channels[1:])
    assert _build(width).model.count_params() == convolutions + batch_norms + 8 * width * 4 + 4 == params


def test_attach_points_are_its_blocks_the_first_four_of_half_the_size_of_the_one_before():
    backbone = _build(2, (36, 16, 1))
    shapes = [backbone.model.get_layer(point).output.shape[1:] for point in backbone.attach_points]
    assert shapes == [(18, 8, 2), (9, 4, 4), (4, 2, 8), (2, 1, 16), (2, 1, 16)]


def test_images_that_four_poolings_would_leave_nothing_of_are_refused():
    with pytest.raises(errors.UserError, match="conv5 takes images of 16x16 pixels and more"):
        _build(input_shape=(15, 64, 3))
