"""Residual networks (He et al., "Deep Residual Learning for Image Recognition", 2015).

    resnet8 ... resnet110    the CIFAR networks of depth 6n+2 (section 4.2): three stages of n blocks, with
                             width, 2 width and 4 width channels
    resnet8x4, resnet32x4    the same four times as wide, with a stem of 2 width channels, as in the codebase
                             of Tian et al., "Contrastive Representation Distillation" (2020)
    resnet8_s2 ... resnet20_s2   the CIFAR networks with stride 2 in their first convolution, for images of 48
                             pixels and more: a quarter of the FLOPs, and twice the receptive field
    resnet18                 four stages of two blocks, with 4, 8, 16 and 32 width channels, for images of
                             about 64 pixels: a 3x3 stem of stride 1 without pooling replaces the 7x7 one

The shortcut of a block that changes shape is a 1x1 convolution with batch norm ("option B"), as in the
codebases that later distillation papers compare with. Trainable parameters at width 16: resnet20 has 272,474
for 10 classes and resnet8x4 1,233,540 for 100; resnet18 11,173,962 for 10.

Attach points are the outputs of all residual blocks.
"""

import keras

from okd_tf.backbones import base, layers


def build(depth, width, input_shape, classes, mean, std, times=1, stride=1) -> base.Backbone:
    """Build a network of three stages.

    Args:
        depth: 6n+2 for some n >= 1.
        width: channels of the first stage, before they are multiplied.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.
        times: factor of the channels of all stages; if more than 1, the stem's are doubled.
        stride: stride of the first convolution.

    Raises:
        ValueError: another depth.
    """
    blocks, remainder = divmod(depth - 2, 6)
    if remainder or blocks < 1:
        raise ValueError(f"depth must be 6n+2 with n >= 1, got {depth}")
    name = f"resnet{depth}" if times == 1 else f"resnet{depth}x{times}"
    if stride > 1:
        name += f"_s{stride}"
    stem = width if times == 1 else 2 * width
    stages = [width * times * 2**stage for stage in range(3)]
    return _network(name, stem, stages, blocks, input_shape, classes, mean, std, stride)


def build18(width, input_shape, classes, mean, std) -> base.Backbone:
    """Build `resnet18`, whose first stage has 4 width channels; arguments as for `build`."""
    stages = [4 * width * 2**stage for stage in range(4)]
    return _network("resnet18", stages[0], stages, 2, input_shape, classes, mean, std)


def _network(name, stem, stages, blocks, input_shape, classes, mean, std, stride=1):
    pixels = keras.Input(input_shape, name="pixels")
    features = base.normalize(pixels, mean, std)
    features = layers.conv_bn(features, stem, 3, "stem", stride)
    features = keras.layers.ReLU(name="stem_out")(features)
    attach_points = []
    for stage, channels in enumerate(stages):
        for block in range(blocks):
            prefix = f"stage{stage + 1}_block{block + 1}"
            stride = 2 if stage > 0 and block == 0 else 1
            features = _block(features, channels, stride, prefix)
            attach_points.append(f"{prefix}_out")
    return layers.backbone(name, pixels, features, classes, attach_points)


def _block(inputs, channels, stride, name):
    features = layers.conv_bn(inputs, channels, 3, f"{name}_1", stride)
    features = keras.layers.ReLU(name=f"{name}_1_relu")(features)
    features = layers.conv_bn(features, channels, 3, f"{name}_2")
    if stride != 1 or inputs.shape[-1] != channels:
        inputs = layers.conv_bn(inputs, channels, 1, f"{name}_shortcut", stride)
    return keras.layers.ReLU(name=f"{name}_out")(keras.layers.Add(name=f"{name}_add")([inputs, features]))
