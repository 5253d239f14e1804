"""What a candidate operation is: a chain of stock Keras layers, said once.

A student applies the chain as it is, so its file loads without okd_tf. A supernet holds it in the layer
below, with fused batch norm in place of the stock one.
"""

import abc

import keras

from okd_tf.ops import batch_norm, precision


class Operation(keras.layers.Layer, abc.ABC):
    """A candidate operation: [batch, height, width, channels] -> the same shape."""

    def __init__(self, synchronized=False, **kwargs):
        """Makes the layer; `synchronized` shares batch statistics over the replicas of a strategy."""
        super().__init__(**kwargs)
        self.synchronized = synchronized
        self.chain = []

    @staticmethod
    @abc.abstractmethod
    def stock_layers(channels, prefix):
        """New stock layers to be applied in turn to an input with this many channels.

        Their names begin with `prefix`, which is unique in the network.
        """

    def build(self, input_shape):
        """Builds the chain for [batch, height, width, channels]."""
        chain = self.stock_layers(input_shape[-1], self.name)
        chain = [precision.in_policy(layer, self.dtype_policy) for layer in chain]
        chain = [batch_norm.fuse(layer, self.synchronized) for layer in chain]
        for layer in chain:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        self.chain = chain

    def call(self, inputs, training=None):
        """Applies the chain."""
        outputs = inputs
        for layer in self.chain:
            if isinstance(layer, keras.layers.BatchNormalization):
                outputs = layer(outputs, training=training)
            else:
                outputs = layer(outputs)
        return outputs

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "synchronized": self.synchronized}
