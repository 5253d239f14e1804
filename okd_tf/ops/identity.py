"""The operation that passes its input on: no weights, no work."""

import keras

from okd_tf.ops import base


@keras.saving.register_keras_serializable("okd_tf")
class Identity(base.Operation):
    """Gives back its input."""

    @staticmethod
    def stock_layers(channels, prefix):
        """No layers."""
        del channels, prefix
        return []
