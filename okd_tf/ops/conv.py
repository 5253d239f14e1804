"""Candidate operations: convolution, batch norm, ReLU."""

import keras

from okd_tf.ops import base, batch_norm


def _chain(kernel_size, channels, prefix):
    # No bias: the batch norm that follows has one.
    return [
        keras.layers.Conv2D(
            channels,
            kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{prefix}_conv",
        ),
        batch_norm.stock(f"{prefix}_bn"),
        keras.layers.ReLU(name=f"{prefix}_relu"),
    ]


@keras.saving.register_keras_serializable("okd_tf")
class Conv3x3(base.Operation):
    """A 3x3 convolution of stride 1 that keeps the number of channels, batch norm, ReLU."""

    @staticmethod
    def stock_layers(channels, prefix):
        """Return Conv2D, BatchNormalization, ReLU."""
        return _chain(3, channels, prefix)


@keras.saving.register_keras_serializable("okd_tf")
class Conv5x5(base.Operation):
    """A 5x5 convolution of stride 1 that keeps the number of channels, batch norm, ReLU."""

    @staticmethod
    def stock_layers(channels, prefix):
        """Return Conv2D, BatchNormalization, ReLU."""
        return _chain(5, channels, prefix)
