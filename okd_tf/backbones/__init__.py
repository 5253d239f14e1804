"""Backbones: the networks of teachers, and those that students add layers to.

A backbone is one function (width, input_shape, classes, mean, std) -> Backbone and one line below. Its model
takes pixel values 0..255 (normalisation is its first layer) and returns logits; its layers are stock Keras
layers, and its attach points name the layers after which an add-on layer may be put. Width 16 is the network
as published; other widths scale its channels.

A user's own model can be a backbone too: `prepare` makes one from a .keras file, `attach` finds the points
that a regular expression names, and `stored` keeps it beside the architecture found on it. `pretrained` keeps
its weights as well. Networks of keras.applications (`applications`) are treated the same way.
"""

import functools

from okd_tf import errors
from okd_tf.backbones import (
    applications,
    conv5,
    densenet,
    keras_file,
    mobilenet,
    preact_resnet,
    resnet,
    shufflenet,
    vgg,
    wide_resnet,
)
from okd_tf.backbones.base import Backbone, Network

BACKBONES = {
    "conv5": Network(conv5.build, least=16),
    "resnet8": Network(functools.partial(resnet.build, 8), least=4),
    "resnet14": Network(functools.partial(resnet.build, 14), least=4),
    "resnet20": Network(functools.partial(resnet.build, 20), least=4),
    "resnet32": Network(functools.partial(resnet.build, 32), least=4),
    "resnet44": Network(functools.partial(resnet.build, 44), least=4),
    "resnet56": Network(functools.partial(resnet.build, 56), least=4),
    "resnet62": Network(functools.partial(resnet.build, 62), least=4),
    "resnet110": Network(functools.partial(resnet.build, 110), least=4),
    "resnet8x4": Network(functools.partial(resnet.build, 8, times=4), least=4),
    "resnet32x4": Network(functools.partial(resnet.build, 32, times=4), least=4),
    "resnet8_s2": Network(functools.partial(resnet.build, 8, stride=2), least=8),
    "resnet14_s2": Network(functools.partial(resnet.build, 14, stride=2), least=8),
    "resnet20_s2": Network(functools.partial(resnet.build, 20, stride=2), least=8),
    "resnet18": Network(resnet.build18, least=8),
    "preact_resnet20": Network(functools.partial(preact_resnet.build, 20), least=4),
    "preact_resnet32": Network(functools.partial(preact_resnet.build, 32), least=4),
    "preact_resnet56": Network(functools.partial(preact_resnet.build, 56), least=4),
    "preact_resnet110": Network(functools.partial(preact_resnet.build, 110), least=4),
    "wrn16_1": Network(functools.partial(wide_resnet.build, 16, 1), least=4),
    "wrn16_2": Network(functools.partial(wide_resnet.build, 16, 2), least=4),
    "wrn16_4": Network(functools.partial(wide_resnet.build, 16, 4), least=4),
    "wrn28_10": Network(functools.partial(wide_resnet.build, 28, 10), least=4),
    "wrn40_1": Network(functools.partial(wide_resnet.build, 40, 1), least=4),
    "wrn40_2": Network(functools.partial(wide_resnet.build, 40, 2), least=4),
    "wrn40_4": Network(functools.partial(wide_resnet.build, 40, 4), least=4),
    "densenet40_12": Network(functools.partial(densenet.build, 40, 12), least=4),
    "densenet100_12": Network(functools.partial(densenet.build, 100, 12), least=4),
    "vgg8": Network(functools.partial(vgg.build, 8), least=8),
    "vgg13": Network(functools.partial(vgg.build, 13), least=8),
    "vgg16": Network(functools.partial(vgg.build, 16), least=8),
    "mobilenet_v2": Network(mobilenet.build_v2, least=16),
    "shufflenet_v2": Network(shufflenet.build_v2, least=8),
}


def is_file(name) -> bool:
    """Return whether a backbone's name is the path of a .keras file and not a registered name."""
    return name.endswith(keras_file.SUFFIX)


def is_stored(name) -> bool:
    """Return whether a backbone of this name is stored as a file beside the architecture that contains it."""
    return is_file(name) or applications.is_application(name)


def build(name, width, input_shape, classes, mean, std) -> Backbone:
    """Return a freshly initialised backbone by its registered name.

    Args:
        name: a key of BACKBONES.
        width: 16 for the network as published; other widths scale all channels in proportion, to whole
            numbers. For the CIFAR ResNets it is the number of channels of the first stage.
        input_shape: (height, width, channels) of an image.
        classes: number of logits.
        mean: per-channel mean of the pixels, scale 0..255.
        std: per-channel standard deviation of the pixels, scale 0..255.

    Raises:
        UserError: unknown name, or smaller images than the network can take.
    """
    if name not in BACKBONES:
        raise errors.unknown("backbone", name, BACKBONES)
    check_size("backbone", name, input_shape)
    return BACKBONES[name].build(width, input_shape, classes, mean, std)


def check_size(what, name, input_shape):
    """Raise UserError if images are smaller than a network can take.

    Args:
        what: description of the network for the message, or the flag that names it.
        name: a key of BACKBONES, or the name of an application.
        input_shape: (height, width, channels) of an image.
    """
    if applications.is_application(name):
        applications.check_shape(what, name, input_shape)
        return
    (height, width), least = input_shape[:2], BACKBONES[name].least
    if min(height, width) < least:
        # A side that is long enough stays: a square of the longer one could be many times as large.
        enough = f"{max(height, least)}x{max(width, least)}" if max(height, width) > least else least
        raise errors.UserError(
            f"{what}: {name} takes images of {least}x{least} pixels and more, these have {height}x{width}; "
            f"enlarge them by --image_size={enough}, or use another network"
        )
