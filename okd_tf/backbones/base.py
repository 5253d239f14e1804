"""What a backbone is."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A Functional model and the names of the layers after which an add-on layer may be put, in order."""

    model: keras.Model
    attach_points: tuple[str, ...]


def normalize(pixels, mean, std, name="normalize"):
    """Pixel values 0..255 -> zero mean, unit variance per channel, as a stock layer."""
    scale = [1.0 / value for value in std]
    offset = [-centre / value for centre, value in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, name=name)(pixels)
