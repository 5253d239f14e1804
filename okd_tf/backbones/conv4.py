"""Conv-4: four blocks of a 3x3 convolution, batch norm, ReLU and 2x2 max pooling, for few images.

The network of few-shot learning (Vinyals et al., "Matching Networks", 2016) and of tutorials, here with
channels that grow from block to block, 1, 2, 4 and 6 times the width, and with the mean over all places in
front of its dense layer: 79,988 parameters for 4 classes of RGB images.

Attach points are the outputs of the blocks, after pooling: there an add-on layer costs a quarter.
"""

import keras

from okd_tf.backbones import base, layers

GROWTH = (1, 2, 4, 6)  # channels of each block, times the width


def build(width, input_shape, classes, mean, std) -> base.Backbone:
    """Build a network.

    Args:
        width: channels of the first block.
        input_shape: (height, width, channels), of at least 16x16 pixels.
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation.
    """
    pixels = keras.Input(input_shape, name="pixels")
    features = base.normalize(pixels, mean, std)
    attach_points = []
    for block, times in enumerate(GROWTH, start=1):
        name = f"block{block}"
        features = layers.conv_bn(features, times * width, 3, name)
        features = keras.layers.ReLU(name=f"{name}_relu")(features)
        features = keras.layers.MaxPooling2D(2, name=f"{name}_out")(features)
        attach_points.append(f"{name}_out")
    return layers.backbone("conv4", pixels, features, classes, attach_points)
