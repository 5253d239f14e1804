"""Conv-5, for few images: five blocks of 3x3 convolution, batch norm and ReLU, four of them with max pooling.

It is a small VGG8: channels of 1, 2, 4, 8 and 8 times the width, convolutions without biases, the mean over
all places and one dense layer. For 4 classes of RGB images it has 246,644 parameters at width 16, 62,268 at
width 8.

Attach points are the outputs of the blocks, after pooling, where an add-on layer costs a quarter.
"""

import keras

from okd_tf.backbones import base, layers

GROWTH = (1, 2, 4, 8, 8)  # channels of each block, times the width
POOLED = 4  # of the blocks


def build(width, input_shape, classes, mean, std) -> base.Backbone:
    """Build the network.

    Args:
        width: channels of the first block.
        input_shape: (height, width, channels), of at least 16x16 pixels.
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.
    """
    pixels = keras.Input(input_shape, name="pixels")
    features = base.normalize(pixels, mean, std)
    attach_points = []
    for block, times in enumerate(GROWTH, start=1):
        name = f"block{block}"
        attach_points.append(f"{name}_out")
        features = layers.conv_bn(features, times * width, 3, name)
        pooled = block <= POOLED
        features = keras.layers.ReLU(name=f"{name}_relu" if pooled else attach_points[-1])(features)
        if pooled:
            features = keras.layers.MaxPooling2D(2, name=attach_points[-1])(features)
    return layers.backbone("conv5", pixels, features, classes, attach_points)
