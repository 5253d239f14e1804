"""Candidate operations: 3x3 pooling of stride 1, without weights."""

import keras

from okd_tf.ops import base


@keras.saving.register_keras_serializable("okd_tf")
class MaxPool3x3(base.Operation):
    """The largest value of each 3x3 neighbourhood."""

    @staticmethod
    def stock_layers(channels, prefix):
        """Return MaxPooling2D."""
        del channels
        return [keras.layers.MaxPooling2D(3, strides=1, padding="same", name=f"{prefix}_max")]


@keras.saving.register_keras_serializable("okd_tf")
class AveragePool3x3(base.Operation):
    """The mean of each 3x3 neighbourhood; at a border, the mean of the pixels within the image."""

    @staticmethod
    def stock_layers(channels, prefix):
        """Return AveragePooling2D."""
        del channels
        return [keras.layers.AveragePooling2D(3, strides=1, padding="same", name=f"{prefix}_avg")]
