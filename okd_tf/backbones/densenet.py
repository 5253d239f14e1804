"""DenseNet-BC (Huang et al., "Densely Connected Convolutional Networks", 2017), in its CIFAR form.

A dense layer (batch norm, ReLU, 1x1 convolution to four times the growth rate; batch norm, ReLU, 3x3
convolution to the growth rate) adds its output to its input as more channels. The network has three blocks of
(d-4)/6 such layers, after a stem of twice the growth rate; between blocks a transition (batch norm, ReLU, 1x1
convolution to half the channels, 2x2 average pooling). There is no dropout.

    densenet100_12    the paper's DenseNet-BC (L = 100, k = 12): 769,162 trainable parameters for 10 classes
    densenet40_12     the same with 40 layers. The paper's network of 40 layers and 1.0 million parameters is
                      another one, without bottlenecks and compression

The width scales the growth rate. Attach points are the outputs of all blocks and transitions.
"""

import keras

from okd_tf.backbones import base, layers


def build(depth, growth, width, input_shape, classes, mean, std) -> base.Backbone:
    """Build a network.

    Args:
        depth: 6n+4 for some n >= 1.
        growth: channels that a dense layer adds, at the published width.
        width: 16 for the published network; scales the growth rate.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.

    Raises:
        ValueError: another depth.
    """
    count, remainder = divmod(depth - 4, 6)
    if remainder or count < 1:
        raise ValueError(f"depth must be 6n+4 with n >= 1, got {depth}")
    name, growth = f"densenet{depth}_{growth}", base.scaled(growth, width)
    pixels = keras.Input(input_shape, name="pixels")
    features = layers.conv(base.normalize(pixels, mean, std), 2 * growth, 3, "stem")
    attach_points = []
    for block in (1, 2, 3):
        if block > 1:
            features = _transition(features, f"transition{block - 1}")
            attach_points.append(f"transition{block - 1}_out")
        for layer in range(count):
            out = f"block{block}_out" if layer == count - 1 else f"block{block}_layer{layer + 1}_out"
            features = _dense_layer(features, growth, f"block{block}_layer{layer + 1}", out)
        attach_points.append(f"block{block}_out")
    return layers.backbone(name, pixels, layers.bn_relu(features, "last"), classes, attach_points)


def _dense_layer(inputs, growth, name, out):
    features = layers.conv(layers.bn_relu(inputs, f"{name}_1"), 4 * growth, 1, f"{name}_1")
    features = layers.conv(layers.bn_relu(features, f"{name}_2"), growth, 3, f"{name}_2")
    return keras.layers.Concatenate(name=out)([inputs, features])


def _transition(inputs, name):
    features = layers.conv(layers.bn_relu(inputs, name), max(1, inputs.shape[-1] // 2), 1, name)
    return keras.layers.AveragePooling2D(2, name=f"{name}_out")(features)
