"""The candidate operation that returns its input: no weights, no FLOPs."""

import keras

from okd_tf.ops import base


@keras.saving.register_keras_serializable("okd_tf")
class Identity(base.Operation):
    """The identity function."""

    @staticmethod
    def stock_layers(channels, prefix):
        """Return no layers."""
        del channels, prefix
        return []
