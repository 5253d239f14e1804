"""What a backbone is, and what all families measure in one way: pixels, channels, the least image."""

import dataclasses
import math
from collections.abc import Callable

import keras

PUBLISHED = 16  # the width of the networks that were published


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network that students grow from.

    Attributes:
        model: a Functional model.
        attach_points: names of the layers after which an add-on layer may be put, in order.
        kept: names of the layers whose weights in `model` are where trainings begin; all others are
            initialised anew. Empty, unless weights are kept.
    """

    model: keras.Model
    attach_points: tuple[str, ...]
    kept: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that can be asked for by its name.

    Attributes:
        build: (width, input_shape, classes, mean, std) -> Backbone.
        least: height and width of the smallest image that it can take: halved by every layer that halves, one
            pixel is left.
    """

    build: Callable[..., Backbone]
    least: int


def normalize(pixels, mean, std, name="normalize"):
    """Pixel values 0..255 -> zero mean, unit variance per channel, as a stock layer."""
    scale = [1.0 / value for value in std]
    offset = [-centre / value for centre, value in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, name=name)(pixels)


def scaled(published, width):
    """Channels at a width, where so many were published: in proportion, to the nearest, at least one."""
    return max(1, math.floor(published * width / PUBLISHED + 0.5))
