"""VGG with batch norm (Simonyan & Zisserman, 2015), in the small form of the distillation literature.

It has five stages of 3x3 convolutions with 64, 128, 256, 512 and 512 channels, each with batch norm and ReLU;
2x2 max pooling after each of the first three; then the mean over all places and one dense layer. Images of 64
pixels and more are also pooled after the fourth, as in the codebase of Tian et al., "Contrastive
Representation Distillation" (2020). As there, convolutions have biases in spite of batch norm: VGG8 has
3,965,028 trainable parameters for 100 classes, VGG13 9,462,180.

Attach points are the outputs of all convolutions, after ReLU and before pooling.
"""

import keras

from okd_tf.backbones import base, layers

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {8: (1, 1, 1, 1, 1), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}  # of each stage, by depth
LARGE = 64  # from here on there is a fourth pooling


def build(depth, width, input_shape, classes, mean, std) -> base.Backbone:
    """Build a network.

    Args:
        depth: a key of CONVOLUTIONS; it counts the three dense layers of the ImageNet networks, of which one
            is left here.
        width: 16 for the published network; scales all channels.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.
    """
    pooled = 4 if min(input_shape[:2]) >= LARGE else 3
    pixels = keras.Input(input_shape, name="pixels")
    features = base.normalize(pixels, mean, std)
    attach_points = []
    for stage, (published, count) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), start=1):
        for index in range(count):
            name = f"stage{stage}_{index + 1}"
            features = layers.conv_bn(features, base.scaled(published, width), 3, name, bias=True)
            features = keras.layers.ReLU(name=f"{name}_out")(features)
            attach_points.append(f"{name}_out")
        if stage <= pooled:
            features = keras.layers.MaxPooling2D(2, name=f"stage{stage}_pool")(features)
    return layers.backbone(f"vgg{depth}", pixels, features, classes, attach_points)
