"""Pre-activation residual networks, in the CIFAR form of depth 6n+2.

He et al., "Identity Mappings in Deep Residual Networks" (2016). `network` builds the wide ones as well.

A block is batch norm, ReLU, convolution, twice; its output is the sum alone. Where it changes shape, the
shortcut is a 1x1 convolution of the activated input. In the network's first block, as in the paper, the
activation precedes both paths. The paper's 110-layer network pads shortcuts with zeros, so it has slightly
fewer parameters than this one; both round to its 1.7 million.

Attach points are the outputs of all residual blocks: sums, before the next activation.
"""

import keras

from okd_tf.backbones import base, layers


def build(depth, width, input_shape, classes, mean, std) -> base.Backbone:
    """Build a network of two convolutions a block.

    Args:
        depth: 6n+2 for some n >= 1.
        width: channels of the stem and of the first stage.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.

    Raises:
        ValueError: another depth.
    """
    blocks, remainder = divmod(depth - 2, 6)
    if remainder or blocks < 1:
        raise ValueError(f"depth must be 6n+2 with n >= 1, got {depth}")
    stages = [width, 2 * width, 4 * width]
    return network(
        f"preact_resnet{depth}", width, stages, blocks, input_shape, classes, mean, std, first_parts_late=True
    )


def network(
    name, stem, stages, blocks, input_shape, classes, mean, std, first_parts_late=False
) -> base.Backbone:
    """Build a network of pre-activation blocks.

    Args:
        name: name of the model.
        stem: channels of the first convolution.
        stages: channels of each stage; all but the first halve the size.
        blocks: number of blocks in a stage.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.
        first_parts_late: whether the shortcut of the network's first block takes the activated input, even if
            the block keeps its shape.
    """
    pixels = keras.Input(input_shape, name="pixels")
    features = layers.conv(base.normalize(pixels, mean, std), stem, 3, "stem")
    attach_points = []
    for stage, channels in enumerate(stages):
        for block in range(blocks):
            prefix = f"stage{stage + 1}_block{block + 1}"
            stride = 2 if stage > 0 and block == 0 else 1
            late = first_parts_late and stage == block == 0
            features = _block(features, channels, stride, prefix, late)
            attach_points.append(f"{prefix}_out")
    return layers.backbone(name, pixels, layers.bn_relu(features, "last"), classes, attach_points)


def _block(inputs, channels, stride, name, parts_late):
    activated = layers.bn_relu(inputs, f"{name}_1")
    features = layers.conv(activated, channels, 3, f"{name}_1", stride)
    features = layers.conv(layers.bn_relu(features, f"{name}_2"), channels, 3, f"{name}_2")
    if stride != 1 or inputs.shape[-1] != channels:
        inputs = layers.conv(activated, channels, 1, f"{name}_shortcut", stride)
    elif parts_late:
        inputs = activated
    return keras.layers.Add(name=f"{name}_out")([inputs, features])
