"""VGG with batch norm against what the distillation literature says of it."""

import keras
import numpy as np
import pytest

from okd_tf import backbones


def _build(name, width=16, input_shape=(32, 32, 3), classes=100):
    channels = input_shape[-1]
    return backbones.build(name, width, input_shape, classes, (120.0,) * channels, (60.0,) * channels)


def _trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("name", "params"),
    # The first two as the codebase of Tian et al., "Contrastive Representation Distillation" (2020), counts
    # them; the third by hand, as below.
    [("vgg8", 3_965_028), ("vgg13", 9_462_180), ("vgg16", 14_774_436)],
)
def test_trainable_parameters_are_the_published_ones_for_100_classes(name, params):
    assert _trainable(_build(name).model) == params


@pytest.mark.parametrize(("name", "convolutions"), [("vgg8", 5), ("vgg13", 10), ("vgg16", 13)])
def test_it_has_the_convolutions_of_its_depth_without_the_three_dense_layers(name, convolutions):
    backbone = _build(name, 1, (8, 8, 1))
    found = [layer for layer in backbone.model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(found) == len(backbone.attach_points) == convolutions == int(name[3:]) - 3


def test_attach_points_are_the_activations_of_its_convolutions_before_they_are_pooled():
    backbone = _build("vgg8", 2, (9, 8, 1))
    shapes = [backbone.model.get_layer(point).output.shape[1:] for point in backbone.attach_points]
    assert shapes == [(9, 8, 8), (4, 4, 16), (2, 2, 32), (1, 1, 64), (1, 1, 64)]
    assert all(isinstance(backbone.model.get_layer(one), keras.layers.ReLU) for one in backbone.attach_points)


@pytest.mark.parametrize(("side", "left"), [(32, 4), (63, 7), (64, 4)])
def test_images_of_64_pixels_are_pooled_once_more(side, left):
    model = _build("vgg8", 1, (side, side, 1)).model
    assert model.get_layer("pool").input.shape[1:3] == (left, left)
