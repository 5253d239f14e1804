"""The base class of candidate operations: a chain of stock Keras layers, defined in one place.

A student applies the chain as it is, so its file loads without okd_tf. A supernet holds it in the layer
below, with fused batch norm in place of the stock one.

An operation that begins at zero ends in one more batch norm, whose scale is initialised with zeros (as the
last one of a residual branch in Goyal et al., 2017). Its output is zero for any input, so the add-on layer
leaves the pretrained network unchanged at first, and the scale has a gradient. Zeroing the scale of the batch
norm within an operation instead would not work: a ReLU follows it, which passes no gradient at zero.
"""

import abc

import keras

from okd_tf.ops import batch_norm, precision


class Operation(keras.layers.Layer, abc.ABC):
    """A candidate operation: [batch, height, width, channels] -> the same shape."""

    def __init__(self, synchronized=False, begins_at_zero=False, **kwargs):
        """Create the layer.

        Args:
            synchronized: whether batch statistics are shared over the replicas of a strategy.
            begins_at_zero: whether its initial output is zero; see the module.
            **kwargs: arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.synchronized = synchronized
        self.begins_at_zero = begins_at_zero
        self.chain = []

    @staticmethod
    @abc.abstractmethod
    def stock_layers(channels, prefix):
        """Return new stock layers to apply in turn to an input with `channels` channels.

        Their names begin with `prefix`, which is unique in the network.
        """

    @classmethod
    def all_layers(cls, channels, prefix, begins_at_zero=False):
        """Return `stock_layers`, followed by the zero-scale batch norm if the operation begins at zero."""
        layers = cls.stock_layers(channels, prefix)
        return [*layers, batch_norm.stock(f"{prefix}_zero", gamma="zeros")] if begins_at_zero else layers

    def build(self, input_shape):
        """Build the chain for [batch, height, width, channels]."""
        chain = self.all_layers(input_shape[-1], self.name, self.begins_at_zero)
        chain = [precision.in_policy(layer, self.dtype_policy) for layer in chain]
        chain = [batch_norm.fuse(layer, self.synchronized) for layer in chain]
        for layer in chain:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        self.chain = chain

    def call(self, inputs, training=None):
        """Return the output of the chain."""
        outputs = inputs
        for layer in self.chain:
            if isinstance(layer, keras.layers.BatchNormalization):
                outputs = layer(outputs, training=training)
            else:
                outputs = layer(outputs)
        return outputs

    def compute_output_shape(self, input_shape):
        """Return the shape of the input."""
        return input_shape

    def get_config(self):
        """Return the arguments of the constructor."""
        own = {"synchronized": self.synchronized, "begins_at_zero": self.begins_at_zero}
        return {**super().get_config(), **own}
