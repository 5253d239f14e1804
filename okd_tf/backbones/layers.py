"""Chains of stock layers common to several families of backbones; `name` begins the names of their layers.

Strided convolutions pad as TensorFlow does ("same": at the lower right, for even sizes), where PyTorch pads
all around.
"""

import keras

from okd_tf.backbones import base
from okd_tf.ops import batch_norm


def conv(inputs, channels, kernel_size, name, stride=1, bias=False):
    """Return a convolution of the inputs that keeps the size, or divides it by the stride."""
    layer = keras.layers.Conv2D(
        channels,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=bias,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )
    return layer(inputs)


def conv_bn(inputs, channels, kernel_size, name, stride=1, bias=False):
    """Return convolution and batch norm of the inputs."""
    return batch_norm.stock(f"{name}_bn")(conv(inputs, channels, kernel_size, name, stride, bias))


def depthwise_bn(inputs, name, stride=1):
    """Return a 3x3 depthwise convolution and batch norm of the inputs."""
    layer = keras.layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        # Each output is of 9 inputs; "he_normal" would take it to be of as many times that as there are
        # channels.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5),
        name=f"{name}_depthwise",
    )
    return batch_norm.stock(f"{name}_bn")(layer(inputs))


def bn_relu(inputs, name):
    """Return batch norm and ReLU of the inputs: the start of a pre-activation convolution."""
    return keras.layers.ReLU(name=f"{name}_relu")(batch_norm.stock(f"{name}_bn")(inputs))


def backbone(name, pixels, features, classes, attach_points) -> base.Backbone:
    """Return the backbone that ends in the mean over all places and one dense layer."""
    features = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    logits = keras.layers.Dense(classes, name="logits")(features)
    return base.Backbone(keras.Model(pixels, logits, name=name), tuple(attach_points))
