"""Backbones: the networks that teachers are and that students grow from.

A backbone is one function (width, input_shape, classes, mean, std) -> Backbone and one line below. Its model
takes pixel values 0..255 (normalisation is its first layer) and gives logits; its layers are stock Keras
layers, and its attach points name the layers after which an add-on layer may be put.

A user's own model is another way to a backbone: `prepare` makes one of a .keras file, `attach` finds the
points that a regular expression names, and `stored` keeps it beside what a search found on it.
"""

import functools

from okd_tf import errors
from okd_tf.backbones import keras_file, resnet
from okd_tf.backbones.base import Backbone

BACKBONES = {
    "resnet8": functools.partial(resnet.build, 8),
    "resnet14": functools.partial(resnet.build, 14),
    "resnet20": functools.partial(resnet.build, 20),
    "resnet32": functools.partial(resnet.build, 32),
    "resnet44": functools.partial(resnet.build, 44),
    "resnet56": functools.partial(resnet.build, 56),
    "resnet62": functools.partial(resnet.build, 62),
    "resnet110": functools.partial(resnet.build, 110),
}


def is_file(name) -> bool:
    """Whether a backbone is named by the path of a .keras file and not by its registered name."""
    return name.endswith(keras_file.SUFFIX)


def build(name, width, input_shape, classes, mean, std) -> Backbone:
    """Builds a backbone by its registered name, freshly initialised.

    Args:
        name: a key of BACKBONES.
        width: channels of the first stage.
        input_shape: (height, width, channels) of an image.
        classes: number of logits.
        mean: per-channel mean of the pixels, scale 0..255.
        std: per-channel standard deviation of the pixels, scale 0..255.

    Raises:
        UserError: unknown name.
    """
    if name not in BACKBONES:
        raise errors.unknown("backbone", name, BACKBONES)
    return BACKBONES[name](width, input_shape, classes, mean, std)
