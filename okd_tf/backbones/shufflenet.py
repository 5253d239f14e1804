"""ShuffleNetV2 1x (Ma et al., 2018), in the CIFAR form of the distillation literature.

It has three stages of 4, 8 and 4 units with 116, 232 and 464 channels. A unit leaves one half of the channels
as it is and passes the other through a 1x1, a 3x3 depthwise and a 1x1 convolution; the first of a stage
halves the size and passes all channels through both its branches, which doubles them. Then the channels of
the two halves are shuffled: they alternate. As in the codebase of Tian et al., "Contrastive Representation
Distillation" (2020), the stem is a 1x1 convolution of stride 1 without pooling: 1,355,528 trainable
parameters for 100 classes at width 16.

Splitting and shuffling are stock layers (Reshape, Cropping2D, Permute) that treat channels as one side of an
image; any runtime has them. Attach points are the outputs of all units, shuffled.
"""

import keras

from okd_tf.backbones import base, layers

STEM, LAST = 24, 1024  # channels
STAGES = ((58, 4), (116, 8), (232, 4))  # (half of the channels, units)


def build_v2(width, input_shape, classes, mean, std) -> base.Backbone:
    """Build `shufflenet_v2`.

    Args:
        width: 16 for the published network; scales all channels.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.
    """
    pixels = keras.Input(input_shape, name="pixels")
    features = base.normalize(pixels, mean, std)
    features = _conv_bn_relu(features, base.scaled(STEM, width), "stem")
    attach_points = []
    for stage, (half, units) in enumerate(STAGES, start=1):
        channels = base.scaled(half, width)
        for unit in range(units):
            name = f"stage{stage}_unit{unit + 1}"
            branches = _split(features, name) if unit else (features, features)
            left = branches[0] if unit else _halving(branches[0], channels, f"{name}_left")
            right = _right(branches[1], channels, 1 if unit else 2, f"{name}_right")
            features = _shuffled(left, right, name)
            attach_points.append(f"{name}_out")
    features = _conv_bn_relu(features, base.scaled(LAST, width), "last")
    return layers.backbone("shufflenet_v2", pixels, features, classes, attach_points)


def _halving(inputs, channels, name):
    features = layers.depthwise_bn(inputs, f"{name}_1", stride=2)
    return _conv_bn_relu(features, channels, f"{name}_2")


def _right(inputs, channels, stride, name):
    features = _conv_bn_relu(inputs, channels, f"{name}_1")
    features = layers.depthwise_bn(features, f"{name}_2", stride)
    return _conv_bn_relu(features, channels, f"{name}_3")


def _split(inputs, name):
    """Return the first and the last half of the channels of [batch, height, width, 2 channels]."""
    _, height, width, channels = inputs.shape
    halves = keras.layers.Reshape((height * width, 2, channels // 2), name=f"{name}_halves")(inputs)
    found = []
    for side, cropped in (("left", (0, 1)), ("right", (1, 0))):
        half = keras.layers.Cropping2D(((0, 0), cropped), name=f"{name}_{side}_half")(halves)
        half = keras.layers.Reshape((height, width, channels // 2), name=f"{name}_{side}")(half)
        found.append(half)
    return found


def _shuffled(left, right, name):
    """Return the alternating channels of two tensors [batch, height, width, channels], twice as many."""
    _, height, width, channels = left.shape
    both = keras.layers.Concatenate(name=f"{name}_both")([left, right])
    pairs = keras.layers.Reshape((height * width, 2, channels), name=f"{name}_pairs")(both)
    pairs = keras.layers.Permute((1, 3, 2), name=f"{name}_shuffle")(pairs)
    return keras.layers.Reshape((height, width, 2 * channels), name=f"{name}_out")(pairs)


def _conv_bn_relu(inputs, channels, name):
    return keras.layers.ReLU(name=f"{name}_relu")(layers.conv_bn(inputs, channels, 1, name))
