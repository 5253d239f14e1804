"""The records of backbones, and the common units of all families: pixels, channels, the smallest image."""

import dataclasses
import math
from collections.abc import Callable

import keras

PUBLISHED = 16  # the width of the networks that were published


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network that students add layers to.

    Attributes:
        model: a Functional model.
        attach_points: names of the layers after which an add-on layer may be put, in order.
        kept: names of the layers whose weights in `model` are kept: trainings start from them. All other
            layers are freshly initialised. Empty unless weights are kept.
    """

    model: keras.Model
    attach_points: tuple[str, ...]
    kept: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with a registered name.

    Attributes:
        build: (width, input_shape, classes, mean, std) -> Backbone.
        least: height and width of the smallest image that it can take: halved by every layer that halves, one
            pixel is left.
    """

    build: Callable[..., Backbone]
    least: int


def normalize(pixels, mean, std, name="normalize"):
    """Return pixel values 0..255 with zero mean and unit variance per channel, by a stock layer."""
    scale = [1.0 / value for value in std]
    offset = [-centre / value for centre, value in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, name=name)(pixels)


def scaled(published, width):
    """Return the published number of channels scaled to a width: in proportion, rounded, at least one."""
    return max(1, math.floor(published * width / PUBLISHED + 0.5))
