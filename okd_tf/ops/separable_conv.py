"""Candidate operations: depthwise convolution, pointwise convolution, batch norm, ReLU.

The two convolutions are separate layers and not one SeparableConv2D, so that cost, initialisation and the
TFLite graph are those of the operations executed.
"""

import keras

from okd_tf.ops import base, batch_norm


def _chain(kernel_size, channels, prefix):
    return [
        keras.layers.DepthwiseConv2D(
            kernel_size,
            padding="same",
            use_bias=False,
            depthwise_initializer="he_normal",
            name=f"{prefix}_depthwise",
        ),
        keras.layers.Conv2D(
            channels, 1, use_bias=False, kernel_initializer="he_normal", name=f"{prefix}_pointwise"
        ),
        batch_norm.stock(f"{prefix}_bn"),
        keras.layers.ReLU(name=f"{prefix}_relu"),
    ]


@keras.saving.register_keras_serializable("okd_tf")
class SeparableConv3x3(base.Operation):
    """A 3x3 depthwise and a 1x1 convolution of stride 1 that keep the channels, batch norm, ReLU."""

    @staticmethod
    def stock_layers(channels, prefix):
        """Return DepthwiseConv2D, Conv2D, BatchNormalization, ReLU."""
        return _chain(3, channels, prefix)


@keras.saving.register_keras_serializable("okd_tf")
class SeparableConv5x5(base.Operation):
    """A 5x5 depthwise and a 1x1 convolution of stride 1 that keep the channels, batch norm, ReLU."""

    @staticmethod
    def stock_layers(channels, prefix):
        """Return DepthwiseConv2D, Conv2D, BatchNormalization, ReLU."""
        return _chain(5, channels, prefix)
