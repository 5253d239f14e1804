"""The CIFAR residual networks of depth 6n+2 (He et al., "Deep Residual Learning", 2015, section 4.2).

Three stages of n blocks, with width, 2 width and 4 width channels; the shortcut of a block that changes shape
is a 1x1 convolution with batch norm ("option B"), as in the codebases that later distillation papers compare
with. With width 16 and 10 classes, depth 20 has 272,474 trainable parameters.
"""

import keras

from okd_tf.backbones import base
from okd_tf.ops import batch_norm


def build(depth, width, input_shape, classes, mean, std) -> base.Backbone:
    """Builds a ResNet; attach points are the outputs of all residual blocks.

    Args:
        depth: 6n+2 for some n >= 1.
        width: channels of the first stage.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation.
    """
    blocks_per_stage, remainder = divmod(depth - 2, 6)
    if remainder or blocks_per_stage < 1:
        raise ValueError(f"depth must be 6n+2 with n >= 1, got {depth}")
    inputs = keras.Input(input_shape, name="pixels")
    features = base.normalize(inputs, mean, std)
    features = _conv_bn(features, width, 3, 1, "stem")
    features = keras.layers.ReLU(name="stem_out")(features)
    attach_points = []
    for stage in range(3):
        for block in range(blocks_per_stage):
            name = f"stage{stage + 1}_block{block + 1}"
            stride = 2 if stage > 0 and block == 0 else 1
            features = _block(features, width * 2**stage, stride, name)
            attach_points.append(f"{name}_out")
    features = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    logits = keras.layers.Dense(classes, name="logits")(features)
    return base.Backbone(keras.Model(inputs, logits, name=f"resnet{depth}"), tuple(attach_points))


def _block(inputs, channels, stride, name):
    features = _conv_bn(inputs, channels, 3, stride, f"{name}_1")
    features = keras.layers.ReLU(name=f"{name}_1_relu")(features)
    features = _conv_bn(features, channels, 3, 1, f"{name}_2")
    if stride != 1 or inputs.shape[-1] != channels:
        inputs = _conv_bn(inputs, channels, 1, stride, f"{name}_shortcut")
    return keras.layers.ReLU(name=f"{name}_out")(keras.layers.Add(name=f"{name}_add")([inputs, features]))


def _conv_bn(inputs, channels, kernel_size, stride, name):
    conv = keras.layers.Conv2D(
        channels,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )
    return batch_norm.stock(f"{name}_bn")(conv(inputs))
