"""MobileNetV2 (Sandler et al., 2018) at half width, in the CIFAR form of the distillation literature.

It has seventeen inverted residuals: a 1x1 convolution to six times the channels (the first: to as many), a
3x3 depthwise one, and a linear 1x1 one back; the input is added where the shape stays. As in the codebase of
Tian et al., "Contrastive Representation Distillation" (2020), the activation is ReLU and not ReLU6, the
second stage keeps its size (an image is halved four times, not five), and the last convolution keeps 1,280
channels at half width: 812,836 trainable parameters for 100 classes at width 16.

Attach points are the outputs of all inverted residuals, which are linear.
"""

import keras

from okd_tf.backbones import base, layers
from okd_tf.ops import batch_norm

# (expansion, channels at half width, blocks, stride of the first)
STAGES = (
    (1, 8, 1, 1),
    (6, 12, 2, 1),
    (6, 16, 3, 2),
    (6, 32, 4, 2),
    (6, 48, 3, 1),
    (6, 80, 3, 2),
    (6, 160, 1, 1),
)
STEM, LAST = 16, 1280  # channels


def build_v2(width, input_shape, classes, mean, std) -> base.Backbone:
    """Build `mobilenet_v2`.

    Args:
        width: 16 for the published network; scales all channels.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.
    """
    pixels = keras.Input(input_shape, name="pixels")
    features = base.normalize(pixels, mean, std)
    features = _conv_bn_relu(features, base.scaled(STEM, width), 3, "stem", stride=2)
    attach_points = []
    for stage, (expansion, channels, blocks, stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            name = f"stage{stage}_block{block + 1}"
            features = _inverted_residual(
                features, expansion, base.scaled(channels, width), 1 if block else stride, block > 0, name
            )
            attach_points.append(f"{name}_out")
    features = _conv_bn_relu(features, base.scaled(LAST, width), 1, "last")
    return layers.backbone("mobilenet_v2", pixels, features, classes, attach_points)


def _inverted_residual(inputs, expansion, channels, stride, added, name):
    features = _conv_bn_relu(inputs, expansion * inputs.shape[-1], 1, f"{name}_1")
    features = layers.depthwise_bn(features, f"{name}_2", stride)
    features = keras.layers.ReLU(name=f"{name}_2_relu")(features)
    if added:
        features = layers.conv_bn(features, channels, 1, f"{name}_3")
        return keras.layers.Add(name=f"{name}_out")([inputs, features])
    return batch_norm.stock(f"{name}_out")(layers.conv(features, channels, 1, f"{name}_3"))


def _conv_bn_relu(inputs, channels, kernel_size, name, stride=1):
    features = layers.conv_bn(inputs, channels, kernel_size, name, stride)
    return keras.layers.ReLU(name=f"{name}_relu")(features)
